# SPDX-License-Identifier: Apache-2.0
"""An Arduino library of a build without C sources of its model is refused, and nothing is written."""

import keras
import pytest

import tt_tflm
from tt_tflm.export import export_arduino


@pytest.fixture(scope="module")
def tflm_build():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D()])
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.target, converter.backend = "nano33ble", "tflm"
    return converter.convert()


def test_a_build_for_tflm_is_refused(tflm_build, tmp_path):
    with pytest.raises(tt_tflm.InputError, match="expected a build of backend 'c' to export, received .* 'tflm'"):
        export_arduino(tflm_build, tmp_path / "library.zip")
    assert list(tmp_path.iterdir()) == []
