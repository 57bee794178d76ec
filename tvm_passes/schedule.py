# SPDX-License-Identifier: Apache-2.0
"""Give every declared kernel its loop nest for the target core.

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

from collections.abc import Callable

import tvm
from tvm import tirx

from .kernel import INOUT, LOSS, OUT, UPDATE, Kernel, is_declared, kernel_of
from .kernels import conv2d, conv2d_int8, depthwise, depthwise_int8, elementwise, int8, layout, pool, runtime
from .kernels.tiling import Tiling

KERNELS: dict[str, Callable[[str, Kernel, Tiling], dict[str, tirx.PrimFunc]]] = {
    "conv2d": conv2d.forward,
    "conv2d_grad_input": conv2d.grad_input,
    "conv2d_grad_weights": conv2d.grad_weights,
    "depthwise_conv2d": depthwise.forward,
    "depthwise_conv2d_grad_input": depthwise.grad_input,
    "depthwise_conv2d_grad_weights": depthwise.grad_weights,
    "clip": elementwise.clip,
    "clip_grad": elementwise.clip_grad,
    "clip_mask": elementwise.clip_mask,
    "mask_grad": elementwise.mask_grad,
    "leaky_relu": elementwise.leaky_relu,
    "leaky_relu_grad": elementwise.leaky_relu_grad,
    "sigmoid": elementwise.sigmoid,
    "sigmoid_grad": elementwise.sigmoid_grad,
    "tanh": elementwise.tanh,
    "tanh_grad": elementwise.tanh_grad,
    "hard_swish": elementwise.hard_swish,
    "hard_swish_grad": elementwise.hard_swish_grad,
    "softmax": elementwise.softmax,
    "softmax_grad": elementwise.softmax_grad,
    "add": elementwise.add,
    "accumulate": elementwise.accumulate,
    "copy": elementwise.copy,
    "multiply": elementwise.multiply,
    "multiply_channel": elementwise.multiply_channel,
    "channel_dot": elementwise.channel_dot,
    "affine": elementwise.affine,
    "avg_pool": pool.avg_pool,
    "avg_pool_grad": pool.avg_pool_grad,
    "max_pool": pool.max_pool,
    "max_pool_grad": pool.max_pool_grad,
    "concat": layout.concat,
    "slice": layout.slice_of,
    "pad2d": layout.pad2d,
    "crop2d": layout.crop2d,
    LOSS: runtime.loss,
    UPDATE: runtime.optimizer_update,
    "fisher_potential": runtime.fisher_potential,
    "dequantize": int8.dequantize,
}
# Those whose output is int8.
INT8_KERNELS: dict[str, Callable[[str, Kernel, Tiling], dict[str, tirx.PrimFunc]]] = {
    "quantize": int8.quantize,
    "requantize": int8.requantize,
    "clip": int8.requantize,
    "conv2d": conv2d_int8.forward,
    "depthwise_conv2d": depthwise_int8.forward,
    "add": int8.add,
    "avg_pool": pool.avg_pool,
    "max_pool": pool.max_pool,
    "concat": layout.concat,
    "pad2d": layout.pad2d,
}


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
    builder = table.get(kernel.op)
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
