# SPDX-License-Identifier: Apache-2.0
"""Packing: live buffers never overlap, the size is never below the bound and seldom above."""

import time

from hypothesis import given
from hypothesis import strategies as st

from tvm_passes.liveness import Buffer, lower_bound
from tvm_passes.pack import pack

from .trials import Draw, same_in_every_run


@st.composite
def buffer_sets(draw: Draw) -> list[Buffer]:
    spans = draw(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(1, 40)), max_size=25))
    return [Buffer(f"b{i}", 16 * size, min(a, b), max(a, b)) for i, (a, b, size) in enumerate(spans)]


@same_in_every_run(200)
@given(buffer_sets())
def test_live_buffers_do_not_overlap(buffers):
    offsets, size = pack(buffers) if buffers else ({}, 0)
    assert set(offsets) == {b.name for b in buffers}
    for i, one in enumerate(buffers):
        assert offsets[one.name] >= 0
        assert offsets[one.name] + one.size <= size
        for other in buffers[:i]:
            apart = (
                offsets[one.name] + one.size <= offsets[other.name]
                or offsets[other.name] + other.size <= offsets[one.name]
            )
            assert apart or not one.overlaps(other)


@same_in_every_run(200)
@given(buffer_sets().filter(bool))
def test_the_size_lies_between_the_bound_and_the_sum(buffers):
    _, size = pack(buffers)
    assert lower_bound(buffers) <= size <= sum(b.size for b in buffers)


@same_in_every_run(50)
@given(buffer_sets().filter(bool))
def test_offsets_keep_the_alignment_and_are_the_same_every_time(buffers):
    offsets, size = pack(buffers)
    assert all(offset % 16 == 0 for offset in offsets.values())
    assert pack(list(buffers)) == (offsets, size)


def test_buffers_that_follow_each_other_share_memory():
    chain = [Buffer("a", 64, 0, 1), Buffer("b", 32, 1, 2), Buffer("c", 64, 2, 3)]
    offsets, size = pack(chain)
    assert size == lower_bound(chain) == 96
    assert offsets["a"] == offsets["c"]


def test_a_late_small_buffer_finds_the_gap():
    buffers = [Buffer("low", 16, 0, 4), Buffer("gap", 32, 0, 1), Buffer("high", 16, 0, 4), Buffer("late", 32, 2, 4)]
    offsets, size = pack(buffers)
    assert (size, offsets["late"]) == (64, offsets["gap"])


def test_hundreds_of_buffers_are_packed_in_seconds():
    # Longer than any forward and backward pass in use: activations that live from one end to the other.
    buffers = [Buffer(f"f{i}", 16 * (1 + i * 7 % 90), i, 400 - i) for i in range(150)]
    buffers += [Buffer(f"t{i}", 16 * (1 + i * 13 % 50), i, i + 1) for i in range(400)]
    started = time.monotonic()
    _, size = pack(buffers)
    assert time.monotonic() - started < 30
    assert size <= 1.1 * lower_bound(buffers)
