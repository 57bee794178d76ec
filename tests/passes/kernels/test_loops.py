# SPDX-License-Identifier: Apache-2.0
"""The builder of loop nests: what it emits, what it leaves out, what it folds."""

import pytest
import tvm
from tvm import tirx
from tvm.script import tirx as T

from tvm_passes.kernels.loops import (
    LoopNest,
    clipped,
    constant,
    mac,
    maximum,
    minimum,
    offset_pointer,
    prim_func,
    truncated_quotient,
)


def test_a_nest_is_ordinary_tir():
    x, y = (tirx.decl_buffer((8,), "float32", name) for name in "xy")
    nest = LoopNest()
    with nest.loop("i", 8) as i, nest.when(i < 4):
        total = nest.local("total", constant(0))
        nest.mac(total, x[i], x[i])
        nest.store(y, i, total[0])

    @T.prim_func(private=True)
    def expected(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")) -> T.void:
        for i in range(8):
            if i < 4:
                total = T.alloc_buffer((1,))
                total[0] = T.float32(0.0)
                total[0] = T.call_pure_extern("float32", "TT_MAC", total[0], x[i], x[i])
                y[i] = total[0]

    tvm.ir.assert_structural_equal(prim_func([x, y], nest), expected, map_free_vars=True)


@pytest.mark.parametrize(("start", "stop", "passes"), [(0, 3, None), (2, 3, 2), (3, 3, None), (4, 3, None)])
def test_loops_of_one_pass_are_inlined_and_empty_ones_dropped(start, stop, passes):
    y = tirx.decl_buffer((8,), "float32", "y")
    nest = LoopNest()
    with nest.loop("i", stop, start) as i:
        nest.store(y, i, constant(1))
    body = nest.body()
    if stop <= start:
        assert isinstance(body, tirx.Evaluate)
    elif stop == start + 1:
        assert isinstance(body, tirx.BufferStore)
        assert int(body.indices[0].value) == passes
    else:
        assert isinstance(body, tirx.For)


def test_pairs_are_one_load_and_one_store():
    x, y = (tirx.decl_buffer((8,), "float32", name) for name in "xy")
    nest = LoopNest()
    nest.save(y, 4, nest.load("p", x, 2, 2))
    load, store = nest.body().seq
    assert str(load.var.ty.dtype) == "float32x2"
    assert isinstance(store.indices[0], tirx.Ramp)
    assert len(nest.load("single", x, 2, 1)) == 1


def test_python_numbers_fold_and_expressions_do_not():
    i = tirx.Var("i", "int32")
    assert (maximum(2, 5), minimum(2, 5), truncated_quotient(-3, 2), truncated_quotient(i, 1)) == (5, 2, -1, i)
    assert isinstance(maximum(0, i), tirx.Max)
    assert isinstance(minimum(i, 3), tirx.Min)
    assert LoopNest().let("n", 7) == 7


def test_clips_apply_the_bounds_there_are():
    x = tirx.Var("x", "float32")
    assert clipped(x, None, None).same_as(x)
    assert isinstance(clipped(x, 0.0, None), tirx.Max)
    assert isinstance(clipped(x, None, 6.0), tirx.Min)
    assert isinstance(clipped(x, 0.0, 6.0).a, tirx.Max)


def test_calls_take_addresses_and_sums():
    x = tirx.decl_buffer((8,), "float32", "x")
    nest = LoopNest()
    nest.call("callee", offset_pointer(x, 4), mac(constant(1), constant(2), constant(3)))
    call = nest.body().value
    assert str(call.args[0].value) == "callee"
    assert str(call.args[1].op.name) == "tirx.address_of"
    assert str(call.args[2].args[0].value) == "TT_MAC"
