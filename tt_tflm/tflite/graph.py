# SPDX-License-Identifier: Apache-2.0
"""A graph of TFLite tensors and operators whose places in TFLM's arena are those that the arena planner gave them.

TFLM reads such places from the metadata entry ``OfflineMemoryAllocation``: int32 version, subgraph, number of tensors,
and for every tensor its offset in bytes, or -1 where TFLM is to find a place. So there is one planner, and elementwise
operators may write over an operand, which TFLM's own planner never allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tt_tflm.tflite.writer import TfliteWriter

_OFFLINE_PLAN = "OfflineMemoryAllocation"
_PLAN_VERSION = 1
_ANYWHERE = -1


@dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Args:
        tensor: its number.
        shape: as declared.
        dtype: float32 or int32.
        offset: in the arena, None where TFLM places it.
    """

    tensor: int
    shape: tuple[int, ...]
    dtype: str
    offset: int | None = None

    @property
    def elements(self) -> int:
        """Product of the shape."""
        return int(np.prod(self.shape, dtype=np.int64))


class TfliteGraph:
    """Operators in the order in which they run.

    Args:
        placed: whether offsets are handed to TFLM; without, every runtime plans for itself.
    """

    def __init__(self, *, placed: bool) -> None:
        self._writer = TfliteWriter()
        self._placed = placed
        self._offsets: list[int] = []
        self._constants: dict[tuple[str, tuple[int, ...], str], list[tuple[memoryview, Value]]] = {}

    def tensor(self, name: str, shape: Sequence[int], dtype: str = "float32", offset: int | None = None) -> Value:
        """A tensor that an operator will write, or an input of the model."""
        return self._add(name, shape, dtype, offset=offset)

    def variable(self, name: str, shape: Sequence[int], dtype: str = "float32") -> Value:
        """A tensor that keeps its content between runs."""
        return self._add(name, shape, dtype, variable=True)

    def constant(self, name: str, data: np.ndarray) -> Value:
        """A constant, which is kept as it is; equal ones of equal name are one tensor."""
        data = np.asarray(data, order="C")
        content = data.reshape(-1).view(np.uint8).data
        known = self._constants.setdefault((name, data.shape, data.dtype.name), [])
        for other, value in known:
            if other == content:
                return value
        value = self._add(name, data.shape, data.dtype.name, data=data)
        known.append((content, value))
        return value

    def builtin(
        self, op: str, inputs: Sequence[Value], output: Value, options: str | None = None, **fields: Any
    ) -> Value:
        """Add an operator of TFLite; returns its output."""
        self._writer.add_builtin(op, [v.tensor for v in inputs], [output.tensor], options, **fields)
        return output

    def custom(self, name: str, inputs: Sequence[Value], outputs: Sequence[Value], params: bytes) -> None:
        """Add a custom operator."""
        self._writer.add_custom(name, [v.tensor for v in inputs], [v.tensor for v in outputs], params)

    def shaped(self, value: Value, shape: Sequence[int]) -> Value:
        """``value`` in another shape: a reshape in place, which TFLM passes over, unless it has that shape."""
        shape = tuple(int(size) for size in shape)
        if value.shape == shape:
            return value
        numbers = self.constant("shape", np.array(shape, np.int32))
        view = self.tensor(f"view_{len(self._offsets)}", shape, value.dtype, value.offset)
        return self.builtin("RESHAPE", [value, numbers], view)

    def finish(self, inputs: Sequence[Value], outputs: Sequence[Value], description: str) -> bytes:
        """The .tflite file."""
        if self._placed:
            head = [_PLAN_VERSION, 0, len(self._offsets)]
            self._writer.add_metadata(_OFFLINE_PLAN, np.array(head + self._offsets, "<i4").tobytes())
        return self._writer.finish([v.tensor for v in inputs], [v.tensor for v in outputs], description)

    def _add(self, name: str, shape: Sequence[int], dtype: str, offset: int | None = None, **more: Any) -> Value:
        shape = tuple(int(size) for size in shape)
        number = self._writer.add_tensor(name, shape, dtype, **more)
        self._offsets.append(_ANYWHERE if offset is None else offset)
        return Value(number, shape, dtype, offset)
