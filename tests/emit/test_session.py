# SPDX-License-Identifier: Apache-2.0
"""The reported sizes of a session and of its row pool are the compiler's, on a 32-bit core."""

import json

import pytest

from .models import RECIPES
from .workshop import COMPILERS, need, run_quietly


@pytest.mark.parametrize("name", RECIPES)
def test_the_size_is_that_of_the_compiler(name, saved, tmp_path):
    need("arm-none-eabi-gcc")
    build = saved(name)
    report = json.loads(build.text("report.json"))
    source = tmp_path / "size.c"
    source.write_text(
        '#include "tt_model.h"\n'
        f'_Static_assert(sizeof(tt_session_t) == {report["session_bytes"]}u, "session");\n'
        f'_Static_assert(TT_MODEL_ROW_POOL_BYTES == {report["row_pool_bytes"]}u, "row pool");\n'
        f'_Static_assert(sizeof(void *) == 4u, "a 32-bit core");\n'
    )
    run_quietly(*COMPILERS["cortex-m3"], "-std=c11", build.include, "-fsyntax-only", source)
