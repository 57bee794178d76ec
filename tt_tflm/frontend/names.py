# SPDX-License-Identifier: Apache-2.0
"""Give the operators of an imported module their Keras names back: TFLite keeps weights, not names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.frontend.fold import FoldedLayer, fold
from tt_tflm.frontend.graph import flatten
from tt_tflm.frontend.layers import Layer

if TYPE_CHECKING:
    import keras

# The import copies folded weights bit by bit; the tolerance leaves room for a pass that multiplies and rounds.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class WeightOp:
    """An operator with weights, as it stands in the Relax main.

    Attributes:
        kind: "conv2d" (1x1 and one-dimensional convolutions too), "conv2d_transpose", "depthwise" or "dense".
        rows: float32 (channels, row_length + 1), the bias in the last column, 0 where there is none.
    """

    kind: str
    rows: np.ndarray


def weight_layers(model: keras.Model) -> list[Layer]:
    """The layers of a model that have weights, in topological order, batch norm folded.

    Raises:
        InputError, UnsupportedLayerError: as `check_model`.
    """
    return [folded.layer for folded in fold(flatten(model)).layers()]


def name_layers(model: keras.Model, ops: Sequence[WeightOp]) -> list[Layer]:
    """Find the Keras layer of every operator by its weights; layers with equal weights are told apart by their order.

    Args:
        model: the Keras model that was imported.
        ops: its operators with weights, in the order of the Relax main.

    Returns:
        One layer per operator, same order; shapes without the batch axis, nominal MACs.

    Raises:
        UnsupportedLayerError: an operator has no layer, or a layer with weights has no operator.
    """
    waiting = fold(flatten(model)).layers()
    named = []
    for position, op in enumerate(ops):
        match = next((i for i, folded in enumerate(waiting) if _same(folded, op)), None)
        if match is None:
            raise UnsupportedLayerError(
                f"model '{model.name}': expected a Keras layer for every operator, received operator {position} "
                f"({op.kind}, rows {op.rows.shape}) whose weights belong to none of: {_names(waiting)}"
            )
        named.append(waiting.pop(match).layer)
    if waiting:
        raise UnsupportedLayerError(
            f"model '{model.name}': expected an operator for every layer with weights, received none for: "
            f"{_names(waiting)}"
        )
    return named


def _names(waiting: list[FoldedLayer]) -> str:
    return ", ".join(folded.layer.name for folded in waiting) or "no layer left"


def _same(folded: FoldedLayer, op: WeightOp) -> bool:
    layer = folded.layer
    if op.kind not in _op_kinds(layer) or op.rows.shape != (layer.channels, layer.row_length + 1):
        return False
    rows = folded.rows[:, : layer.row_length + 1]
    return bool(np.max(np.abs(rows - op.rows)) <= _TOLERANCE * np.max(np.abs(rows)))


def _op_kinds(layer: Layer) -> tuple[str, ...]:
    if layer.kind == "depthwise":
        # With one input channel a depthwise convolution is an ordinary one, and is imported as such.
        return ("depthwise", "conv2d") if layer.kernel_shape[2] == 1 else ("depthwise",)
    return (layer.kind,) if layer.kind in ("dense", "conv2d_transpose") else ("conv2d",)
