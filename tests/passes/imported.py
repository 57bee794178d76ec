# SPDX-License-Identifier: Apache-2.0
"""Modules as TVM's TFLite importer leaves them, and their value by TVM's own virtual machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax

from .trials import normal

Body = Callable[[Callable[[relax.Expr], relax.Var], relax.Var], relax.Var]


def imported(shape: tuple[int, ...], body: Body) -> tvm.IRModule:
    """A module whose ``main`` is ``body(emit, x)`` for an input of that shape."""
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x], attrs={"num_input": 1}):
        with builder.dataflow():
            output = builder.emit_output(body(builder.emit, x))
        builder.emit_func_output(output)
    return builder.get()


def run_imported(module: tvm.IRModule, x: np.ndarray) -> np.ndarray:
    """The value of ``main``, as TVM compiles it itself."""
    machine = relax.VirtualMachine(tvm.compile(module, "llvm"), tvm.cpu())
    result = machine["main"](tvm.runtime.tensor(x))
    return (result if hasattr(result, "numpy") else result[0]).numpy()


def constant(*shape: int, seed: int = 0) -> relax.Expr:
    """Normally distributed weights."""
    return relax.const(normal(np.random.default_rng(seed), *shape))


def conv2d(x: relax.Expr, kernel: relax.Expr, strides: int | tuple[int, int] = 1, **options: object) -> relax.Expr:
    """A convolution in the importer's layouts."""
    strides = list(strides) if isinstance(strides, tuple) else [strides, strides]
    options = {"padding": [0, 0, 0, 0], "kernel_layout": "HWIO", **options}
    return relax.op.nn.conv2d(x, kernel, strides=strides, data_layout="NHWC", **options)
