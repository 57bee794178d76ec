# SPDX-License-Identifier: Apache-2.0
"""The order of calls: dependencies are kept, the peak never grows, and gradients go before what frees less."""

import tvm
from hypothesis import given

from tvm_passes.kernel import INOUT, OUT, ROWS, Kernel, Param, steps_of
from tvm_passes.liveness import buffers_of, lower_bound
from tvm_passes.order import Order, dependencies

from .programs import accumulate, lines_of, module_of, unary
from .random_programs import FUNCTION, programs
from .symbolic import Symbols, run_steps
from .trials import same_in_every_run


def _peak(module: tvm.IRModule) -> int:
    return lower_bound(buffers_of(*steps_of(module, FUNCTION)))


def _grow(n: int, more: int) -> Kernel:
    return Kernel("grow", (Param("x", n), Param("y", more, OUT)))


def _weights(n: int, rows: int, role: str) -> Kernel:
    return Kernel("conv2d_grad_weights", (Param("g", n), Param("rows", rows, ROWS), Param("d", rows, role)))


def _input(n: int, rows: int) -> Kernel:
    return Kernel("conv2d_grad_input", (Param("g", n), Param("rows", rows, ROWS), Param("dx", n, OUT)))


def test_the_weight_gradient_goes_first_where_that_frees_memory():
    calls = [
        ("g", unary("clip", 64), ["x"]),
        ("small", _grow(64, 4), ["g"]),
        ("big", _grow(64, 64), ["x"]),
        ("end", _grow(64, 4), ["big"]),
    ]
    best = ["%0 = clip(x)", "%1 = grow(%0)", "%2 = grow(x)", "%3 = grow(%2)"]
    assert lines_of(Order()(module_of(FUNCTION, {"x": 64}, calls, ["small", "end"])), FUNCTION) == best
    calls[1], calls[2] = calls[2], calls[1]
    worse = module_of(FUNCTION, {"x": 64}, calls, ["small", "end"])
    assert lines_of(worse, FUNCTION) != best
    assert lines_of(Order()(worse), FUNCTION) == best


def test_an_order_that_is_as_good_stays():
    calls = [("a", unary("clip", 8), ["x"]), ("b", unary("tanh", 8), ["x"])]
    before = module_of(FUNCTION, {"x": 8}, calls, ["a", "b"])
    tvm.ir.assert_structural_equal(Order()(before), before)


def test_attributes_and_the_form_of_the_result_stay():
    calls = [("big", _grow(4, 64), ["x"]), ("small", _grow(4, 4), ["x"]), ("end", _grow(64, 4), ["big"])]
    for outputs in ("end", ["end", "small"]):
        module = module_of(FUNCTION, {"x": 4}, calls, outputs)
        module[FUNCTION] = module[FUNCTION].with_attr("gradients", [3, 1])
        after = Order()(module)[FUNCTION]
        assert [int(i) for i in after.attrs["gradients"]] == [3, 1]
        assert type(after.body.body) is type(module[FUNCTION].body.body)


def test_rows_are_updated_after_every_reader():
    calls = [
        ("d", _input(8, 6), ["x", "rows_0"]),
        ("e", _input(8, 6), ["x", "rows_1"]),
        ("p", _weights(8, 6, INOUT), ["x", "pool_0"]),
    ]
    params = {"x": 8, "rows_0": 6, "rows_1": 6, "pool_0": 6}
    calls[2] = ("p", Kernel("update", (Param("g", 8), Param("pool", 6, INOUT))), ["x", "pool_0"])
    steps, _ = steps_of(module_of(FUNCTION, params, calls, ["d", "e", "p"]), FUNCTION)
    assert dependencies(steps) == [set(), set(), {0}]


def test_dependencies_are_definitions_and_hazards():
    calls = [
        ("a", unary("clip", 8), ["x"]),
        ("b", unary("tanh", 8), ["a"]),  # reads what 2 overwrites
        ("c", accumulate(8), ["x", "a"]),
        ("d", unary("tanh", 8), ["c"]),  # reads what 2 wrote
        ("e", accumulate(8), ["x", "c"]),  # writes what 2 wrote and 3 read
    ]
    steps, _ = steps_of(module_of(FUNCTION, {"x": 8}, calls, ["b", "d", "e"]), FUNCTION)
    assert dependencies(steps) == [set(), {0}, {0, 1}, {2}, {2, 3}]


@same_in_every_run(150)
@given(programs())
def test_every_call_stays_and_computes_the_same(module):
    after = Order()(module)
    symbols = Symbols()
    assert run_steps(symbols, *steps_of(after, FUNCTION)) == run_steps(symbols, *steps_of(module, FUNCTION))
    operations = [sorted(step.kernel.op for step in steps_of(m, FUNCTION)[0]) for m in (module, after)]
    assert operations[0] == operations[1]


@same_in_every_run(150)
@given(programs())
def test_the_peak_never_grows(module):
    assert _peak(Order()(module)) <= _peak(module)
