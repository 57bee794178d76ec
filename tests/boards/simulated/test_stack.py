# SPDX-License-Identifier: Apache-2.0
"""The stack that calls take, against code whose need is known."""

import numpy as np
import pytest

from tt_tflm.boards.simulated import open_board

from .test_boards_at_scale import CORES, HEADER, STUBS

pytestmark = pytest.mark.qemu

# Takes as many bytes as the bits of x[0] say, and writes the last word.
KNOWN_DEPTH = (
    STUBS
    + """
tt_status_t tt_init(tt_session_t *session, UNUSED const tt_model_t *model, void *arena, size_t arena_bytes,
                    void *row_pool, size_t row_pool_bytes)
{ (void)session; (void)arena; (void)arena_bytes; (void)row_pool; (void)row_pool_bytes; return TT_OK; }
__attribute__((naked)) tt_status_t tt_predict(tt_session_t *session, const float *x, float *scores)
{ __asm__ volatile("ldr r3, [r1]\\n\\tsub sp, r3\\n\\tstr r3, [sp]\\n\\tadd sp, r3\\n\\tmovs r0, #0\\n\\tbx lr"); }
"""
)


@pytest.mark.parametrize("device", CORES)
def test_the_depth_is_exact(device, custom_files):
    header = HEADER.format(inputs=2, arena=16, pool=16)
    files = custom_files(header, KNOWN_DEPTH, input_shape=[2], classes=2, arena_bytes=16, regions_bytes=16)
    with open_board(files, device) as board:
        # The largest is kept.
        for depth, most in ((256, 256), (1024, 1024), (512, 1024), (4096, 4096), (8, 4096), (16384, 16384)):
            x = np.array([depth, 0], np.uint32).view(np.float32)
            board.predict(x)
            assert board.stack_bytes["predict"] == most


def test_the_host_measures_none(softmax_files, sample):
    with open_board(softmax_files, "host") as board:
        board.predict(sample)
        assert board.stack_bytes == {}
