# SPDX-License-Identifier: Apache-2.0
"""Loading the ops into the tflite-micro wheel, and what the interpreter reports."""

import importlib.metadata
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tomllib

from tt_tflm.boards.simulated import tflm_wheel
from tt_tflm.boards.simulated.tflm_wheel import WHEEL, WHEEL_VERSION, TflmInterpreter, build_ops, check_wheel
from tt_tflm.errors import InputError, ToolchainError
from tt_tflm.tflite.op_params import Flag, Op, pack
from tt_tflm.tflite.writer import TfliteWriter


def relu(size: int = 4) -> bytes:
    writer = TfliteWriter()
    x, y = (writer.add_tensor(name, (size,), "float32") for name in "xy")
    writer.add_custom("TT_CLIP", [x], [y], pack(Op.CLIP, Flag.LOW, low=0.0, high=0.0))
    return writer.finish([x], [y])


def test_the_pin_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["tflm"] == [f"{WHEEL}=={WHEEL_VERSION}"]


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "0.dev20261020000000")
    message = f"expected {WHEEL} {WHEEL_VERSION} to simulate TFLM, received 0.dev20261020000000: pip install"
    with pytest.raises(ToolchainError, match=re.escape(message)):
        check_wheel()


def test_a_missing_wheel_is_named(monkeypatch):
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ToolchainError, match=f"received none: pip install {WHEEL}=={WHEEL_VERSION}"):
        check_wheel()


def test_the_library_is_built_once_and_kept(monkeypatch, tmp_path):
    first = build_ops()
    monkeypatch.setattr(tflm_wheel, "build_program", lambda *_args, **_options: pytest.fail("compiled again"))
    assert build_ops() == first
    assert first.name.startswith("tflm-ops-")


def test_a_cache_that_cannot_be_written_costs_time_alone(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    library = tmp_path / "built.so"
    library.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tflm_wheel, "build_program", lambda *_args, **_options: library)
    assert build_ops() == library


def test_the_cache_follows_the_sources(monkeypatch, tmp_path):
    library = tmp_path / "built.so"
    library.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tflm_wheel, "build_program", lambda *_args, **_options: library)
    units, includes = tflm_wheel._units()
    before = build_ops()
    changed = tmp_path / units[0].source.name
    changed.write_text("/* something else */\n")
    units[0] = tflm_wheel.CompileUnit(changed, units[0].flags)
    monkeypatch.setattr(tflm_wheel, "_units", lambda: (units, includes))
    assert build_ops() != before
    assert before.parent == tmp_path / "tt-tflm"


def test_a_layout_that_is_not_the_expected_one_is_noticed():
    class Scrambled:
        class Interpreter:
            @classmethod
            def from_bytes(cls, *_args, **_options):
                return cls()

            def set_input(self, value, index):
                self.value = value

            def invoke(self):
                self.value = self.value[::-1]

            def get_output(self, index):
                return self.value

    with pytest.raises(ToolchainError, match="to lay out its structures as the ops do, received"):
        tflm_wheel._check_layout(Scrambled)


def test_a_run():
    interpreter = TflmInterpreter(relu())
    interpreter.set_input(0, np.float32([-1, 2, -3, 4]))
    interpreter.invoke()
    assert interpreter.output(0).tolist() == [0, 2, 0, 4]


def test_tensors_are_where_tflm_keeps_them():
    interpreter = TflmInterpreter(relu())
    (x,), (y,) = interpreter.tensors()
    x.view("<f4")[:] = [-1, 2, -3, 4]
    interpreter.invoke()
    assert y.view("<f4").tolist() == interpreter.output(0).tolist() == [0, 2, 0, 4]


def test_a_model_without_an_op_of_ours_has_none_to_show():
    writer = TfliteWriter()
    x, y = (writer.add_tensor(name, (4,), "float32") for name in "xy")
    writer.add_builtin("RELU", [x], [y])
    TflmInterpreter(relu())
    interpreter = TflmInterpreter(writer.finish([x], [y]))
    with pytest.raises(InputError, match="expected a model with an op of tt-tflm"):
        interpreter.tensors()


def test_the_wheel_is_loaded_without_what_it_checks_itself_with():
    TflmInterpreter(relu())
    assert not hasattr(sys.modules["tflite_micro.python.tflite_micro.postinstall_check"], "pkg_resources")


def test_the_arena_is_what_tflm_says():
    small, large = TflmInterpreter(relu(4)).arena, TflmInterpreter(relu(404)).arena
    # Two tensors of 400 more floats; whatever else there is stays the same.
    assert large.head - small.head == 2 * 1600
    assert large.tail == small.tail
    assert small.total == small.head + small.tail


def test_an_arena_of_the_reported_size_is_enough_and_a_smaller_one_refused():
    needed = TflmInterpreter(relu(404)).arena.total
    TflmInterpreter(relu(404), arena_bytes=needed + 64)
    with pytest.raises(InputError, match=r"TFLM refused the model: Failed to .*"):
        TflmInterpreter(relu(404), arena_bytes=needed // 2)


def test_inputs_of_another_shape_or_type_are_refused():
    interpreter = TflmInterpreter(relu())
    with pytest.raises(InputError, match=r"TFLM refused input 0: .*Got 3 but expected 4"):
        interpreter.set_input(0, np.zeros(3, np.float32))
    with pytest.raises(InputError, match=r"TFLM refused input 0: .*expected type FLOAT32"):
        interpreter.set_input(0, np.zeros(4, np.float64))


def test_an_unknown_op_is_refused():
    writer = TfliteWriter()
    x, y = (writer.add_tensor(name, (4,), "float32") for name in "xy")
    writer.add_custom("TT_UNHEARD_OF", [x], [y], b"")
    with pytest.raises(InputError, match="TFLM refused the model: Failed to get registration from op code CUSTOM"):
        TflmInterpreter(writer.finish([x], [y]))


def test_what_others_write_to_standard_error_is_not_swallowed(capfd):
    with tflm_wheel._stderr() as messages:
        print("nobody asked", file=open(2, "w", closefd=False), flush=True)
    assert capfd.readouterr().err == "nobody asked\n"
    with tflm_wheel._stderr() as messages:
        print("asked for", file=open(2, "w", closefd=False), flush=True)
        assert messages() == "asked for\n"
    assert capfd.readouterr().err == ""
