# SPDX-License-Identifier: Apache-2.0
"""The exported library under Arduino's own compilers and flags, for cores with and without an FPU."""

from __future__ import annotations

import re

import pytest

from .arduino_compiler import cross, library_sources, run_quietly, sketch_source

SKETCHES = ("Enroll_And_Adapt", "Predict")
# Heap, exceptions, run-time types and what prints: a library that calls one of them has it here as undefined.
FORBIDDEN = re.compile(r" U (malloc|calloc|realloc|free|_Zn[wa].*|_Zd[la].*|__cxa_throw|__cxa_guard.*|_ZTI.*|printf|alloca)$", re.MULTILINE)  # fmt: skip


@pytest.mark.parametrize(("kind", "core"), [("dynamic", "cortex-m4"), ("softmax", "cortex-m0plus")])
def test_library_and_sketches_compile_without_a_warning(kind, core, libraries, tmp_path):
    library = libraries(kind)
    toolchain = cross(core, tmp_path / "core")
    objects = toolchain.objects(library_sources(library), library, tmp_path)
    symbols = run_quietly("arm-none-eabi-nm", *objects)
    assert not FORBIDDEN.search(symbols), FORBIDDEN.findall(symbols)
    assert re.search(r" T _ZN9TinyTrain5beginEv$", symbols, re.MULTILINE)
    sketches = [sketch_source(library, name, tmp_path) for name in SKETCHES]
    for made in toolchain.objects(sketches, library, tmp_path):
        text, data, bss = map(int, run_quietly("arm-none-eabi-size", made).splitlines()[1].split()[:3])
        assert data < 256, "the memory of the model would lie in flash, too"
        assert bss > 1000 and text > 0


def test_kernels_bring_their_flags_along(libraries, tmp_path):
    """Without its pragma the same source is shorter: -Os is all that the command line says."""
    toolchain = cross("cortex-m4", tmp_path / "core")
    library = libraries("softmax")
    kernels = library / "src" / "tt_kernels.c"
    plain = tmp_path / "plain" / "tt_kernels.c"
    plain.parent.mkdir()
    plain.write_text(re.sub(r"(?m)^#pragma GCC optimize.*$", "", kernels.read_text()))
    made = [toolchain.objects([source], library, tmp_path / str(i)) for i, source in enumerate((kernels, plain))]
    sizes = [int(run_quietly("arm-none-eabi-size", *objects).splitlines()[1].split()[0]) for objects in made]
    assert sizes[0] > sizes[1]
