# SPDX-License-Identifier: Apache-2.0
"""Reading an imported Relax graph: operands, shapes, constants, and the error for what has no kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm_ffi
from tvm import relax
from tvm.relax.dpl import CallPattern, DFPattern


@tvm_ffi.register_error
class UnsupportedGraphError(ValueError):
    """The imported graph holds an operator, or a use of one, that has no kernel here.

    Attributes:
        layer: number of the last layer with weights before it; None where there is none, or it is not known.
    """

    def __init__(self, message: str, layer: int | None = None) -> None:
        super().__init__(message)
        self.layer = layer


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


class ImportedGraph:
    """The bindings of an imported function, and who reads what.

    Attributes:
        bindings: in order.
        consumers: variable -> the bindings that read it.
        result: the variable that the function returns.
    """

    def __init__(self, function: relax.Function) -> None:
        self._function = function
        self.bindings = [b for block in function.body.blocks for b in block.bindings]
        self.consumers: dict[relax.Var, list[Any]] = {}
        self._definitions = {binding.var: binding.value for binding in self.bindings}
        for binding in self.bindings:
            for argument in arguments_of(binding.value):
                if isinstance(argument, relax.Var):
                    self.consumers.setdefault(argument, []).append(binding)
        body = function.body.body
        self.result = body if isinstance(body, relax.Var) else body.fields[0]

    def definition(self, var: relax.Var) -> Any:
        """What a binding sets ``var`` to; None for a parameter."""
        return self._definitions.get(var)

    def named_after(self, var: relax.Var) -> str | None:
        """The name of the nearest variable from ``var`` on that has one of its own: importers number the others."""
        pending, met = [var], {var}
        while pending:
            var = pending.pop(0)
            if not re.fullmatch(r"(lv|gv)\d*", str(var.name)):
                return str(var.name)
            readers = [reader.var for reader in self.consumers.get(var, []) if reader.var not in met]
            pending += readers
            met.update(readers)
        return None

    def only_consumer(self, var: relax.Var, op: str) -> Any | None:
        """The one binding that reads ``var``, if there is just one and it is a call of Relax operator ``op``."""
        consumers = self.consumers.get(var, [])
        if len(consumers) != 1 or var.same_as(self.result):
            return None
        value = consumers[0].value
        return consumers[0] if isinstance(value, relax.Call) and str(value.op.name) == f"relax.{op}" else None

    def bias(self, binding: Any, channels: int) -> tuple[Any, np.ndarray] | None:
        """The addition of a constant per channel that follows ``binding`` and nothing else reads, if there is one."""
        consumer = self.only_consumer(binding.var, "add")
        if consumer is None:
            return None
        other = [a for a in consumer.value.args if not a.same_as(binding.var)]
        if len(other) != 1 or isinstance(other[0], relax.Var):
            return None
        array = other[0].value.numpy()
        if not per_channel(array, channels):
            return None
        return consumer, np.broadcast_to(array.ravel(), (channels,))

    def matches(self, pattern: DFPattern, operand: DFPattern) -> Iterator[tuple[relax.Var, relax.Var, set[relax.Var]]]:
        """Where a pattern of several operators holds and nothing else reads what they compute on the way.

        Args:
            pattern: of the result.
            operand: the part of it that stands for the operand.

        Yields:
            The variable of the result, that of the operand, and those between.
        """
        values = relax.analysis.get_var2val(self._function)
        variables = {binding.value: binding.var for binding in self.bindings if isinstance(binding.value, relax.Call)}
        for binding in self.bindings:
            if not isinstance(binding.value, relax.Call):
                continue
            found = pattern.extract_matched_expr(binding.value, values)
            if found is None:
                continue
            source = variables.get(found[operand], found[operand])
            calls = {variables[value] for part, value in found.items() if isinstance(part, CallPattern)}
            between = calls - {binding.var, source}
            readers = [reader.var for var in between for reader in self.consumers.get(var, [])]
            if isinstance(source, relax.Var) and self.result not in between and set(readers) <= calls:
                yield binding.var, source, between


def arguments_of(value: Any) -> list[Any]:
    """The operands of a binding, tuples spread out."""
    if isinstance(value, relax.Var):
        return [value]
    if isinstance(value, relax.Tuple):
        return [a for field in value.fields for a in arguments_of(field)]
    if isinstance(value, relax.TupleGetItem):
        return [value.tuple_value]
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


def per_channel(array: np.ndarray, channels: int) -> bool:
    """Whether a constant is one value, or one for every channel along the last axis."""
    return array.size == 1 or array.shape[-1] == array.size == channels


def clip_bounds(call: relax.Call) -> tuple[float | None, float | None]:
    """The bounds of a clip, None where one is infinite."""
    low, high = (float(a.value) for a in call.args[1:3])
    return (low if np.isfinite(low) else None), (high if np.isfinite(high) else None)


def conv_rows(call: relax.Call) -> np.ndarray:
    """Kernel constants of a convolution, in whatever layout, as (channels, kh * kw * cin of the group)."""
    if isinstance(call.args[1], relax.Var):
        raise UnsupportedGraphError("expected a convolution with constant weights, received two activations")
    layout = str(call.attrs.kernel_layout)
    weights = call.args[1].value.numpy().transpose([layout.index(axis) for axis in "OHWI"])
    return np.ascontiguousarray(weights.reshape(weights.shape[0], -1))
