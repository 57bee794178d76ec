# SPDX-License-Identifier: Apache-2.0
"""The layout of what persists: aligned, in order, without overlap, and as large as its contents."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tt_tflm.program.layout.row_pool import ALIGNMENT, Region, RowPool, lay_out, lay_out_dynamic

STATES = ((), ("velocity",), ("first_moment", "second_moment", "gradient"))
rows = st.dictionaries(
    st.integers(0, 40), st.tuples(st.text("ab/", min_size=1, max_size=3), st.integers(1, 500)), max_size=6
)
same_in_every_run = settings(max_examples=100, derandomize=True, deadline=None, database=None)


def _check(pool: RowPool) -> None:
    end = 0
    for region in pool.regions:
        assert region.offset % ALIGNMENT == 0
        assert 0 <= region.offset - end < ALIGNMENT
        end = region.offset + region.bytes
    assert 0 <= pool.bytes - end < ALIGNMENT
    assert pool.bytes % ALIGNMENT == 0


@same_in_every_run
@given(rows, st.sampled_from(STATES), st.integers(2, 9), st.one_of(st.none(), st.integers(1, 33)), st.integers(0, 200))
def test_regions_follow_each_other(rows, state, classes, elements, tables):
    pool = lay_out(rows, state, classes, elements, tables=tables)
    _check(pool)
    kinds = [region.kind for region in pool.regions]
    prototypes = ["prototypes"] * (2 if elements is not None else 0)
    assert kinds == [k for k in ("pool", *state) for _ in rows] + prototypes + ["tables"]
    assert pool.regions[-1].bytes == tables
    assert pool.regions_bytes == pool.regions[-1].offset
    for index, (_, floats) in rows.items():
        for kind in ("pool", *state):
            (region,) = (r for r in pool.regions if (r.kind, r.index) == (kind, index))
            assert region.bytes == 4 * floats
            assert pool.offset(kind, index) == region.offset


def test_rows_come_first_then_state_then_prototypes_then_tables():
    pool = lay_out({3: ("conv", 10), 5: ("logits", 3)}, ("velocity",), 4, 2, tables=20)
    assert pool.regions == (
        Region("pool", 3, "conv pool", 0, 40),
        Region("pool", 5, "logits pool", 48, 12),
        Region("velocity", 3, "conv velocity", 64, 40),
        Region("velocity", 5, "logits velocity", 112, 12),
        Region("prototypes", 0, "prototype sums", 128, 32),
        Region("prototypes", 1, "prototype counts", 160, 16),
        Region("tables", 0, "tables of the session", 176, 20),
    )
    assert pool.bytes == 208


def test_nothing_trained_needs_nothing():
    assert lay_out({}, ("velocity",), 2, None).bytes == 0


@same_in_every_run
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=8),
    st.integers(0, 4000),
    st.integers(2, 9),
    st.one_of(st.none(), st.integers(1, 33)),
    st.integers(0, 200),
)
def test_a_board_that_chooses_has_room_for_any_choice(channels, rows_bytes, classes, elements, tables):
    pool = lay_out_dynamic(channels, rows_bytes, classes, elements, tables)
    _check(pool)
    sizes = {region.kind: region.bytes for region in pool.regions if region.kind != "prototypes"}
    total = sum(channels)
    assert sizes == {
        "potentials": 4 * total,
        "slots": 2 * total,
        "channels": 2 * total,
        "rows": rows_bytes,
        "tables": tables,
    }


def test_an_unknown_region_is_no_offset():
    with pytest.raises(StopIteration):
        lay_out({0: ("conv", 4)}, (), 2, None).offset("velocity", 0)
