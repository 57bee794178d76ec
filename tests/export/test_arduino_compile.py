# SPDX-License-Identifier: Apache-2.0
"""The exported library under Arduino's own compilers and flags, for cores with and without an FPU."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from emit.workshop import run_quietly

from tt_tflm.export.arduino import library as arduino
from tt_tflm.export.firmware import firmware

from .arduino_builds import build
from .arduino_compiler import SHIM, cross, library_sources, sketch_source
from .arduino_host import STORAGES

SKETCHES = ("Enroll_And_Adapt", "Predict")
# Heap, exceptions, run-time types and what prints: a library that calls one of them has it here as undefined.
FORBIDDEN = re.compile(
    r" U (malloc|calloc|realloc|free|_Zn[wa].*|_Zd[la].*|__cxa_throw|__cxa_guard.*|_ZTI.*|printf|alloca)$", re.MULTILINE
)


@pytest.mark.parametrize(
    ("kind", "core"), [("dynamic", "cortex-m4"), ("softmax", "cortex-m0plus"), ("tflm", "cortex-m4")]
)
def test_library_and_sketches_compile_without_a_warning(kind, core, libraries, tmp_path):
    if kind == "tflm":
        pytest.importorskip("tflite_micro")
    library = libraries(kind)
    toolchain = cross(core, tmp_path / "core")
    objects = toolchain.objects(library_sources(library), library, tmp_path)
    symbols = run_quietly("arm-none-eabi-nm", *objects)
    # A virtual destructor in TFLM's headers, which nobody calls.
    assert set(FORBIDDEN.findall(symbols)) <= ({"_ZdlPvj"} if "ARDUINO_TFLM" in os.environ else set())
    assert re.search(r" T _ZN9TinyTrain5beginEv$", symbols, re.MULTILINE)
    sketches = [sketch_source(library, name, tmp_path) for name in SKETCHES]
    for made in toolchain.objects(sketches, library, tmp_path):
        text, data, bss = _sizes([made])[0]
        assert data < 256, "the memory of the model would lie in flash, too"
        assert bss > 1000 and text > 0
    if kind == "tflm":  # what the fit check counts, with a third of it for TFLM itself
        code = sum(text for text, _, _ in _sizes(objects)) - sum(map(len, build(kind).models.values()))
        assert arduino._TFLM_CODE / 3 < code < arduino._TFLM_CODE * 2 / 3


@pytest.mark.parametrize("kind", ["dynamic", "softmax"])
def test_the_sketch_takes_no_more_than_the_fit_check_counts(kind, libraries, tmp_path):
    """Of RAM and of flash; nor much less, as boards would be refused that have room."""
    library = libraries(kind)
    core = cross("cortex-m4", tmp_path / "core")
    # The shim has a driver of flash, which the storage of this core needs.
    toolchain = dataclasses.replace(core, flags=(*core.flags, *STORAGES["internal flash"]), includes=(SHIM,))
    sketch = toolchain.objects([sketch_source(library, "Enroll_And_Adapt", tmp_path)], library, tmp_path / "sketch")
    console = [path for path in library_sources(library) if re.match("tt_console|TinyTrain", path.name)]
    sizes = _sizes([*sketch, *toolchain.objects(console, library, tmp_path)])
    samples = int(re.findall(r"define TINYTRAIN_SAMPLES (\d+)", (tmp_path / "Enroll_And_Adapt.cpp").read_text())[0])
    counted = arduino._sketch_bytes(build(kind), firmware(build(kind)), samples)
    assert 0 <= counted - sum(data + bss for _, data, bss in sizes) < 384
    assert arduino._CONSOLE_CODE / 2 < sum(text for text, _, _ in sizes) <= arduino._CONSOLE_CODE


def _sizes(objects: Sequence[Path]) -> list[tuple[int, int, int]]:
    """text, data and bss of each."""
    listing = run_quietly("arm-none-eabi-size", *objects).splitlines()[1:]
    return [(int(text), int(data), int(bss)) for text, data, bss, *_ in map(str.split, listing)]


def test_kernels_bring_their_flags_along(libraries, tmp_path):
    """Without its pragma the same source is shorter: -Os is all that the command line says."""
    toolchain = cross("cortex-m4", tmp_path / "core")
    library = libraries("softmax")
    kernels = library / "src" / "tt_model_kernels.c"
    plain = tmp_path / "plain" / "tt_model_kernels.c"
    plain.parent.mkdir()
    plain.write_text(re.sub(r"(?m)^#pragma GCC optimize.*$", "", kernels.read_text()))
    made = [toolchain.objects([source], library, tmp_path / str(i)) for i, source in enumerate((kernels, plain))]
    sizes = [_sizes(objects)[0][0] for objects in made]
    assert sizes[0] > sizes[1]
