# SPDX-License-Identifier: Apache-2.0
"""Layers that call other layers: attention, Bidirectional, blocks that somebody wrote as a class.

What they do themselves is TensorFlow; where one of the layers within has a rule, that takes its place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tt_tflm.frontend.linear import Linear
from tt_tflm.frontend.quiet import import_keras
from tt_tflm.frontend.weighted.rule import Apply, Call, WeightedLayer, rule_of


def _children(layer: Any) -> dict[str, tuple[Any, WeightedLayer]]:
    """Path -> the outermost layers within that have weights and a rule, and that rule."""
    found: dict[str, tuple[Any, WeightedLayer]] = {}
    pending = [(child.name, child) for child in reversed(getattr(layer, "_layers", ()))]
    while pending:
        path, child = pending.pop()
        rule = rule_of(child)
        if rule is not None and child.weights:
            found[path] = child, rule
        else:
            pending += [(f"{path}/{inner.name}", inner) for inner in reversed(getattr(child, "_layers", ()))]
    return found


def has_weighted_children(layer: Any) -> bool:
    """Whether a layer has layers with weights and a rule within it."""
    return bool(getattr(layer, "_layers", ())) and bool(_children(layer))


@contextmanager
def _instead_of(children: Iterable[Any], run: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> Iterator[None]:
    """Calls of these layers go to ``run``: (layer, args, kwargs)."""
    children = list(children)
    try:
        for child in children:
            # Past the tracking of Keras, for which this would be an attribute of the layer.
            child.__dict__["call"] = lambda *args, _child=child, **kwargs: run(_child, args, kwargs)
        yield
    finally:
        for child in children:
            child.__dict__.pop("call", None)


def _child_call(name: str, child: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, list[Any], Any]:
    """The call of a layer within as its rule takes it, its inputs, and its outputs as Keras tells them beforehand."""
    from keras.src.ops.symbolic_arguments import SymbolicArguments

    keras = import_keras()
    is_tensor = keras.ops.is_tensor
    inputs = [value for value in keras.tree.flatten((args, kwargs)) if is_tensor(value)]
    symbols = {id(value): keras.KerasTensor((1, *value.shape[1:]), value.dtype.name) for value in inputs}
    positional, named = keras.tree.map_structure(
        lambda value: symbols[id(value)] if is_tensor(value) else value, (args, kwargs)
    )
    named.pop("training", None)
    replaced = child.__dict__.pop("call", None)
    outputs = child.compute_output_spec(*positional, **named)
    if replaced is not None:
        child.__dict__["call"] = replaced
    shapes = tuple(tuple(value.shape[1:]) for value in inputs)
    arguments = SymbolicArguments(*positional, **named)
    in_order = tuple(symbols[id(value)] for value in inputs)
    shape = tuple(keras.tree.flatten(outputs)[0].shape[1:])
    return Call(name, child, shapes, shape, arguments, in_order), inputs, outputs


class _Walk:
    """One pass through the ``call`` of a layer, in which the layers within go to ``visit``: (call, rule, inputs,
    outputs as Keras tells them)."""

    def __init__(self, call: Call, visit: Callable[[Call, WeightedLayer, list[Any], Any], Any]) -> None:
        self._call = call
        self._visit = visit
        self._paths = {id(child): path for path, (child, _) in _children(call.layer).items()}
        self._children = {id(child): (child, rule) for child, rule in _children(call.layer).values()}

    def run(self, *positional: Any, **named: Any) -> Any:
        """The layer's outputs."""
        layer = self._call.layer
        if getattr(layer, "_call_has_training_arg", False):
            named = {**named, "training": False}
        with _instead_of((child for child, _ in self._children.values()), self._child):
            return layer.call(*positional, **named)

    def _child(self, child: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        own, inputs, outputs = _child_call(f"{self._call.name}/{self._paths[id(child)]}", child, args, kwargs)
        return self._visit(own, self._children[id(child)][1], inputs, outputs)


def _filled(call: Call, values: Iterable[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    given = {id(old): new for old, new in zip(call.arguments.keras_tensors, values, strict=True)}
    return call.arguments.fill_in(given)


def _parts(call: Call) -> list[Linear]:
    from keras.src.backend import compute_output_spec

    parts: list[Linear] = []

    def note(own: Call, rule: WeightedLayer, inputs: list[Any], outputs: Any) -> Any:
        rule.check(own)
        made = rule.parts(own)
        parts.extend(made)
        keras = import_keras()
        if not any(None in output.shape for output in keras.tree.flatten(outputs)):
            # Nobody reads the numbers of this pass, and a recurrent layer takes long to unroll.
            return keras.tree.map_structure(lambda output: keras.ops.zeros(output.shape), outputs)
        return rule.run(own, lambda number, x: _of_shape(made[number], x), inputs)

    positional, named = _filled(call, call.symbols)
    compute_output_spec(_Walk(call, note).run, *positional, **named)
    return parts


def _of_shape(part: Linear, x: Any) -> Any:
    """A tensor like the output of a map, in a pass that is made for the sake of what is called."""
    return import_keras().ops.zeros((x.shape[0], *part.layer.output_shape))


def _run(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    met = itertools.count()

    def replaced(own: Call, rule: WeightedLayer, given: list[Any], _outputs: Any) -> Any:
        numbers = [next(met) for _ in rule.parts(own)]
        return rule.run(own, lambda part, x: apply(numbers[part], x), given)

    positional, named = _filled(call, inputs)
    return _Walk(call, replaced).run(*positional, **named)


COMPOSITE = WeightedLayer((), _parts, _run, handled="layer by layer")
"""The rule of layers that have such layers within."""
