# SPDX-License-Identifier: Apache-2.0
"""The reported size of a session is the compiler's, on a 32-bit core."""

import json

import pytest

from tt_tflm.program.layout.session import session_bytes

from .models import RECIPES
from .workshop import COMPILERS, need, run_quietly


@pytest.mark.parametrize("name", RECIPES)
def test_the_size_is_that_of_the_compiler(name, saved, tmp_path):
    need("arm-none-eabi-gcc")
    build = saved(name)
    reported = json.loads(build.text("report.json"))["session_bytes"]
    source = tmp_path / "size.c"
    source.write_text(
        '#include "tt_model.h"\n'
        f'_Static_assert(sizeof(tt_session_t) == {reported}u, "session");\n'
        f'_Static_assert(sizeof(void *) == 4u, "a 32-bit core");\n'
    )
    run_quietly(*COMPILERS["cortex-m3"], "-std=c11", build.include, "-fsyntax-only", source)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, "sgd", None), 9 + 6),
        ((3, "momentum", None), 9 + 18),
        ((2, "adam", None), 9 + 12 + 6),
        ((2, "sgd", 5), 9 + 12 + 5 + 5),
    ],
)
def test_every_part_counts(arguments, words):
    assert session_bytes(*arguments) == 4 * words


@pytest.mark.parametrize("layers", range(1, 6))
@pytest.mark.parametrize("classes", [None, 2, 3])
def test_a_board_that_chooses_has_a_session_of_whole_double_words(layers, classes):
    size = session_bytes(layers, "adam", classes, dynamic=True)
    assert size % 8 == 0
    assert size > session_bytes(layers, "adam", classes)
