# SPDX-License-Identifier: Apache-2.0
"""Buffers become bare pointers, scalars stay."""

import tvm
from tvm import tirx
from tvm.ir import PointerType, PrimType

from tvm_passes.kernels.loops import LoopNest, prim_func
from tvm_passes.unpacked_api import unpacked_api


def _kernel() -> tirx.PrimFunc:
    x, y = tirx.decl_buffer((64,), "float32", "x"), tirx.decl_buffer((64,), "uint32", "y")
    scale = tirx.Var("scale", "float32")
    nest = LoopNest()
    with nest.loop("i", 64) as i:
        nest.store(y, i, tirx.Cast("uint32", x[i] * scale))
    return prim_func([x, scale, y], nest).with_attr("tt", {"op": "kernel"})


def _after(function: tirx.PrimFunc) -> tirx.PrimFunc:
    return unpacked_api(tvm.IRModule({"kernel": function}))["kernel"]


def test_parameters_are_pointers_and_scalars():
    function = _after(_kernel())
    assert [str(v.name) for v in function.params] == ["x_p", "scale", "y_p"]
    types = [v.ty for v in function.params]
    assert [type(t) for t in types] == [PointerType, PrimType, PointerType]
    assert [str(types[0].element_type.dtype), str(types[2].element_type.dtype)] == ["float32", "uint32"]
    assert not any(tirx.is_buffer_var(v) for v in function.params)


def test_the_body_declares_the_buffers_on_the_pointers():
    before, after = _kernel(), _after(_kernel())
    x, y, loop = after.body.seq
    assert [str(d.buffer.name) for d in (x, y)] == ["x", "y"]
    assert [d.data.same_as(p) for d, p in ((x, after.params[0]), (y, after.params[2]))] == [True, True]
    tvm.ir.assert_structural_equal(loop, before.body, map_free_vars=True)


def test_attributes_stay():
    assert str(_after(_kernel()).attrs["tt"]["op"]) == "kernel"


def test_a_function_of_scalars_is_as_before():
    n = tirx.Var("n", "int32")
    function = tirx.PrimFunc([n], tirx.Evaluate(n + 1), PrimType("void"))
    tvm.ir.assert_structural_equal(_after(function), function, map_free_vars=True)
