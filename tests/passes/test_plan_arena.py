# SPDX-License-Identifier: Apache-2.0
"""Placing every tensor: explicit memory, a plan that reads back, and a run of the plan on symbols."""

import tvm
from hypothesis import given
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from tvm_passes.kernel import steps_of
from tvm_passes.plan_arena import Place, PlanArena, read_plan

from .programs import accumulate, binary, concat, module_of, unary
from .random_programs import FUNCTION, programs
from .symbolic import Symbols, run_plan, run_steps
from .trials import same_in_every_run


@I.ir_module
class Planned:
    @T.prim_func(private=True)
    def clip(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")) -> T.void:
        T.func_attr({"tt": {"attrs": {}, "op": "clip", "overlay": ["x"], "roles": ["in", "out"]}})
        T.evaluate(0)

    @T.prim_func(private=True)
    def concat(x0: T.Buffer((8,), "float32"), x1: T.Buffer((8,), "float32"), y: T.Buffer((16,), "float32")) -> T.void:
        T.func_attr({"tt": {"attrs": {"outer": 1}, "op": "concat", "overlay": [], "roles": ["in", "in", "out"]}})
        T.evaluate(0)

    @R.function
    def f(x: R.Tensor((8,), "float32")) -> R.Tensor((16,), "float32"):
        R.func_attr({"arena_bytes": 96, "arena_lower_bound_bytes": 96})
        cls = Planned
        arena: R.Object = R.memory.alloc_storage(R.shape([96]), R.prim_value(0), R.str("global"), R.dtype("uint8"))
        a: R.Tensor((8,), "float32") = R.memory.alloc_tensor(arena, R.prim_value(64), R.shape([8]), R.dtype("float32"))
        _ = cls.clip(x, a)
        b: R.Tensor((8,), "float32") = R.memory.alloc_tensor(arena, R.prim_value(64), R.shape([8]), R.dtype("float32"))
        _1 = cls.clip(a, b)
        c: R.Tensor((16,), "float32") = R.memory.alloc_tensor(arena, R.prim_value(0), R.shape([16]), R.dtype("float32"))
        _2 = cls.concat(b, b, c)
        return c


def _chain() -> tvm.IRModule:
    calls = [("a", unary("clip", 8), ["x"]), ("b", unary("clip", 8), ["a"]), ("c", concat(8, 8), ["b", "b"])]
    return module_of(FUNCTION, {"x": 8}, calls, "c")


def test_memory_becomes_explicit():
    tvm.ir.assert_structural_equal(PlanArena()(_chain()), Planned)


def test_the_plan_reads_back_as_data():
    plan = read_plan(PlanArena()(_chain()), FUNCTION)
    shared, out = Place(64, 8, "float32"), Place(0, 16, "float32")
    assert (plan.name, plan.params, plan.outputs) == (FUNCTION, ("x",), (out,))
    assert [(call.name, call.operands) for call in plan.calls] == [
        ("clip", ("x", shared)),
        ("clip", (shared, shared)),
        ("concat", (shared, shared, out)),
    ]
    assert plan.calls[0].kernel == unary("clip", 8)
    assert (plan.arena_bytes, plan.arena_lower_bound_bytes) == (96, 96)


def test_results_in_place_need_no_memory():
    calls = [("t", accumulate(8), ["x", "total"])]
    plan = read_plan(PlanArena()(module_of(FUNCTION, {"x": 8, "total": 8}, calls, ["t"])), FUNCTION)
    assert (plan.arena_bytes, plan.outputs) == (0, ("total",))
    assert plan.calls[0].operands == ("x", "total")


def test_constants_stay_operands():
    constants = {"c": relax.const([1.0, 2.0], "float32")}
    module = module_of(FUNCTION, {"x": 2}, [("y", binary("add", 2), ["x", "c"])], "y", constants=constants)
    (call,) = read_plan(PlanArena()(module), FUNCTION).calls
    assert call.operands[1].value.numpy().tolist() == [1.0, 2.0]


def test_every_function_gets_a_plan_of_its_own():
    module = module_of("g", {"x": 4}, [("y", concat(4, 4), ["x", "x"])], "y", _chain())
    planned = PlanArena()(module)
    assert [read_plan(planned, name).arena_bytes for name in (FUNCTION, "g")] == [96, 32]


def test_attributes_stay():
    module = _chain()
    module[FUNCTION] = module[FUNCTION].with_attr("gradients", [2])
    assert [int(i) for i in PlanArena()(module)[FUNCTION].attrs["gradients"]] == [2]


@same_in_every_run(200)
@given(programs())
def test_what_is_read_from_the_arena_is_what_was_written(module):
    plan = read_plan(PlanArena()(module), FUNCTION)
    symbols = Symbols()
    assert run_plan(symbols, plan) == run_steps(symbols, *steps_of(module, FUNCTION))
    assert plan.arena_bytes >= plan.arena_lower_bound_bytes
    places = [o for call in plan.calls for o in call.operands if isinstance(o, Place)]
    assert all(place.offset % 16 == 0 for place in places)
