# SPDX-License-Identifier: Apache-2.0
"""Loop nests for declared kernels: which functions come out, and what they carry for the printer."""

import pytest
import tvm
from tvm.script import tirx as T

from tvm_passes.kernel import INOUT, Kernel, Param, kernel_of
from tvm_passes.kernels.geometry import Window
from tvm_passes.kernels.tiling import CORTEX_M, HOST
from tvm_passes.ops import KERNELS
from tvm_passes.schedule import Schedule, implement

from .programs import conv, module_of, softmax_loss, unary

CONV = conv(Window(4, 4, 2, 4, 4, 6, 3, 3, 1, 1, 1, 1), low=0.0)


def _module() -> tvm.IRModule:
    calls = [("a", CONV, ["x", "rows_0"]), ("b", unary("clip", 96, low=0.0), ["a"])]
    return module_of("predict", {"x": 32, "rows_0": 120}, calls, "b")


def test_a_kernel_gets_its_loop_nest():
    @T.prim_func(private=True)
    def expected(x: T.Buffer((96,), "float32"), y: T.Buffer((96,), "float32")) -> T.void:
        for i in range(96):
            y[i] = T.max(x[i], T.float32(0.0))

    scheduled = Schedule(HOST)(_module())["clip"]
    tvm.ir.assert_structural_equal(scheduled.without_attr("tt").body, expected.body, map_free_vars=True)


@pytest.mark.parametrize("tiling", [HOST, CORTEX_M], ids=["host", "cortex_m"])
def test_helpers_come_beside_the_entry_and_the_declaration_stays_readable(tiling):
    before = _module()
    after = Schedule(tiling)(before)
    assert {gv.name_hint for gv in after.functions} == {"clip", "conv2d", "conv2d_block2", "conv2d_block4", "predict"}
    assert kernel_of(after["conv2d"]) == CONV
    assert "tt" not in (after["conv2d_block4"].attrs or {})
    assert [str(p.name) for p in after["conv2d"].params] == ["x", "rows", "y"]


def test_relax_functions_call_the_same_kernels_as_before():
    before = _module()
    after = Schedule(HOST)(before)
    assert after["predict"].same_as(before["predict"])
    assert after.get_global_var("conv2d").same_as(before.get_global_var("conv2d"))


@pytest.mark.parametrize(
    ("kernel", "written", "aliased", "opaque"),
    [
        (CONV, ["y"], [], {"rows": "rows"}),
        (unary("tanh", 8), ["y"], ["x", "y"], {}),
        (Kernel("accumulate", (Param("g", 8), Param("acc", 8, INOUT))), ["acc"], [], {}),
        (softmax_loss(4), ["loss", "g"], ["output", "loss", "g"], {}),
    ],
)
def test_the_entry_tells_what_is_written_what_may_share_and_what_is_a_structure(kernel, written, aliased, opaque):
    attrs = implement("k", kernel, HOST)["k"].attrs
    assert [str(n) for n in attrs["tt.targets"]] == written
    assert [str(n) for n in attrs["tt.alias"]] == aliased
    assert {str(k): str(v) for k, v in attrs["tt.opaque"].items()} == opaque


def test_the_entry_has_the_declared_parameters_in_order():
    function = implement("k", softmax_loss(4), HOST)["k"]
    assert [str(p.name) for p in function.params] == ["output", "label", "loss", "g"]


def test_an_unknown_operation_is_named():
    with pytest.raises(ValueError, match=r"^expected one of .*accumulate, add, .*, received no_such$") as error:
        implement("k", Kernel("no_such", (Param("x", 1),)), HOST)
    assert all(op in str(error.value) for op in KERNELS)
    assert "\n" not in str(error.value)
