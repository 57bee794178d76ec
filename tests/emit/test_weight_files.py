# SPDX-License-Identifier: Apache-2.0
"""The weights of a build: C text, piece by piece, and a binary file that an assembler source includes."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

import tt_tflm
from tt_tflm.build.settings import BuildSettings
from tt_tflm.devices import get_device
from tt_tflm.emit.c.constant_arrays import ELEMENTS, ConstantArray
from tt_tflm.emit.c.weight_files import TEXT_BYTES, Weights
from tt_tflm.errors import InputError
from tt_tflm.models import STARTER

from .models import build
from .workshop import WARNINGS, SavedBuild, need, run_quietly

FORMS = ("c", "binary")
MOST_TEXT = 200_000


def _array(kind: str, count: int) -> ConstantArray:
    content = np.random.default_rng(count).integers(0, 256, count * ELEMENTS[kind].dtype.itemsize, np.uint8)
    values = content.view(ELEMENTS[kind].dtype)
    if kind == "float":
        values = np.nan_to_num(values, posinf=1.0, neginf=-1.0)
    return ConstantArray(kind, "tt_model_rows_0", values)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 23, 24, 25, 1024, 4095, 4096, 4097, 12_288, 12_289, 40_000])
@pytest.mark.parametrize("kind", ELEMENTS)
def test_text_is_the_same_in_pieces(kind, count):
    array = _array(kind, count)
    width = ELEMENTS[kind].in_a_line
    form = {"float": "{:.8e}f", "int8_t": "{:d}", "tt_int8_channel_t": "{{{:.8e}f, {:.8e}f, {:d}, {:d}}}"}[kind]
    elements = [form.format(*(value if isinstance(value, tuple) else (value,))) for value in array.values.tolist()]
    lines = ",\n    ".join(", ".join(elements[i : i + width]) for i in range(0, count, width))
    pieces = list(array.definition())
    assert "".join(pieces) == f"TT_ALIGNED const {kind} tt_model_rows_0[{count}] = {{\n    {lines}}};\n\n"
    assert max(map(len, pieces)) <= MOST_TEXT


def test_large_models_become_binary_unless_c_is_asked_for():
    small, large = (
        Weights("tt_model", (ConstantArray("float", "tt_model_rows_0", np.zeros(count, np.float32)),))
        for count in (TEXT_BYTES // 4, TEXT_BYTES // 4 + 1)
    )
    assert [small.form(asked) for asked in ("auto", *FORMS)] == ["c", *FORMS]
    assert [large.form(asked) for asked in ("auto", *FORMS)] == ["binary", *FORMS]


@pytest.fixture(scope="module", params=["everything", "int8"])
def forms(request, saved, tmp_path_factory) -> dict[str, SavedBuild]:
    """A build in both forms: float32 with constants, or int8 with scales."""
    folder = tmp_path_factory.mktemp(request.param) / "binary"
    build(request.param, weights="binary").save(folder)
    return {"c": saved(request.param), "binary": SavedBuild(folder)}


def test_only_how_weights_are_written_differs(forms):
    texts = {
        form: {
            path.relative_to(saved.folder).as_posix(): path.read_bytes()
            for path in saved.folder.rglob("*")
            if path.is_file() and path.suffix != ".npz"
        }
        for form, saved in forms.items()
    }
    changed = {name for name in texts["c"] | texts["binary"] if texts["c"].get(name) != texts["binary"].get(name)}
    files = {f"src/tt_model_weights.{suffix}" for suffix in ("c", "S", "bin")}
    assert changed == files | {"sources.txt", "CMakeLists.txt", "sim/simulation.json"}
    again = tt_tflm.load_build(forms["binary"].folder)
    assert b"".join(again.binary.content()) == texts["binary"]["src/tt_model_weights.bin"]
    assert "".join(again.binary.source()).encode() == texts["c"]["src/tt_model_weights.c"]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_arrays_are_the_same_bytes_and_read_only(forms, compiler, tmp_path):
    need(compiler, "nm")
    table = tt_tflm.load_build(forms["binary"].folder).binary.table()
    contents = {}
    for form, suffix in (("c", "c"), ("binary", "S")):
        folder, library = forms[form].folder, tmp_path / f"{form}.so"
        own = (f"-I{folder / 'include'}", f"-I{folder / 'src'}")
        run_quietly(
            compiler, *WARNINGS, "-shared", "-fPIC", *own, folder / f"src/tt_model_weights.{suffix}", "-o", library
        )
        loaded, symbols = ctypes.CDLL(str(library)), run_quietly("nm", "-g", "--defined-only", library).splitlines()
        sizes = {entry["name"]: entry["elements"] * ELEMENTS[entry["kind"]].dtype.itemsize for entry in table}
        arrays = {name: (ctypes.c_uint8 * size).in_dll(loaded, name) for name, size in sizes.items()}
        assert {line.split()[2]: line.split()[1] for line in symbols} == dict.fromkeys(sizes, "R")
        assert all(ctypes.addressof(array) % 16 == 0 for array in arrays.values())
        contents[form] = {name: bytes(array) for name, array in arrays.items()}
    assert contents["c"] == contents["binary"]


def test_cmake_builds_it(forms, tmp_path):
    need("cmake")
    run_quietly("cmake", "-Werror=dev", "-S", forms["binary"].folder, "-B", tmp_path / "out", "-DCMAKE_C_FLAGS=-Werror")
    lines = run_quietly("cmake", "--build", tmp_path / "out", "--target", "src/tt_model_weights.o")
    assert "Building ASM object" in lines


# -------------------------------------------------------------- what is computed


@pytest.fixture(scope="module")
def starters(tmp_path_factory) -> list[tt_tflm.Build]:
    """The starter in both forms, saved and loaded."""
    converter = tt_tflm.TrainableConverter.from_keras_file(STARTER)
    converter.loss, converter.target = tt_tflm.PrototypeLoss(2), "cortex-m7"
    loaded = []
    for converter.weights in FORMS:
        folder: Path = tmp_path_factory.mktemp("starter") / converter.weights
        converter.convert().save(folder)
        loaded.append(tt_tflm.load_build(folder))
    return loaded


@pytest.mark.parametrize("device", ["host", pytest.param("cortex-m7", marks=pytest.mark.qemu)])
def test_both_forms_compute_the_same_bits(starters, device):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 1)).astype(np.float32)
    results = []
    for made in starters:
        with made.simulate(device) as board:
            board.enroll(x[0], 0)
            board.enroll(x[1], 1)
            before, loss = board.predict(x[0]), board.train_step(x[0], 1)
            results.append([*before.tolist(), loss, *board.predict(x[1]).tolist(), *board.embedding(x[0]).tolist()])
    assert results[0] == results[1]


def test_the_size_of_the_code_leaves_them_out(starters):
    c, binary = (made.report["flash_bytes"] for made in starters)
    assert c == binary


def test_a_form_that_is_not_to_be_had_is_refused():
    with pytest.raises(InputError, match="weights: expected one of auto, c, binary, received 'text'"):
        build("everything", weights="text")
    about = (get_device("host"), tt_tflm.PrototypeLoss(2), tt_tflm.SGD(), tt_tflm.Budget(), (1.0, 0.0))
    with pytest.raises(InputError, match="weights: expected 'auto' with backend 'tflm', whose models hold them"):
        BuildSettings(*about, "tflm", weights="c")
