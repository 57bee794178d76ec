# SPDX-License-Identifier: Apache-2.0
"""Give every declared kernel its loop nest for the target core: a variant for its instruction sets, or that of all.

Before::

    def conv2d(x: T.Buffer((192,), ...), rows: T.Buffer((40,), ...), y: T.Buffer((256,), ...)):
        T.func_attr({"tt": {"op": "conv2d", ...}})
        T.evaluate(0)

After::

    def conv2d_block4(x, row0, row1, row2, row3, y):    # four output channels, rows by pointer
        ...
    def conv2d(x, rows, y):                             # walks the blocks
        for block in range(...):
            T.call_extern("conv2d_block4", x, tt_row(rows, block * 4), ..., y + block * 4)

The declaration stays readable on the entry function.
"""

from __future__ import annotations

import tvm
from tvm import tirx

from .kernel import INOUT, OUT, Kernel, is_declared, kernel_of
from .kernels.tiling import Tiling
from .kernels.variants import variant_for
from .ops import INT8_KERNELS, KERNELS


def Schedule(tiling: Tiling) -> tvm.transform.Pass:
    """The pass for that register blocking."""

    @tvm.transform.module_pass(opt_level=0, name="Schedule")
    def schedule(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        result = tvm.IRModule()
        for gv, function in module.functions.items():
            if not is_declared(function):
                result[gv] = function
                continue
            kernel = kernel_of(function)
            for name, implemented in implement(gv.name_hint, kernel, tiling).items():
                if name == gv.name_hint:
                    result[gv] = implemented.with_attr("tt", function.attrs["tt"])
                else:
                    result[tvm.ir.GlobalVar(name)] = implemented
        return result

    return schedule


def implement(name: str, kernel: Kernel, tiling: Tiling) -> dict[str, tirx.PrimFunc]:
    """The functions of one kernel, helpers first; the one called ``name`` has the declared parameters.

    Raises:
        ValueError: there is no kernel of that operation.
    """
    table = INT8_KERNELS if kernel.params[-1].dtype == "int8" else KERNELS
    builder = variant_for(kernel.op, kernel.params[-1].dtype, tiling.isa) or table.get(kernel.op)
    if builder is None:
        raise ValueError(f"expected one of {', '.join(sorted(table))}, received {kernel.op}")
    functions = builder(name, kernel, tiling)
    written = [p.name for p in kernel.params if p.role in (OUT, INOUT)]
    aliased = [*kernel.overlay, *(written if kernel.overlay else [])]
    prefix = {"float32": "", "int8": "int8_"}
    opaque = {p.name: prefix[p.dtype] + p.role for p in kernel.params if p.role not in ("in", OUT, INOUT)}
    entry = functions[name].with_attr("tt.targets", written).with_attr("tt.alias", aliased)
    functions[name] = entry.with_attr("tt.opaque", opaque)
    return functions
