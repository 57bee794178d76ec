# SPDX-License-Identifier: Apache-2.0
"""`load_build`: links do not leave the folder, and whatever is wrong in its JSON is named in one line."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from fuzz import specimens

from tt_tflm.build.artefact import load_build
from tt_tflm.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "out"
    (root / "sim").mkdir(parents=True)
    (root / "src").mkdir()
    (root / "src" / "tt_model.c").write_text("int x;\n")
    (root / "sim" / "simulation.json").write_bytes(specimens.as_json(specimens.SIMULATION))
    (root / "report.json").write_bytes(specimens.as_json(specimens.REPORT))
    (root / "plan.json").write_bytes(specimens.as_json(specimens.PLAN))
    (root / "sim" / "weights.npz").write_bytes(specimens.build_weights())
    return root


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        load_build(folder)
    text = str(refused.value)
    assert text.isprintable() and text.startswith(f"expected a folder that Build.save wrote, received '{folder}'")
    return text


def test_links_inside_of_the_folder_are_followed(folder: Path) -> None:
    (folder / "src" / "same.c").symlink_to("tt_model.c")
    assert load_build(folder).files["src/same.c"] == "int x;\n"


@pytest.mark.parametrize("name", ["src/other.c", "sim/simulation.json", "models", "sim"])
def test_links_that_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    target = outside / Path(name).name
    outside.mkdir()
    if (folder / name).exists():
        os.rename(folder / name, target)
    elif "." in name:
        target.write_text("int y;\n")
    else:
        target.mkdir()
    (folder / name).symlink_to(target)
    assert "leads out of it" in refusal(folder)


def test_pipes_are_refused(folder: Path) -> None:
    os.mkfifo(folder / "src" / "pipe.c")
    assert "a pipe" in refusal(folder)


def _with_binary_weights(folder: Path) -> Path:
    """The build with six numbers in a binary file, the second array behind a gap."""
    arrays = [{"kind": "float", "name": "a", "elements": 1}, {"kind": "int8_t", "name": "b", "elements": 5}]
    about = {**specimens.SIMULATION, "weights": arrays}
    (folder / "sim" / "simulation.json").write_bytes(specimens.as_json(about))
    path = folder / "src" / "tt_small_weights.bin"
    path.write_bytes(bytes([0, 0, 128, 63, *bytes(12), 1, 2, 3, 254, 255]))
    return path


def test_binary_weights_are_read_and_written_as_they_are(folder: Path, tmp_path: Path) -> None:
    content = _with_binary_weights(folder).read_bytes()
    weights = load_build(folder).binary
    assert weights is not None and b"".join(weights.content()) == content
    assert [(a.name, a.values.tolist()) for a in weights.arrays] == [("a", [1.0]), ("b", [1, 2, 3, -2, -1])]
    assert "src/tt_small_weights.bin" not in load_build(folder).files


@pytest.mark.parametrize("content", [b"", bytes(20), bytes(22)])
def test_binary_weights_of_another_size_are_refused(folder: Path, content: bytes) -> None:
    _with_binary_weights(folder).write_bytes(content)
    assert f"src/tt_small_weights.bin: expected 21 bytes for the arrays of '{folder}" in refusal(folder)
    assert f"received {len(content)}" in refusal(folder)


def test_binary_weights_that_lie_elsewhere_are_refused(folder: Path) -> None:
    path = _with_binary_weights(folder)
    outside = folder.parent / "outside.bin"
    path.rename(outside)
    assert "src/tt_small_weights.bin': No such file" in refusal(folder)
    path.symlink_to(outside)
    assert "leads out of it" in refusal(folder)


FAULTS: list[tuple[str, tuple[Any, ...], Any, str]] = [
    ("sim/simulation.json", ("input_shape",), "8", "input_shape: expected array, received str"),
    ("sim/simulation.json", ("input_shape",), [10**9, 10**9], "input_shape: expected at most"),
    ("sim/simulation.json", ("classes",), None, "classes: expected int, received null"),
    ("sim/simulation.json", ("arena_bytes",), -1, "arena_bytes: expected int >= 0"),
    ("sim/simulation.json", ("layers", 0, "channels"), 1.5, "layers[0].channels: expected int, received float"),
    ("sim/simulation.json", ("layers", 0, "kernel_shape"), [4], "layer 'logits': expected a kernel"),
    ("sim/simulation.json", ("rows", 0, "channels"), [3], "rows: expected channels of layers of the build"),
    ("sim/simulation.json", ("choice", "candidates", 0, "layer"), "x", "choice: expected layers of the build"),
    ("sim/simulation.json", ("weights",), [{"kind": "double", "name": "a", "elements": 1}], "weights[0].kind: invalid"),
    (
        "sim/simulation.json",
        ("weights",),
        [{"kind": "float", "name": "a;", "elements": 1}],
        "weights[0].name: expected",
    ),
    ("sim/simulation.json", ("schema_version",), 2, "expected schema version 1"),
    ("report.json", ("device",), [], "device: expected object, received array"),
    ("report.json", ("device", "core"), "z80", "core: expected one of host"),
    ("report.json", ("flash_bytes", "weights"), "x", "flash_bytes.weights: expected int, received str"),
    ("report.json", ("layers",), {}, "layers: expected array, received object"),
    ("plan.json", ("layers",), [], "layers: expected object, received array"),
]


@pytest.mark.parametrize(("name", "place", "value", "words"), FAULTS, ids=lambda value: str(value)[:40])
def test_wrong_values_are_named(folder: Path, name: str, place: tuple[Any, ...], value: Any, words: str) -> None:
    content = copy.deepcopy(json.loads((folder / name).read_text()))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (folder / name).write_text(json.dumps(content))
    text = refusal(folder)
    assert words in text and name in text


@pytest.mark.parametrize("key", [*specimens.SIMULATION])
def test_what_a_simulation_needs_has_to_be_there(folder: Path, key: str) -> None:
    path = folder / "sim" / "simulation.json"
    path.write_text(json.dumps({k: v for k, v in specimens.SIMULATION.items() if k != key}))
    if key in ("backend", "tflm", "target"):  # have a default, or are for people
        load_build(folder)
    else:
        assert key.replace("schema_version", "schema version") in refusal(folder)
