# SPDX-License-Identifier: Apache-2.0
"""`.keras` files that declare what they do not hold: refused before Keras takes memory for it."""

from __future__ import annotations

import copy
import resource
from pathlib import Path
from typing import Any

import pytest
from fuzz import specimens

from tt_tflm.errors import InputError
from tt_tflm.frontend.loaders import load_keras
from tt_tflm.frontend.quiet import import_keras


def layer(config: dict[str, Any], number: int) -> dict[str, Any]:
    return config["config"]["layers"][number]["config"]


def declared(number: int, **changes: Any) -> dict[str, Any]:
    config = copy.deepcopy(specimens.KERAS_CONFIG)
    layer(config, number).update(changes)
    del config["build_config"], config["config"]["build_input_shape"]
    return config


CASES = {
    "inputs": (declared(0, batch_shape=[None, 10**9, 10**9, 3]), "layer 'input_layer': expected tensors of at most"),
    "units": (declared(4, units=10**12), "layers have"),
    "filters": (declared(1, filters=10**9), "layers have"),
    "padding": (declared(0, batch_shape=[None, 2**12, 2**12, 3]), "expected tensors of at most"),
    "a number that is none": (
        declared(2, max_value=float("nan")),
        "layer 'relu': expected a finite number for max_value",
    ),
    "a number without end": (
        declared(2, max_value=float("inf")),
        "layer 'relu': expected a finite number for max_value",
    ),
    "an escape": (declared(2, name="a\x1b[31m"), "one printable line"),
    "half a character": (declared(2, name="\ud800"), "printable"),
    "code": (declared(2, class_name="Lambda", config={"name": "twice"}), "layer 'twice' (Lambda)"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_declares_more_than_it_holds_is_refused(case: str, tmp_path: Path) -> None:
    config, words = CASES[case]
    (tmp_path / "m.keras").write_bytes(specimens.keras_file(config))
    import_keras()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as refused:
        load_keras(tmp_path / "m.keras")
    assert words in str(refused.value) and str(refused.value).isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


def test_weights_that_hdf5_cannot_read_are_refused(tmp_path: Path) -> None:
    weights = specimens.keras_weights()
    (tmp_path / "m.keras").write_bytes(specimens.keras_file(weights=weights[: len(weights) // 2]))
    with pytest.raises(InputError, match=r"sound weights, received .*truncated"):
        load_keras(tmp_path / "m.keras")


def test_the_specimen_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(specimens.keras_file())
    assert load_keras(tmp_path / "m.keras").output_shape == (None, 3)
