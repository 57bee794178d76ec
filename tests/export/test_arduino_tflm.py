# SPDX-License-Identifier: Apache-2.0
"""The Arduino library of a build of the backend tflm: its rules, what is refused, and its sketch on the host."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.boards.serial import Board
from tt_tflm.devices import get_device
from tt_tflm.errors import InputError
from tt_tflm.export.arduino.library import arduino_files

from .arduino_builds import build
from .arduino_compiler import sketch_source
from .arduino_host import host_program, plugged_in
from .arduino_rules import broken_rules, properties
from .test_arduino_sketch import QUERY_X, SUPPORT_X, SUPPORT_Y, _floats
from .tflm_server import KERNELS, NO_OPS, served

ITERATIONS = 3


@pytest.fixture(scope="module")
def tflm_library(libraries) -> Path:
    pytest.importorskip("tflite_micro")
    return libraries("tflm")


def test_the_library_keeps_every_rule_and_names_what_it_needs(tflm_library):
    assert broken_rules(tflm_library) == []
    assert properties(tflm_library)["depends"] == "Arduino_TensorFlowLite"
    assert properties(tflm_library)["architectures"] == "mbed_nano"
    assert "Arduino_TensorFlowLite" in (tflm_library / "README.md").read_text()


def test_a_board_that_the_library_beneath_does_not_know_is_refused(tflm_library):
    other = get_device("portenta-h7").to_json()
    made = build("tflm")
    with pytest.raises(
        InputError, match=r"Arduino_TensorFlowLite knows \(Nano 33 BLE.*Portenta H7: convert with --target nano33ble"
    ):
        arduino_files(dataclasses.replace(made, report_data={**made.report_data, "device": other}))
    larger = {**made.report_data, "tflm_firmware_arena_bytes": 230_000}
    with pytest.raises(InputError, match=r"fits the Nano 33 BLE .*convert without --backend tflm"):
        arduino_files(dataclasses.replace(made, report_data=larger))


def test_the_sketch_adapts_as_the_simulated_board_and_remembers(tflm_library, tmp_path, monkeypatch):
    sketch = sketch_source(tflm_library, "Enroll_And_Adapt", tmp_path)
    (tmp_path / "no_ops.cpp").write_text(sketch.read_text() + NO_OPS)
    skipped = {*KERNELS, "tt_register_ops", "tt_candidate", "tt_preparation"}
    program = host_program(
        tflm_library, tmp_path / "no_ops.cpp", tmp_path,
        only=lambda source: source.stem not in skipped and not source.stem.endswith("_ops"),
    )  # fmt: skip
    monkeypatch.setenv("TT_SHIM_TFLM", str(tmp_path / "line"))
    queries = QUERY_X[::9]
    with served(build("tflm"), tmp_path / "line"):
        with plugged_in(program, tmp_path) as port, Board(port) as board:
            for x, label in zip(SUPPORT_X, SUPPORT_Y, strict=True):
                board.enroll(x, int(label))
            losses = board.adapt(ITERATIONS).losses
            scores = np.array([board.predict(x) for x in queries])
            board.save()
        with plugged_in(program, tmp_path) as port, Board(port) as board:
            np.testing.assert_array_equal([board.predict(x) for x in queries], scores)
    with build("tflm").simulate() as simulated:
        expected = simulated.adapt(_floats(SUPPORT_X), SUPPORT_Y, ITERATIONS).losses
        expected_scores = [simulated.predict(x) for x in _floats(queries)]
    np.testing.assert_allclose(losses, expected, atol=1e-5)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
    assert abs(losses[0] - losses[-1]) > 1e-3
