# SPDX-License-Identifier: Apache-2.0
"""Which weighted operators of an imported graph are uses of one layer: those whose weights are the same constant.

A convolution that two branches share, or the cell of an unrolled recurrence, is read in many places. Its rows are
stored once, and the gradient of all its uses goes into them. The geometry of the uses may differ, their weights and
their bias may not: what is tied in another way (a transposed kernel, a bias of each use's own) would come apart in
training, so it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax

from .imported_graph import ImportedGraph, UnsupportedGraphError
from .kernels.geometry import row_stride


@dataclass
class WeightedLayer:
    """A layer of the canonical module: its rows, float32 (channels, stride), and its kind once a use is lowered."""

    rows: np.ndarray
    kind: str = ""


class LayerUses:
    """The layers of a graph, numbered by their first use in the order of its bindings."""

    def __init__(self, graph: ImportedGraph) -> None:
        self._graph = graph
        self._bound = {binding.var: binding.value for binding in graph.bindings}
        self._numbers: dict[relax.Expr, int] = {}
        self._tied: list[tuple[tuple[str, ...], relax.Expr | None]] = []
        self._of_binding: dict[relax.Var, int] = {}
        self.layers: list[WeightedLayer] = []

    def add(self, binding: Any, argument: relax.Expr, weights: np.ndarray) -> None:
        """Note a weighted operator, in order.

        Args:
            binding: its call.
            argument: of the call, which comes of a constant.
            weights: float32 (channels, row length), what ``argument`` is as rows.

        Raises:
            UnsupportedGraphError: another use of the same constant has another bias, or reads it in another way.
        """
        constant, path = self._source(argument)
        bias = self._graph.bias(binding, len(weights))
        tied = path, None if bias is None else _constant_of(bias[0].value)
        number = self._numbers.setdefault(constant, len(self.layers))
        self._of_binding[binding.var] = number
        if number == len(self.layers):
            self._tied.append(tied)
            self.layers.append(WeightedLayer(_rows(weights, None if bias is None else bias[1])))
            return
        first, first_bias = self._tied[number]
        if path != first or not np.array_equal(self.layers[number].rows[:, : weights.shape[1]], weights):
            raise _different(number, "to read its weights alike", "one that transposes or reshapes them")
        if tied[1] is None and first_bias is None:
            return
        if tied[1] is None or first_bias is None:
            raise _different(number, "to share its bias as they share its weights", "a bias in some uses only")
        if not tied[1].same_as(first_bias):
            raise _different(number, "to share its bias as they share its weights", "a bias of each use's own")

    def use(self, var: relax.Var, kind: str) -> tuple[int, WeightedLayer]:
        """The layer that the operator which defines ``var`` is a use of, and its number.

        Raises:
            UnsupportedGraphError: another use is of another kind.
        """
        number = self._of_binding[var]
        layer = self.layers[number]
        layer.kind = layer.kind or kind
        if layer.kind != kind:
            raise _different(number, "to be of one kind", f"{layer.kind} and {kind}")
        return number, layer

    def _source(self, argument: relax.Expr) -> tuple[relax.Expr, tuple[str, ...]]:
        """The constant that an argument comes of, and by which operators."""
        path = []
        while isinstance(argument, relax.Var):
            value = self._bound[argument]
            if isinstance(value, relax.Call):
                path.append(f"{value.op.name} {value.attrs}")
                value = value.args[0]
            argument = value
        return argument, tuple(path)


def _constant_of(call: relax.Call) -> relax.Expr:
    return next(argument for argument in call.args if not isinstance(argument, relax.Var))


def _rows(weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    channels, length = weights.shape
    rows = np.zeros((channels, row_stride(length)), np.float32)
    rows[:, :length] = weights
    if bias is not None:
        rows[:, length] = bias
    return rows


def _different(number: int, expected: str, received: str) -> UnsupportedGraphError:
    return UnsupportedGraphError(
        f"expected the uses of a layer {expected}, received {received}: give them weights of their own", number
    )
