# SPDX-License-Identifier: Apache-2.0
"""A Keras model as a flat list of layer calls in topological order, nested models opened, every shape known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.frontend.layers import LAYER_TYPES
from tt_tflm.frontend.quiet import import_keras, most_telling_line

if TYPE_CHECKING:
    import keras

MODEL_INPUT = -1

Shape = tuple[int, ...]

_INSTEAD = {
    "Lambda": "write what it computes with supported layers",
    "TFSMLayer": "rebuild the model from Keras layers",
    "Conv2DTranspose": "use a Conv2D",
    "DepthwiseConv1D": "use a Conv1D",
    "SeparableConv1D": "use a Conv1D",
    "LayerNormalization": "use BatchNormalization",
    "GroupNormalization": "use BatchNormalization",
    "PReLU": "use LeakyReLU",
    "ELU": "use LeakyReLU",
    "Subtract": "use Add of a negated input (Rescaling(-1.0))",
    "Average": "use Add and Rescaling",
    "Resizing": "resize the input before the model",
    "Normalization": "use Rescaling",
    "LSTM": "use Conv1D",
    "GRU": "use Conv1D",
    "SimpleRNN": "use Conv1D",
    "Embedding": "look the vectors up before the model, which takes them as float32",
}
_INSTEAD_OF_OPERATION = {
    "Add": "use keras.layers.Add",
    "Multiply": "use keras.layers.Multiply",
    "Subtract": "use keras.layers.Add of an input negated by Rescaling(-1.0)",
    "Concatenate": "use keras.layers.Concatenate",
    "Mean": "use keras.layers.GlobalAveragePooling2D, or GlobalAveragePooling1D for a sequence",
    "Max": "use keras.layers.GlobalMaxPooling2D, or GlobalMaxPooling1D for a sequence",
    "Relu": "use keras.layers.ReLU",
    "Sigmoid": "use keras.layers.Activation('sigmoid')",
    "Tanh": "use keras.layers.Activation('tanh')",
    "Softmax": "use keras.layers.Softmax",
    "Reshape": "use keras.layers.Reshape",
    "GetItem": "keep all of it, with keras.layers.Flatten or a pooling layer, or take the part outside the model",
}


@dataclass(frozen=True)
class Node:
    """One call of one layer.

    Attributes:
        name: unique in the graph: the layer's name, or "<model>/<layer>" where layers of nested models share a name.
        layer: the Keras layer; never an InputLayer, never a model.
        sources: the nodes whose outputs it takes, as indices into the graph; MODEL_INPUT is the model's input.
        input_shapes: per source, without the batch axis.
        output_shape: without the batch axis.
    """

    name: str
    layer: keras.layers.Layer
    sources: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape


@dataclass(frozen=True)
class Graph:
    """The calls of a model in topological order.

    Attributes:
        input_name: name of the model's input.
        input_shape: without the batch axis.
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


def flatten(model: keras.Model) -> Graph:
    """Open a Functional or Sequential model into a :class:`Graph`.

    Raises:
        InputError: the model has several inputs or outputs, is not built, or its input's shape or dtype is not
            fixed and float32.
        UnsupportedLayerError: it is a subclassed model, holds an operation that is no layer, calls one layer twice, or
            calls a layer in training mode.
    """
    import_keras()
    functional = _functional(model)
    if len(functional.inputs) != 1 or len(functional.outputs) != 1:
        raise InputError(
            f"model '{model.name}': expected one input and one output, received {len(functional.inputs)} and "
            f"{len(functional.outputs)}; build a keras.Model of one of each"
        )
    image = functional.inputs[0]
    shape = tuple(image.shape[1:])
    if not shape or None in shape:
        raise InputError(
            f"input '{image.name}': expected every size but the batch fixed, received {tuple(image.shape)}; build the "
            "model on keras.Input with a full shape"
        )
    if image.dtype != "float32":
        pixels = ", which takes pixels all the same (converter.input_scaling)" if image.dtype == "uint8" else ""
        raise InputError(
            f"input '{image.name}': expected float32, received {image.dtype}; build the model on "
            f"keras.Input({shape}){pixels}"
        )
    walk = _Walk(shape)
    (output,) = walk.model(functional, (MODEL_INPUT,), ())
    return Graph(image.name, shape, _with_unique_names(walk.nodes, walk.paths), output)


def _functional(model: keras.Model) -> keras.Model:
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


class _Walk:
    def __init__(self, input_shape: Shape) -> None:
        self.nodes: list[Node] = []
        self.paths: list[tuple[str, ...]] = []
        self._input_shape = input_shape
        self._seen: set[int] = set()

    def model(self, functional: keras.Model, given: tuple[int, ...], path: tuple[str, ...]) -> tuple[int, ...]:
        """Append the nodes of a model fed by `given`; returns the indices of its outputs."""
        keras = import_keras()
        values = {id(tensor): index for tensor, index in zip(functional.inputs, given, strict=True)}
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for call in functional._nodes_by_depth[depth]:
                if call.is_input:
                    continue
                operation = call.operation
                if not isinstance(operation, keras.layers.Layer):
                    kind = type(operation).__name__
                    raise UnsupportedLayerError(
                        f"operation '{operation.name}' ({kind}): expected layers only, received a bare operation; "
                        f"{_INSTEAD_OF_OPERATION.get(kind, 'replace it by layers, or compute it outside the model')}"
                    )
                if not isinstance(operation, keras.Model):
                    _check_type(operation)
                self._check_call(operation, call)
                sources = tuple(values[id(tensor)] for tensor in call.input_tensors)
                if isinstance(operation, keras.Model):
                    results = self.model(_functional(operation), sources, (*path, operation.name))
                else:
                    results = (self._append(operation, sources, path),)
                values.update({id(tensor): index for tensor, index in zip(call.outputs, results, strict=True)})
        return tuple(values[id(tensor)] for tensor in functional.outputs)

    def _check_call(self, operation: keras.layers.Layer, call: object) -> None:
        what = f"layer '{operation.name}' ({type(operation).__name__})"
        if id(operation) in self._seen:
            # Weights of two places could not be trained in one; a layer without weights is as easily made twice.
            raise UnsupportedLayerError(
                f"{what}: expected one call, received several; give each place a layer of its own"
            )
        self._seen.add(id(operation))
        if call.arguments.kwargs.get("training"):
            raise UnsupportedLayerError(
                f"{what}: expected inference, received training=True; call it without that argument"
            )

    def _append(self, layer: keras.layers.Layer, sources: tuple[int, ...], path: tuple[str, ...]) -> int:
        shapes = tuple(self._input_shape if s == MODEL_INPUT else self.nodes[s].output_shape for s in sources)
        batched = [(1, *shape) for shape in shapes]
        try:
            output = layer.compute_output_shape(batched if len(batched) > 1 else batched[0])
            shape = tuple(int(size) for size in output[1:])
        except Exception as error:  # A layer from outside Keras may raise anything here.
            raise UnsupportedLayerError(
                f"layer '{layer.name}' ({type(layer).__name__}): expected one output of fixed shape for inputs "
                f"{list(shapes)}, received: {most_telling_line(str(error)) or type(error).__name__}"
            ) from error
        self.nodes.append(Node(layer.name, layer, sources, shapes, shape))
        self.paths.append(path)
        return len(self.nodes) - 1


def _check_type(layer: keras.layers.Layer) -> None:
    keras = import_keras()
    kind = type(layer).__name__
    # A subclass of a supported layer may compute anything, so its exact class is what counts.
    if kind in LAYER_TYPES and type(layer) is getattr(keras.layers, kind, None):
        return
    raise UnsupportedLayerError(
        f"layer '{layer.name}' ({kind}): expected a layer of `tt-tflm supported-ops`, received {kind}; "
        f"{_INSTEAD.get(kind, 'replace it, or compute it outside the model')}"
    )


def _with_unique_names(nodes: list[Node], paths: list[tuple[str, ...]]) -> tuple[Node, ...]:
    counts = Counter(node.name for node in nodes)
    return tuple(
        replace(node, name="/".join((*path, node.name))) if counts[node.name] > 1 else node
        for node, path in zip(nodes, paths, strict=True)
    )
