# SPDX-License-Identifier: Apache-2.0
"""Instruction counts against code whose instructions are known, and builds of the size of a real model."""

import numpy as np
import pytest

from tt_tflm.boards.simulated import open_board
from tt_tflm.devices import core_names
from tt_tflm.errors import OverflowingMemoryError

pytestmark = pytest.mark.qemu

CORES = [name for name in core_names() if name != "host"]

HEADER = """
#ifndef TT_MODEL_H
#define TT_MODEL_H
#include "tt_adapt.h"
#define TT_MODEL_INPUT_ELEMENTS {inputs}
#define TT_MODEL_LABEL_ELEMENTS 1
#define TT_MODEL_LABEL_VECTOR 0
#define TT_MODEL_CLASSES 2
#define TT_MODEL_HAS_PROTOTYPES 0
#define TT_MODEL_DYNAMIC 0
#define TT_MODEL_ADAPTABLE 0
#define TT_MODEL_TRAINED_LAYERS 1
#define TT_MODEL_STATE_BYTES 8
#define TT_MODEL_ARENA_BYTES {arena}
#define TT_MODEL_REGIONS_BYTES {pool}
#define TT_MODEL_ROW_POOL_BYTES {pool}
extern const tt_model_t tt_model;
#endif
"""

# All that a simulation calls but what each of these models has of its own.
STUBS = """
#include "tt_model.h"
#include "tt_state.h"
#include "tt_storage_ram.h"
#define UNUSED __attribute__((unused))
#define STUB(name, ...) tt_status_t name(__VA_ARGS__) { return TT_OK; }
#define SESSION UNUSED tt_session_t *session
const tt_model_t tt_model;
STUB(tt_train_step, SESSION, UNUSED const float *x, UNUSED uint32_t label, UNUSED float *loss)
STUB(tt_train_step_to, SESSION, UNUSED const float *x, UNUSED const float *target, UNUSED float *loss)
STUB(tt_reset, SESSION)
STUB(tt_set_learning_rate, SESSION, UNUSED float rate)
STUB(tt_enroll, SESSION, UNUSED const float *x, UNUSED uint32_t label)
STUB(tt_embedding, SESSION, UNUSED const float *x, UNUSED float *embedding)
STUB(tt_forget_prototypes, SESSION)
STUB(tt_fisher_accumulate, SESSION, UNUSED const float *x, UNUSED uint32_t label)
STUB(tt_fisher_accumulate_to, SESSION, UNUSED const float *x, UNUSED const float *target)
STUB(tt_fisher_clear, SESSION)
STUB(tt_select, SESSION, UNUSED const tt_budget_t *budget)
STUB(tt_choose, SESSION, UNUSED const uint16_t *counts, UNUSED const uint16_t *channels)
STUB(tt_adapt, SESSION, UNUSED const tt_adaptation_t *task, UNUSED void *workspace, UNUSED size_t bytes,
     UNUSED float *losses)
STUB(tt_save, SESSION, UNUSED const tt_storage_t *storage)
STUB(tt_load, SESSION, UNUSED const tt_storage_t *storage)
STUB(tt_state_newest, UNUSED const tt_storage_t *storage, UNUSED tt_state_slot_t *slot)
tt_storage_t tt_storage_ram(UNUSED tt_storage_ram_t *ram, UNUSED void *memory, UNUSED uint32_t bytes)
{ const tt_storage_t none = {0}; return none; }
"""

KNOWN_LOOP = (
    STUBS
    + """
tt_status_t tt_init(tt_session_t *session, UNUSED const tt_model_t *model, void *arena, size_t arena_bytes,
                    void *row_pool, size_t row_pool_bytes)
{ (void)session; (void)arena; (void)arena_bytes; (void)row_pool; (void)row_pool_bytes; return TT_OK; }
/* As many turns as the bits of x[0] say: 2 + 2 * turns + 2 instructions. */
__attribute__((naked)) tt_status_t tt_predict(tt_session_t *session, const float *x, float *scores)
{ __asm__ volatile("ldr r3, [r1]\\n\\tstr r3, [r2]\\n1:\\tsubs r3, #1\\n\\tbne 1b\\n\\tmovs r0, #0\\n\\tbx lr"); }
"""
)

WEIGHTS, INPUTS, ARENA, POOL = 650_000, 50_000, 1_000_000, 200_000

LARGE_MODEL = (
    STUBS
    + f"""
static const float WEIGHTS[{WEIGHTS}] = {{[0] = 1.0f, [{WEIGHTS - 1}] = 2.0f}};
tt_status_t tt_init(tt_session_t *session, UNUSED const tt_model_t *model, void *arena, size_t arena_bytes,
                    void *row_pool, size_t row_pool_bytes)
{{
    session->arena = arena;
    session->row_pool = row_pool;
    for (size_t i = 0; i < arena_bytes / 4; ++i) ((float *)(void *)arena)[i] = (float)i;
    for (size_t i = 0; i < row_pool_bytes / 4; ++i) ((float *)(void *)row_pool)[i] = -(float)i;
    return TT_OK;
}}
tt_status_t tt_predict(tt_session_t *session, const float *x, float *scores)
{{
    const volatile float *weights = WEIGHTS;
    scores[0] = x[{INPUTS - 1}] * weights[{WEIGHTS - 1}] + weights[0];
    scores[1] = ((float *)(void *)session->arena)[{ARENA // 4 - 1}];
    scores[1] += ((float *)(void *)session->row_pool)[{POOL // 4 - 1}];
    return TT_OK;
}}
"""
)


@pytest.mark.parametrize("device", CORES)
def test_counts_are_exact_to_one_instruction(device, custom_files):
    header = HEADER.format(inputs=1, arena=16, pool=16)
    files = custom_files(header, KNOWN_LOOP, input_shape=[1], classes=2, arena_bytes=16, regions_bytes=16)
    with open_board(files, device) as board:
        # More than one period of every board's tick, and more ticks than a systick counter would hold.
        for turns in [*range(1, 140), 12_345, 50_000_000]:
            scores = board.predict(np.array([turns], np.uint32).view(np.float32))
            assert scores[:1].view(np.uint32)[0] == turns
            assert board.instructions["predict"] == 2 * turns + 4


@pytest.mark.parametrize("device", ["host", *CORES])
def test_a_large_model_fits(device, custom_files):
    header = HEADER.format(inputs=INPUTS, arena=ARENA, pool=POOL)
    files = custom_files(
        header, LARGE_MODEL, input_shape=[50, 500, 2], classes=2, arena_bytes=ARENA, regions_bytes=POOL
    )
    rows = {"layer": "head", "offset": 0, "channels": list(range(500)), "stride": 100, "row_length": 99}
    files.description["rows"].append(rows)
    files.base_rows["head"] = np.zeros((500, 100), np.float32)
    files.layers["head"] = Identity()
    x = np.random.default_rng(0).normal(size=(50, 500, 2)).astype(np.float32)
    with open_board(files, device) as board:
        np.testing.assert_allclose(board.predict(x), [2 * x[-1, -1, -1] + 1, ARENA // 4 - POOL // 4], rtol=1e-6)
        weights = board.weights()
    np.testing.assert_array_equal(weights["head/kernel"].reshape(-1), -np.arange(50_000, dtype=np.float32))
    assert "head/bias" not in weights


@pytest.mark.parametrize("device", ["cortex-m7"])
def test_a_model_beyond_the_boards_memory_is_told_in_one_line(device, custom_files):
    header = HEADER.format(inputs=1, arena=64_000_000, pool=16)
    files = custom_files(header, KNOWN_LOOP, input_shape=[1], classes=2, arena_bytes=64_000_000, regions_bytes=16)
    with pytest.raises(
        OverflowingMemoryError, match=r"received one of 4\d,\d{3},\d{3} B too much: simulate on"
    ) as error:
        open_board(files, device)
    assert "\n" not in str(error.value)


class Identity:
    def rows_to_kernel(self, rows):
        return rows, None
