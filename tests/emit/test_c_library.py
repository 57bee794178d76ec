# SPDX-License-Identifier: Apache-2.0
"""The text of a build: its files, the header's promises, weights to the bit, and names that could do harm."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passes.programs import dense, module_of, unary

import tt_tflm
from tt_tflm.emit.c.library import emit_c, emit_cmake
from tt_tflm.losses import SoftmaxLoss
from tt_tflm.optimizers import SGD
from tt_tflm.program.emitted import EmittedLayer, EmittedModel
from tt_tflm.program.layout.row_pool import lay_out
from tvm_passes.choice import Trained
from tvm_passes.kernels.geometry import row_stride
from tvm_passes.kernels.tiling import HOST
from tvm_passes.pipeline import training_program

from .models import RECIPES
from .workshop import WARNINGS, need, run_quietly

OPS = Path(__file__).parents[2] / "ops"
# Ends and beginnings of comments, line splices, trigraphs, and what only looks harmless.
NAMES = [
    *("a/b*/c", "/* open", "*/ int x; /*", "*/*", "/*/", "tail\\", "new\nline", "\\\n#error", "??/"),
    *("naïve \u202e", 'quote"', "%s#error"),
]
FLOATS = np.float32(
    [0.0, -0.0, 1.0, -1 / 3, 1e-45, -1.1754942e-38, 1.17549435e-38, 3.4028235e38, -3.4028235e38, 16777217]
)


def _parse(text: str) -> dict[str, np.ndarray]:
    """The float arrays of a C text, as a compiler reads them."""
    arrays = re.findall(r"const float (\w+)\[(\d+)\] = \{([^}]*)\}", text)
    values = {name: np.array([np.float32(v.strip().rstrip("f")) for v in body.split(",")]) for name, _, body in arrays}
    assert [len(values[name]) for name, _, _ in arrays] == [int(count) for _, count, _ in arrays]
    return values


def _bits(array: np.ndarray) -> list[int]:
    return np.ascontiguousarray(array, np.float32).view(np.uint32).ravel().tolist()


def _emitted(
    rows: np.ndarray, head: np.ndarray, names: tuple[str, str] = ("hidden", "head"), model: str = "m"
) -> EmittedModel:
    """Two Dense layers of 4 and 3 channels on 5 inputs, of which channels 0 and 2 of the first are trained."""
    calls = [("h", dense(5, 4), ["x", "rows_0"]), ("t", unary("tanh", 4), ["h"]), ("z", dense(4, 3), ["t", "rows_1"])]
    module = module_of("predict", {"x": 5, "rows_0": rows.size, "rows_1": head.size}, calls, "z")
    planned = training_program(module, SoftmaxLoss().spec(3), {0: Trained(2)}, SGD().spec())
    layers = [EmittedLayer(names[0], rows, (0, 2)), EmittedLayer(names[1], head)]
    pool = lay_out({0: (names[0], 2 * rows.shape[1])}, (), 3, None)
    loss = SoftmaxLoss().spec(3)
    return EmittedModel(model, "0123456789abcdef", planned, layers, (5,), loss, None, SGD().spec(), 0.1, pool)


def _rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in ((4, row_stride(5)), (3, row_stride(4))))


def _write(files: Mapping[str, str], folder: Path) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


# -------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["softmax_sgd_1", "prototype_adam_3", "everything", "dynamic"])
def test_a_build_has_its_files_and_says_whose_they_are(name, saved):
    build = saved(name)
    present = {str(p.relative_to(build.folder)) for p in build.folder.rglob("*") if p.is_file()}
    assert {
        *(
            "include/tt_model.h",
            "src/tt_model.c",
            "src/tt_model_kernels.c",
            "src/tt_model_kernels.h",
            "src/tt_model_weights.c",
        ),
        *("src/tt_model_weights.h", "CMakeLists.txt", "sources.txt", "plan.json", "report.json"),
        *("sim/simulation.json", "sim/weights.npz"),
    } <= present
    for path in present:
        if path.endswith((".c", ".h")):
            assert build.text(path).startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"), path
    assert build.text("CMakeLists.txt").startswith("# SPDX-License-Identifier: Apache-2.0\n")
    includes = re.findall(r'#include "(\w+\.h)"', "".join(build.text(p) for p in present if p.endswith((".c", ".h"))))
    for header in set(includes) - {"tt_sim_description.h"}:
        assert {f"{folder}/{header}" for folder in ("include", "src", "console", "sim")} & present, header


@pytest.mark.parametrize("name", RECIPES)
def test_the_header_says_what_the_report_says(name, saved):
    build = saved(name)
    report, simulation = (json.loads(build.text(f)) for f in ("report.json", "sim/simulation.json"))
    macros = dict(re.findall(r"^#define (TT_MODEL_\w+) (\S+)", build.text("include/tt_model.h"), re.MULTILINE))
    recipe = RECIPES[name]
    prototypes = recipe.loss == "prototype"
    expected = {
        "TT_MODEL_FINGERPRINT": f'"{report["fingerprint"]}"',
        "TT_MODEL_INPUT_ELEMENTS": str(int(np.prod(simulation["input_shape"]))),
        "TT_MODEL_CLASSES": str(simulation["classes"]),
        "TT_MODEL_HAS_PROTOTYPES": str(int(prototypes)),
        "TT_MODEL_ARENA_BYTES": str(report["arena_bytes"]),
        "TT_MODEL_REGIONS_BYTES": str(simulation["regions_bytes"]),
        "TT_MODEL_BATCH_SIZE": str(recipe.batch_size),
        "TT_MODEL_DYNAMIC": str(int(recipe.mode == "dynamic")),
    }
    assert {key: macros[key] for key in expected} == expected
    on_32_bits = re.search(
        r"ROW_POOL_BYTES .* /\* (\d+) where a pointer has four bytes", build.text("include/tt_model.h")
    )
    assert int(on_32_bits[1]) == report["row_pool_bytes"]
    assert macros.get("TT_MODEL_EMBEDDING_ELEMENTS") == (str(simulation["embedding_elements"]) if prototypes else None)


@pytest.mark.parametrize("name", ["softmax_sgd_1", "dynamic"])
def test_the_model_is_all_that_its_sources_define(name, saved, tmp_path):
    build = saved(name)
    need("gcc", "nm")
    build.compile("gcc", tmp_path, "-std=c99", sources=build.model_sources())
    lines = run_quietly("nm", "-g", "--defined-only", *sorted(tmp_path.glob("*.o"))).splitlines()
    symbols = {line.split()[-1] for line in lines if len(line.split()) == 3}
    assert "tt_model" in symbols
    assert [symbol for symbol in symbols if symbol != "tt_model" and not symbol.startswith("tt_model_")] == []
    header = build.text("include/tt_model.h")
    assert 'extern "C" {' in header
    assert "extern const tt_model_t tt_model;" in header


def test_shapes_are_told_for_people(saved):
    assert "float32, 17 x 3 (" in saved("sequence").text("include/tt_model.h")
    assert "float32, 11 x 9 x 3 (" in saved("everything").text("include/tt_model.h")


# -------------------------------------------------------------- weights


@pytest.mark.parametrize("name", ["softmax_sgd_1", "everything", "sequence"])
def test_weights_come_back_to_the_bit(name, saved):
    build = saved(name)
    arrays = _parse(build.text("src/tt_model_weights.c"))
    with np.load(build.folder / "sim/weights.npz") as stored:
        for key in stored.files:
            assert _bits(arrays[f"tt_model_{key}"]) == _bits(stored[key])
    loaded = tt_tflm.load_build(build.folder)
    assert [_bits(rows) for rows in loaded.rows.values()] == [
        _bits(arrays[f"tt_model_rows_{i}"]) for i in range(len(loaded.rows))
    ]


def test_text_is_made_when_it_is_asked_for():
    sources = emit_c(_emitted(*_rows()), HOST)
    pieces = list(sources.files.pieces("src/tt_model_weights.c"))
    assert len(pieces) > 2 and "".join(pieces) == sources.files["src/tt_model_weights.c"]
    assert sources.binary is None and "src/tt_model_weights.c" in dict(sources.files)


def _files_with(values: np.ndarray) -> Mapping[str, str]:
    rows, head = _rows()
    rows.ravel()[: values.size] = values
    return emit_c(_emitted(rows, head), HOST).files


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=24, max_size=24))
def test_every_finite_float_round_trips(values):
    rows, head = np.float32(values).reshape(4, 6), _rows()[1]
    arrays = _parse(_cached_weights(rows, head))
    assert _bits(arrays["tt_model_rows_0"]) == _bits(rows)


def _cached_weights(rows: np.ndarray, head: np.ndarray) -> str:
    # The program does not depend on the weights: it is made once.
    if not _CACHE:
        _CACHE.append(_emitted(rows, head))
    layers = [dataclasses.replace(_CACHE[0].layers[0], rows=rows), _CACHE[0].layers[1]]
    return emit_c(dataclasses.replace(_CACHE[0], layers=layers), HOST).files["src/tt_model_weights.c"]


_CACHE: list[EmittedModel] = []


def test_the_compiler_reads_the_same_floats(tmp_path):
    need("gcc")
    folder = _write(_files_with(FLOATS), tmp_path)
    library = tmp_path / "weights.so"
    flags = (*WARNINGS, "-shared", "-fPIC", f"-I{OPS / 'include'}")
    run_quietly("gcc", *flags, folder / "src/tt_model_weights.c", "-o", library)
    array = (ctypes.c_float * FLOATS.size).in_dll(ctypes.CDLL(str(library)), "tt_model_rows_0")
    assert _bits(np.ctypeslib.as_array(array)) == _bits(FLOATS)


def test_constants_are_emitted_once_and_aligned(saved):
    text = saved("everything").text("src/tt_model_weights.c")
    names = re.findall(r"^TT_ALIGNED const float (\w+)\[", text, re.MULTILINE)
    assert "tt_model_constant_0" in names
    assert len(names) == len(set(names))
    contents = re.findall(r"tt_model_constant_\d+\[\d+\] = (\{[^}]*\})", text)
    assert len(contents) == len(set(contents))
    declared = re.findall(
        r"^extern const float (\w+)\[", saved("everything").text("src/tt_model_weights.h"), re.MULTILINE
    )
    assert declared == names


def test_slots_and_channels_tell_which_rows_are_trained():
    main = emit_c(_emitted(*_rows()), HOST).files["src/tt_model.c"]
    assert re.search(r"slots_0\[4\] = \{\s*0u, TT_SLOT_FROZEN, 1u, TT_SLOT_FROZEN\}", main)
    assert re.search(r"channels_0\[2\] = \{\s*0u, 2u\}", main)


# -------------------------------------------------------------- names


@pytest.mark.parametrize("name", NAMES)
def test_names_are_harmless_in_comments(name, tmp_path):
    need("gcc", "clang")
    model = _emitted(*_rows(), names=(name, name), model=name)
    folder = _write(emit_c(model, HOST).files, tmp_path)
    sources = [folder / f"src/{source}.c" for source in ("tt_model", "tt_model_weights", "tt_model_kernels")]
    for compiler in ("gcc", "clang"):
        includes = (f"-I{folder / 'include'}", f"-I{OPS / 'include'}", f"-I{OPS / 'engine'}")
        run_quietly(compiler, *WARNINGS, *includes, "-fsyntax-only", *sources, cwd=tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_harmless_in_cmake(name):
    plain, other = (
        [
            line
            for line in emit_cmake(_emitted(*_rows(), model=model), ["src/tt_model_kernels.c"], ["-O3"]).splitlines()
            if not line.startswith("#")
        ]
        for model in ("plain", name)
    )
    assert other == plain


def test_names_do_not_become_identifiers():
    files = emit_c(_emitted(*_rows(), names=("a b", "c-d")), HOST).files
    code = re.sub(r"/\*.*?\*/", "", "".join(files.values()), flags=re.DOTALL)
    assert "a b" not in code
    assert "c-d" not in code


def test_a_layer_inside_a_model_can_be_named_by_its_path():
    """Keras forbids a slash in the name of a layer, but paths of layers have one."""
    files = emit_c(_emitted(*_rows(), names=("block/conv", "head")), HOST).files
    assert "/* block/conv */" in files["src/tt_model.c"]
