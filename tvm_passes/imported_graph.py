# SPDX-License-Identifier: Apache-2.0
"""Reading an imported Relax graph: operands, shapes, constants, and the error for what has no kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm_ffi
from tvm import relax


@tvm_ffi.register_error
class UnsupportedGraphError(ValueError):
    """The imported graph holds an operator, or a use of one, that has no kernel here."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: a new variable or a constant, its shape, and zero padding that is still to be applied."""

    var: relax.Var | None
    shape: tuple[int, ...]
    array: np.ndarray | None = None
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right

    @property
    def elements(self) -> int:
        """Number of elements, padding not counted."""
        return int(np.prod(self.shape, dtype=np.int64))


def arguments_of(value: Any) -> list[Any]:
    """The operands of a binding, tuples spread out."""
    if isinstance(value, relax.Var):
        return [value]
    if isinstance(value, relax.Tuple):
        return [a for field in value.fields for a in arguments_of(field)]
    if not isinstance(value, relax.Call):
        return []
    return [a for arg in value.args for a in (arg.fields if isinstance(arg, relax.Tuple) else [arg])]


def shape_of(var: relax.Var) -> tuple[int, ...]:
    """The static shape of a tensor."""
    return tuple(int(d) for d in var.ty.shape)


def core_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without leading ones, which broadcasting adds."""
    first = next((i for i, d in enumerate(shape) if d != 1), len(shape))
    return shape[first:]


def clip_bounds(call: relax.Call) -> tuple[float | None, float | None]:
    """The bounds of a clip, None where one is infinite."""
    low, high = (float(a.value) for a in call.args[1:3])
    return (low if np.isfinite(low) else None), (high if np.isfinite(high) else None)


def conv_rows(call: relax.Call) -> np.ndarray:
    """Kernel constants as (channels, kh * kw * cin of the group)."""
    if isinstance(call.args[1], relax.Var):
        raise UnsupportedGraphError("expected a convolution with constant weights, received two activations")
    weights = call.args[1].value.numpy()
    layout, groups = str(call.attrs.kernel_layout), int(call.attrs.groups)
    if layout == "HWIO" and groups == 1:
        return np.ascontiguousarray(weights.transpose(3, 0, 1, 2).reshape(weights.shape[3], -1))
    if layout == "HWOI" and weights.shape[3] == 1:
        return np.ascontiguousarray(weights[..., 0].transpose(2, 0, 1).reshape(weights.shape[2], -1))
    raise UnsupportedGraphError(f"expected a dense or depthwise convolution, received {groups} groups in layout {layout}")
