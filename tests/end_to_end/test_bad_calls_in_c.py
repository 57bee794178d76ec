# SPDX-License-Identifier: Apache-2.0
"""What firmware may get wrong, an arena too small above all, against the C interface of a generated build."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from oracle.boards import convert
from oracle.fixed_nets import CLASSES, small_embedding
from oracle.reference import SGD, PrototypeLoss

# Each line of output: the call, the status expected, the status received, its text.
PROGRAM = r"""
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include "tt_model.h"

#define ALIGNED __attribute__((aligned(16)))

static ALIGNED uint8_t arena[TT_MODEL_ARENA_BYTES + 16];
static ALIGNED uint8_t pool[TT_MODEL_ROW_POOL_BYTES + 16];
static float x[TT_MODEL_INPUT_ELEMENTS];
static float bad_x[TT_MODEL_INPUT_ELEMENTS];
static float scores[TT_MODEL_CLASSES];
static float embedding[TT_MODEL_EMBEDDING_ELEMENTS];
static tt_session_t session;

#define TRY(expected, call) \
    do { \
        const tt_status_t status = (call); \
        printf("%s|%d|%d|%s\n", #call, (int)(expected), (int)status, tt_status_text(status)); \
    } while (0)

int main(void)
{
    float loss;
    const size_t arena_bytes = TT_MODEL_ARENA_BYTES, pool_bytes = TT_MODEL_ROW_POOL_BYTES;
    for (size_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
        x[i] = 0.5f - 0.01f * (float)(i % 7u);
        bad_x[i] = x[i];
    }
    bad_x[3] = NAN;

    TRY(TT_ERROR_NOT_INITIALISED, tt_predict(&session, x, scores));
    TRY(TT_ERROR_ARENA_TOO_SMALL, tt_init(&session, &tt_model, arena, arena_bytes - 1, pool, pool_bytes));
    TRY(TT_ERROR_ARENA_TOO_SMALL, tt_init(&session, &tt_model, arena, 0, pool, pool_bytes));
    TRY(TT_ERROR_NOT_INITIALISED, tt_train_step(&session, x, 0, &loss));
    TRY(TT_ERROR_ROW_POOL_TOO_SMALL, tt_init(&session, &tt_model, arena, arena_bytes, pool, pool_bytes - 1));
    TRY(TT_ERROR_MISALIGNED, tt_init(&session, &tt_model, arena + 4, arena_bytes, pool, pool_bytes));
    TRY(TT_ERROR_MISALIGNED, tt_init(&session, &tt_model, arena, arena_bytes, pool + 8, pool_bytes));
    TRY(TT_ERROR_NULL_POINTER, tt_init(NULL, &tt_model, arena, arena_bytes, pool, pool_bytes));
    TRY(TT_ERROR_NULL_POINTER, tt_init(&session, &tt_model, NULL, arena_bytes, pool, pool_bytes));
    TRY(TT_ERROR_NULL_POINTER, tt_init(&session, &tt_model, arena, arena_bytes, NULL, pool_bytes));
    TRY(TT_ERROR_NOT_INITIALISED, tt_reset(&session));

    TRY(TT_OK, tt_init(&session, &tt_model, arena, arena_bytes, pool, pool_bytes));
    TRY(TT_ERROR_NOT_ENROLLED, tt_predict(&session, x, scores));
    TRY(TT_OK, tt_enroll(&session, x, 1));
    TRY(TT_ERROR_NULL_POINTER, tt_predict(NULL, x, scores));
    TRY(TT_ERROR_NULL_POINTER, tt_predict(&session, NULL, scores));
    TRY(TT_ERROR_NULL_POINTER, tt_predict(&session, x, NULL));
    TRY(TT_ERROR_NULL_POINTER, tt_embedding(&session, x, NULL));
    TRY(TT_ERROR_NULL_POINTER, tt_train_step(&session, NULL, 1, &loss));
    TRY(TT_ERROR_LABEL_OUT_OF_RANGE, tt_enroll(&session, x, TT_MODEL_CLASSES));
    TRY(TT_ERROR_LABEL_OUT_OF_RANGE, tt_train_step(&session, x, TT_MODEL_CLASSES, &loss));
    TRY(TT_ERROR_LABEL_OUT_OF_RANGE, tt_train_step(&session, x, UINT32_MAX, &loss));
    TRY(TT_ERROR_NOT_ENROLLED, tt_train_step(&session, x, 0, &loss));
    TRY(TT_ERROR_NOT_FINITE, tt_predict(&session, bad_x, scores));
    TRY(TT_ERROR_NOT_FINITE, tt_enroll(&session, bad_x, 1));
    TRY(TT_ERROR_NOT_FINITE, tt_embedding(&session, bad_x, embedding));
    TRY(TT_ERROR_NOT_FINITE, tt_train_step(&session, bad_x, 1, &loss));
    TRY(TT_ERROR_INVALID_ARGUMENT, tt_set_learning_rate(&session, -1.0f));
    TRY(TT_ERROR_INVALID_ARGUMENT, tt_set_learning_rate(&session, NAN));
    TRY(TT_OK, tt_train_step(&session, x, 1, &loss));
    TRY(TT_OK, tt_predict(&session, x, scores));
    return 0;
}
"""
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="not installed: cc")


def test_every_misuse_has_its_status_and_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(small_embedding(), PrototypeLoss(CLASSES), SGD(0.01), {"embedding": "all", "conv": [1]}).save(out)
    (tmp_path / "misuse.c").write_text(PROGRAM)
    sources = [out / line for line in (out / "sources.txt").read_text().split()]
    assert sources
    assert all(source.is_relative_to(out / "src") for source in sources)
    flags = ["-std=gnu99", "-O1", "-g", *SANITIZERS, f"-I{out / 'include'}"]
    program = tmp_path / "misuse"
    command = ["cc", *flags, *map(str, sources), str(tmp_path / "misuse.c"), "-lm", "-o", str(program)]
    subprocess.run(command, check=True, timeout=120)
    # A sanitiser that cannot trace leaks under a debugger or in a sandbox would fail for a reason of its own.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    run = subprocess.run([str(program)], capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    lines = [line.split("|") for line in run.stdout.splitlines()]
    assert len(lines) == PROGRAM.count("    TRY(")
    for call, expected, received, text in lines:
        assert received == expected, f"{call}: {text}"
        assert text and text == text.strip(), call
    arena_text = next(text for call, _, _, text in lines if "arena_bytes - 1" in call)
    assert "arena" in arena_text
