# SPDX-License-Identifier: Apache-2.0
"""How a Keras layer with weights becomes linear maps, and the table of such layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.frontend.linear import Linear
from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras

Shape = tuple[int, ...]
Apply = Callable[[int, Any], Any]
"""(number of the map, its input) -> its output, as tensors."""


@dataclass(frozen=True)
class Call:
    """One call of a layer with weights.

    Attributes:
        name: of the layer in the graph.
        layer: the Keras layer.
        input_shapes: of the tensors that it is called with, without the batch axis.
        output_shape: of the first output, without the batch axis.
        arguments: of the call as Keras keeps them, symbolic tensors among them.
        symbols: the same tensors with a batch of one, so that every size is known.
    """

    name: str
    layer: keras.layers.Layer
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    arguments: Any = None
    symbols: tuple[Any, ...] = ()

    def refuse(self, expected: str, received: object, remedy: str) -> UnsupportedLayerError:
        """The error for what cannot be done with it."""
        return UnsupportedLayerError(
            f"layer '{self.name}' ({type(self.layer).__name__}): expected {expected}, received {received}; {remedy}"
        )


@dataclass(frozen=True)
class WeightedLayer:
    """A kind of layer.

    Attributes:
        names: its classes in ``keras.layers``.
        parts: the linear maps of a call; a map that is used several times stands there once, or once for each shape.
        run: the outputs of a call, one or a list, from its inputs: ``(call, apply, inputs)``. Everything but the linear
            maps is TensorFlow.
        check: raises UnsupportedLayerError for what has no such form; called before ``parts``.
        ends_linear: whether the output is that of the last map, where the layer has no activation: a batch norm that
            follows is folded into it.
        handled: what becomes of it, for the table of supported layers.
        int8: whether there is an integer form, for the same.
        limits: what is refused, for the same.
    """

    names: tuple[str, ...]
    parts: Callable[[Call], list[Linear]]
    run: Callable[[Call, Apply, list[Any]], Any]
    check: Callable[[Call], None] = lambda _call: None
    ends_linear: bool = False
    handled: str = "kernel"
    int8: bool = False
    limits: str = ""


WEIGHTED_LAYERS: dict[str, WeightedLayer] = {}
"""Class in ``keras.layers`` -> what it becomes."""


def weighted(rule: WeightedLayer) -> WeightedLayer:
    """Enter a rule under the names of its classes."""
    WEIGHTED_LAYERS.update(dict.fromkeys(rule.names, rule))
    return rule


def rule_of(layer: object) -> WeightedLayer | None:
    """The rule of a layer, None where it has none. A subclass may compute anything: only the class itself counts."""
    kind = type(layer).__name__
    rule = WEIGHTED_LAYERS.get(kind)
    return rule if rule is not None and type(layer) is getattr(import_keras().layers, kind, None) else None


def activated(layer: keras.layers.Layer, value: Any) -> Any:
    """``value`` through the activation of a layer."""
    return value if layer.activation is None else layer.activation(value)


def first(values: Iterable[Any]) -> Any:
    """The one input of a layer that takes one."""
    return next(iter(values))
