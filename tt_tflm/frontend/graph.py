# SPDX-License-Identifier: Apache-2.0
"""A Keras model as a flat list of calls in topological order, nested models opened, every shape known.

What counts is what a model computes, not which class wrote it: layers and bare operations are calls alike.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.frontend.linear import Linear
from tt_tflm.frontend.quiet import import_keras, import_tensorflow, most_telling_line
from tt_tflm.frontend.weighted import Call, WeightedLayer, rule_for

if TYPE_CHECKING:
    import keras

MODEL_INPUT = -1

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One output of one call of a layer or operation.

    Attributes:
        name: unique in the graph: the layer's name, or "<model>/<layer>" where layers of nested models share a name,
            with ":2" and so on behind it for further calls and outputs.
        layer: the Keras layer or operation; never an InputLayer, never a model.
        sources: the nodes whose outputs it takes, as indices into the graph; MODEL_INPUT is the model's input.
        input_shapes: per source, without the batch axis.
        output_shape: without the batch axis.
        rule: which linear maps the layer is made of; None where it has no weights that can be trained.
        call: as the rule takes it.
        arguments: of the call, symbolic tensors among them.
        result: which of the outputs of the call.
        group: number of the call; nodes of one call differ in ``result``.
        parts: the linear maps of the rule.
    """

    name: str
    layer: keras.layers.Layer
    sources: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    rule: WeightedLayer | None = None
    call: Call | None = None
    arguments: Any = None
    result: int = 0
    group: int = 0
    parts: tuple[Linear, ...] = ()

    @property
    def kind(self) -> str:
        """The class of the layer or operation, if it is one of Keras; of others a name tells nothing, and it is ""."""
        return type(self.layer).__name__ if type(self.layer).__module__.split(".")[0] == "keras" else ""

    def run(self, apply: Any, inputs: Sequence[Any]) -> list[Any]:
        """All outputs of the call, in TensorFlow.

        Args:
            apply: computes a linear map of the rule: (number, x) -> y.
            inputs: per source, with the batch axis.
        """
        keras = import_keras()
        with keras.StatelessScope(state_mapping=self._constants()):
            if self.rule is not None and self.call is not None:
                results = self.rule.run(self.call, apply, list(inputs))
            else:
                results = call_with(self.layer, self.arguments, inputs)
        return list(keras.tree.flatten(results))

    def _constants(self) -> list[tuple[Any, Any]]:
        """The weights that are no rows, as they are."""
        tf = import_tensorflow()
        trained = {id(place.variable) for part in self.parts for place in (part.kernel, part.bias) if place is not None}
        left = [v for v in getattr(self.layer, "variables", ()) if id(v) not in trained]
        with tf.init_scope():
            values = [np.asarray(variable) for variable in left]
        return [(variable, tf.constant(value)) for variable, value in zip(left, values, strict=True)]


def call_with(operation: Any, arguments: Any, inputs: Sequence[Any]) -> Any:
    """Call a layer or operation as at inference, ``inputs`` in place of its symbolic tensors."""
    given = {id(symbol): value for symbol, value in zip(arguments.keras_tensors, inputs, strict=True)}
    positional, named = arguments.fill_in(given)
    if getattr(operation, "_call_has_training_arg", False):
        named = {**named, "training": False}
    return operation(*positional, **named)


@dataclass(frozen=True)
class Graph:
    """The calls of a model in topological order.

    Attributes:
        input_name: name of the model's input.
        input_shape: without the batch axis; of a model with several inputs (n,), each flat behind the one before.
        nodes: see :class:`Node`; sources come before those that use them.
        output: index of the node whose output is the model's, or MODEL_INPUT.
    """

    input_name: str
    input_shape: Shape
    nodes: tuple[Node, ...]
    output: int

    @property
    def output_shape(self) -> Shape:
        """Shape of the model's output, without the batch axis."""
        return self.shape_of(self.output)

    def shape_of(self, index: int) -> Shape:
        """Shape of a node's output, or of the model's input, without the batch axis."""
        return self.input_shape if index == MODEL_INPUT else self.nodes[index].output_shape

    def uses(self) -> Counter[int]:
        """How often each node's output is used, the model's output counting as a use."""
        return Counter([self.output, *(source for node in self.nodes for source in node.sources)])


def flatten(model: keras.Model, obstacles: list[str] | None = None) -> Graph:
    """Open a Functional or Sequential model into a :class:`Graph`.

    Args:
        model: built.
        obstacles: takes what is wrong with layers whose shapes are known all the same, instead of an error.

    Raises:
        InputError: the model has several outputs, is not built, or an input's shape is not fixed.
        UnsupportedLayerError: it is a subclassed model, or a call of it cannot be followed.
    """
    import_keras()
    functional = functional_of(model)
    if len(functional.outputs) != 1:
        names = ", ".join(f"'{name}'" for name in output_names(functional))
        raise InputError(
            f"model '{model.name}': expected one output to train, received {len(functional.outputs)} ({names}); "
            "name one: output=... (--model-output NAME)"
        )
    shapes = [_input_shape(image) for image in functional.inputs]
    one = len(shapes) == 1
    shape = shapes[0] if one else (sum(math.prod(shape) for shape in shapes),)
    walk = _Walk((1, *shape), functional.inputs[0].dtype if one else "float32", obstacles)
    given = (MODEL_INPUT,) if one else walk.cut(functional.inputs, shapes)
    (output,) = walk.model(functional, given, ())
    return Graph(functional.inputs[0].name if one else "inputs", shape, walk.named_nodes(), output)


def output_names(functional: keras.Model) -> list[str]:
    """Of the layers whose outputs a model has."""
    return [tensor._keras_history.operation.name for tensor in functional.outputs]


def _input_shape(image: Any) -> Shape:
    shape = tuple(image.shape[1:])
    if not shape or None in shape:
        fixed = ", ".join("N" if size is None else str(size) for size in shape)
        raise InputError(
            f"input '{image.name}': expected every size but the batch fixed, received {tuple(image.shape)}; build the "
            f"model on keras.Input(({fixed})), with a size for each N"
        )
    received = "a sparse one" if getattr(image, "sparse", False) else str(image.dtype)
    if getattr(image, "sparse", False) or received in ("string", "bool") or "complex" in received:
        raise InputError(
            f"input '{image.name}': expected a dense tensor of numbers, received {received}; build the model on "
            f"keras.Input({shape})"
        )
    return shape


def functional_of(model: keras.Model) -> keras.Model:
    """The graph of a Functional or Sequential model.

    Raises:
        InputError: it is not built.
        UnsupportedLayerError: it is a subclassed model.
    """
    keras = import_keras()
    if isinstance(model, keras.Sequential):
        if not model.built or model._functional is None:
            raise InputError(
                f"model '{model.name}': expected a built model, received one without an input shape; "
                "begin it with keras.Input"
            )
        return model._functional
    functional = next((base for base in type(model).__mro__ if base.__name__ == "Functional"), None)
    # A subclass may add a train_step; one that replaces call() computes something else than its graph.
    if functional is not None and type(model).call is functional.call:
        return model
    raise UnsupportedLayerError(
        f"model '{getattr(model, 'name', model)}': expected a Functional or Sequential keras.Model, received "
        f"{type(model).__name__}; write it with keras.Model(inputs, outputs)"
    )


@dataclass
class _Walk:
    """Follows the calls of a model with a batch of one, so that every size is known."""

    shape: tuple[int, ...]
    dtype: str
    obstacles: list[str] | None = None
    nodes: list[Node] = field(default_factory=list)
    paths: list[tuple[str, ...]] = field(default_factory=list)
    symbols: dict[int, Any] = field(default_factory=dict)
    groups: int = 0

    def __post_init__(self) -> None:
        self.symbols[MODEL_INPUT] = import_keras().KerasTensor(self.shape, self.dtype)

    def cut(self, inputs: Sequence[Any], shapes: Sequence[Shape]) -> tuple[int, ...]:
        """The inputs of a model with several, which lie one behind the other in that of the graph."""
        keras = import_keras()
        indices, begin = [], 0
        for tensor, shape in zip(inputs, shapes, strict=True):
            end = begin + math.prod(shape)
            whole = keras.Input(batch_shape=self.shape)
            part = keras.ops.reshape(whole[:, begin:end], (-1, *shape))
            piece = keras.Model(whole, part, name=tensor.name)
            indices += self.model(piece, (MODEL_INPUT,), (tensor.name,))
            begin = end
        return tuple(indices)

    def model(self, functional: keras.Model, given: tuple[int, ...], path: tuple[str, ...]) -> tuple[int, ...]:
        """Append the nodes of a model fed by `given`; returns the indices of its outputs."""
        keras = import_keras()
        values = {id(tensor): index for tensor, index in zip(functional.inputs, given, strict=True)}
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for call in functional._nodes_by_depth[depth]:
                if call.is_input:
                    continue
                operation = call.operation
                if call.arguments.kwargs.get("training") and not _augments(operation):
                    raise UnsupportedLayerError(
                        f"layer '{operation.name}' ({type(operation).__name__}): expected inference, received "
                        "training=True; call it without that argument"
                    )
                sources = tuple(values[id(tensor)] for tensor in call.input_tensors)
                if isinstance(operation, keras.Model):
                    results = self.model(functional_of(operation), sources, (*path, operation.name))
                else:
                    results = self._append(operation, call.arguments, sources, path)
                values.update({id(tensor): index for tensor, index in zip(call.outputs, results, strict=True)})
        return tuple(values[id(tensor)] for tensor in functional.outputs)

    def _append(
        self, operation: Any, arguments: Any, sources: tuple[int, ...], path: tuple[str, ...]
    ) -> tuple[int, ...]:
        symbols = [self.symbols[source] for source in sources]
        shapes = tuple(tuple(symbol.shape[1:]) for symbol in symbols)
        outputs = _outputs(operation, arguments, symbols)
        rule = rule_for(operation)
        call = None
        if rule is not None:
            call = Call(operation.name, operation, shapes, tuple(outputs[0].shape[1:]), arguments, tuple(symbols))
            rule = self._checked(rule, call)
        self.groups += 1
        indices = []
        for result, output in enumerate(outputs):
            index = len(self.nodes)
            shape = tuple(output.shape[1:])
            self.nodes.append(
                Node(operation.name, operation, sources, shapes, shape, rule, call, arguments, result, self.groups)
            )
            self.paths.append(path)
            self.symbols[index] = output
            indices.append(index)
        return tuple(indices)

    def _checked(self, rule: WeightedLayer, call: Call) -> WeightedLayer | None:
        try:
            rule.check(call)
        except UnsupportedLayerError as error:
            if self.obstacles is None:
                raise
            self.obstacles.append(str(error))
            return None
        return rule

    def named_nodes(self) -> tuple[Node, ...]:
        """The nodes under names that are unique."""
        owners: dict[str, set[int]] = {}
        for node in self.nodes:
            owners.setdefault(node.name, set()).add(id(node.layer))
        met: Counter[str] = Counter()
        parts: dict[int, tuple[Linear, ...]] = {}
        named = []
        for node, path in zip(self.nodes, self.paths, strict=True):
            name = "/".join((*path, node.name)) if len(owners[node.name]) > 1 else node.name
            call = node.call and replace(node.call, name=name)
            if node.rule is not None and call is not None and node.group not in parts:
                parts[node.group] = tuple(node.rule.parts(call))
            met[name] += 1
            name = name if met[name] == 1 else f"{name}:{met[name]}"
            named.append(replace(node, name=name, call=call, parts=parts.get(node.group, ())))
        return tuple(named)


def _augments(operation: Any) -> bool:
    """Whether a layer is in training mode unless it is told otherwise, as random augmentations are."""
    training = inspect.signature(type(operation).call).parameters.get("training")
    return training is not None and training.default is True


def _outputs(operation: Any, arguments: Any, symbols: Sequence[Any]) -> list[Any]:
    """The symbolic outputs of a call for inputs whose sizes are all known."""
    keras = import_keras()
    what = f"{'layer' if isinstance(operation, keras.layers.Layer) else 'operation'} '{operation.name}'"
    shapes = [tuple(symbol.shape[1:]) for symbol in symbols]
    try:
        given = {id(old): new for old, new in zip(arguments.keras_tensors, symbols, strict=True)}
        positional, named = arguments.fill_in(given)
        outputs = keras.tree.flatten(operation.compute_output_spec(*positional, **named))
    except Exception as error:  # A layer from outside Keras may raise anything here.
        raise UnsupportedLayerError(
            f"{what} ({type(operation).__name__}): expected outputs of fixed shape for inputs {shapes}, received: "
            f"{most_telling_line(str(error)) or type(error).__name__}"
        ) from error
    for output in outputs:
        if None in output.shape or output.shape[:1] != (1,):
            raise UnsupportedLayerError(
                f"{what} ({type(operation).__name__}): expected outputs of fixed shape that keep the batch axis, "
                f"received {tuple(output.shape)} for inputs {shapes}; compute it within a sample"
            )
    return outputs
