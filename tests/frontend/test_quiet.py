# SPDX-License-Identifier: Apache-2.0
"""A refused model leaves its refusal and nothing else: not at once, and not when what failed is taken apart."""

import gc

import keras
import pytest

from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.program.static import import_model

L = keras.layers


def test_what_the_passes_leave_half_built_is_taken_apart_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    image = keras.Input((4, 4, 3))
    running = keras.ops.cumsum(L.Conv2D(3, 1)(image), axis=1)
    model = keras.Model(image, L.Dense(2)(L.Flatten()(running)))
    with pytest.raises(UnsupportedLayerError, match=r"layer 'cumsum' .*received relax.cumsum") as error:
        import_model(model)
    del error
    gc.collect()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
