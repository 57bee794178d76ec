# SPDX-License-Identifier: Apache-2.0
"""Which tensors share memory, from when to when they live, and that no two that are alive together share."""

from hypothesis import given
from hypothesis import strategies as st

from tvm_passes.kernel import OUT, Kernel, Param, steps_of
from tvm_passes.liveness import ALIGNMENT, Buffer, buffers_of, lower_bound, memory_of, root_names

from .programs import accumulate, binary, concat, module_of, unary
from .random_programs import FUNCTION, programs
from .symbolic import Symbols, run_steps
from .trials import same_in_every_run


def _memory(params, calls, outputs) -> dict[str, str]:
    """Result of each call to its memory, numbered by first use; parameters keep their names."""
    steps, results = steps_of(module_of(FUNCTION, params, calls, outputs), FUNCTION)
    memory = memory_of(steps, results)
    numbers: dict[str, str] = {}
    return {
        name: numbers.setdefault(memory[step.var], f"m{len(numbers)}") if ":" in memory[step.var] else memory[step.var]
        for (name, _, _), step in zip(calls, steps, strict=True)
    }


def test_a_chain_of_elementwise_calls_needs_one_buffer():
    calls = [("a", unary("clip", 8), ["x"]), ("b", unary("tanh", 8), ["a"]), ("c", unary("clip", 8), ["b"])]
    assert _memory({"x": 8}, calls, "c") == {"a": "m0", "b": "m0", "c": "m0"}


def test_parameters_are_never_overlaid():
    assert _memory({"x": 8}, [("a", unary("clip", 8), ["x"])], "a") == {"a": "m0"}


def test_an_operand_that_is_read_later_is_not_overlaid():
    calls = [("a", unary("clip", 8), ["x"]), ("b", unary("tanh", 8), ["a"]), ("c", binary("add", 8), ["b", "a"])]
    assert _memory({"x": 8}, calls, "c") == {"a": "m0", "b": "m1", "c": "m1"}


def test_the_second_operand_serves_where_the_first_lives_on():
    calls = [("a", unary("clip", 8), ["x"]), ("b", unary("tanh", 8), ["x"]), ("c", binary("add", 8), ["a", "b"])]
    assert _memory({"x": 8}, calls, ["c", "a"]) == {"a": "m0", "b": "m1", "c": "m1"}


def test_an_output_is_not_overlaid():
    calls = [("a", unary("clip", 8), ["x"]), ("b", unary("tanh", 8), ["a"])]
    assert _memory({"x": 8}, calls, ["a", "b"]) == {"a": "m0", "b": "m1"}


def test_kernels_that_read_around_write_elsewhere():
    params = (Param("x", 8), Param("y", 8, OUT))
    calls = [("a", unary("clip", 8), ["x"]), ("b", Kernel("avg_pool", params), ["a"])]
    assert _memory({"x": 8}, calls, "b") == {"a": "m0", "b": "m1"}


def test_results_in_place_share_the_memory_of_what_they_were_made_from():
    calls = [
        ("a", unary("clip", 8), ["x"]),
        ("b", unary("tanh", 8), ["x"]),
        ("c", accumulate(8), ["a", "b"]),
        ("d", accumulate(8), ["c", "total"]),
    ]
    assert _memory({"x": 8, "total": 8}, calls, "d") == {"a": "m0", "b": "m1", "c": "m1", "d": "total"}
    steps, _ = steps_of(module_of(FUNCTION, {"x": 8, "total": 8}, calls, "d"), FUNCTION)
    roots = root_names(steps)
    assert roots[steps[2].var] == roots[steps[1].var] == f"t1:{steps[1].var.name}"
    assert roots[steps[3].var] == "total"


def test_buffers_live_from_their_first_write_to_their_last_read():
    calls = [
        ("a", unary("clip", 3), ["x"]),
        ("b", concat(3, 3), ["a", "x"]),
        ("c", concat(6, 3), ["b", "a"]),
    ]
    steps, outputs = steps_of(module_of(FUNCTION, {"x": 3}, calls, "c"), FUNCTION)
    spans = [(buffer.size, buffer.first, buffer.last) for buffer in buffers_of(steps, outputs)]
    # Sizes are rounded up to the alignment; what is returned outlives the last step.
    assert spans == [(16, 0, 2), (32, 1, 2), (48, 2, 3)]


def test_masks_take_one_bit_per_element():
    calls = [("m", Kernel("clip_mask", (Param("y", 1024), Param("mask", 32, OUT, "uint32"))), ["x"])]
    steps, outputs = steps_of(module_of(FUNCTION, {"x": 1024}, calls, "m"), FUNCTION)
    assert [buffer.size for buffer in buffers_of(steps, outputs)] == [128]


def test_the_lower_bound_is_the_largest_set_alive_at_once():
    buffers = [Buffer("a", 16, 0, 2), Buffer("b", 64, 1, 3), Buffer("c", 32, 3, 4), Buffer("d", 16, 5, 5)]
    assert lower_bound(buffers) == 96
    assert lower_bound([]) == 0


@same_in_every_run(200)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)), max_size=12))
def test_the_lower_bound_equals_a_count_step_by_step(spans):
    buffers = [Buffer(str(i), 16 * n, min(a, b), max(a, b)) for i, (a, b, n) in enumerate(spans)]
    alive = [sum(b.size for b in buffers if b.first <= step <= b.last) for step in range(10)]
    assert lower_bound(buffers) == max(alive)
    for one in buffers:
        for other in buffers:
            together = any(one.first <= step <= one.last and other.first <= step <= other.last for step in range(10))
            assert one.overlaps(other) == together


@same_in_every_run(150)
@given(programs())
def test_sharing_never_changes_what_is_computed(module):
    steps, outputs = steps_of(module, FUNCTION)
    symbols = Symbols()
    memory = memory_of(steps, outputs)
    assert run_steps(symbols, steps, outputs, memory.__getitem__) == run_steps(symbols, steps, outputs)


@same_in_every_run(50)
@given(programs())
def test_shared_memory_is_as_large_as_every_tensor_in_it(module):
    steps, outputs = steps_of(module, FUNCTION)
    memory = memory_of(steps, outputs)
    sizes = {buffer.name: buffer.size for buffer in buffers_of(steps, outputs)}
    for step in steps:
        if step.alias is None:
            assert 0 <= sizes[memory[step.var]] - 4 * step.kernel.params[-1].elements < ALIGNMENT
