# SPDX-License-Identifier: Apache-2.0
"""Load a Keras model and refuse, with a reason and a remedy, what cannot become a trainable build."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.files.keras_archive import KerasArchive, read_keras_archive
from tt_tflm.files.limits import TENSOR_ELEMENTS
from tt_tflm.frontend.compiled_loss import CompiledLoss, compiled_loss_in
from tt_tflm.frontend.fold import fold
from tt_tflm.frontend.graph import Node, flatten
from tt_tflm.frontend.layers import activation_name, activations
from tt_tflm.frontend.quiet import import_keras, most_telling_line, silence

if TYPE_CHECKING:
    import keras

# Layers that hold code, or read it from elsewhere.
_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


def load_keras(path: str | os.PathLike[str]) -> keras.Model:
    """Load a `.keras` file in safe mode, without its optimiser.

    Raises:
        InputError: there is no such file, it is truncated, or it is no Keras model.
        UnsupportedLayerError: it holds a Lambda layer.
    """
    archive = read_keras_archive(path)
    for kind, name in archive.objects():
        if kind in _CODE:
            raise UnsupportedLayerError(
                f"{path}: layer '{name}' ({kind}): expected a layer of `tt-tflm supported-ops`, received code; "
                "write what it computes with supported layers"
            )
    keras = import_keras()
    try:
        with silence():
            _check_sizes(archive, f"{path}: expected a complete .keras file")
            model = keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except InputError:
        raise
    except Exception as error:  # Keras raises whatever the parser of a damaged part raises.
        # Keras wraps the cause in one message per nesting level, each with the whole configuration.
        cause = str(error).rsplit("Exception encountered:", 1)[-1]
        reason = most_telling_line(cause).split(". ")[0] or type(error).__name__
        raise InputError(f"{path}: expected a Keras model, received a file that cannot be loaded ({reason})") from error
    if not isinstance(model, keras.Model):
        raise InputError(f"{path}: expected a Keras model, received {type(model).__name__}; save the whole model")
    return model


def load_compiled_loss(path: str | os.PathLike[str]) -> CompiledLoss | None:
    """The loss that the model of a `.keras` file was compiled with; None without one.

    Raises:
        InputError: as `load_keras`.
    """
    return compiled_loss_in(read_keras_archive(path).config)


def _check_sizes(archive: KerasArchive, expected: str) -> None:
    """Refuses what declares larger weights than the file holds, or tensors that no build could hold.

    In a scope in which Keras makes variables without values, so that no size costs memory.
    """
    keras = import_keras()
    # Keras notes such variables, and would give them values at the end of anyone's next scope: there is no public
    # way to have it forget them.
    from keras.src.backend.common import global_state

    pending = list(global_state.get_global_attribute("uninitialized_variables") or ())
    try:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object({**archive.config, "compile_config": None}, safe_mode=True)
    finally:
        global_state.set_global_attribute("uninitialized_variables", pending)
    if not isinstance(model, keras.Model):
        return
    declared = sum(math.prod(weight.shape) for weight in model.weights)
    if declared > archive.weights:
        raise InputError(
            f"{expected}, received one whose layers have {declared:,} weights, of which it holds {archive.weights:,}"
        )
    for name, shape in _tensors(model):
        elements = math.prod(size for size in shape if size is not None)
        if elements > TENSOR_ELEMENTS:
            raise InputError(
                f"layer '{name}': expected tensors of at most {TENSOR_ELEMENTS:,} elements, received {shape}: "
                "make the model's input smaller"
            )


def _tensors(model: keras.Model) -> Iterator[tuple[str, tuple[int | None, ...]]]:
    """Name and output shape of every operation of a model, and of the models in it."""
    pending = [model]
    seen: set[int] = set()
    while pending:
        operation = pending.pop()
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        for node in operation._inbound_nodes:
            for tensor in node.output_tensors:
                yield operation.name, tuple(tensor.shape)
        functional = (
            getattr(operation, "_functional", None) or operation
        )  # a Sequential keeps its input from its layers
        inner = getattr(functional, "operations", None) or getattr(operation, "layers", ())
        pending.extend(reversed(list(inner)))  # so that the first in the model is the first told


def check_model(model: keras.Model) -> None:
    """Check that every part of a model can be imported; returns nothing.

    Raises:
        InputError: the input or output is not as expected, or a weight is NaN or infinite.
        UnsupportedLayerError: a layer, or an option of one, is not supported; names the layer and what to do.
    """
    graph = flatten(model)
    for node in graph.nodes:
        _check_layer(node)
        _check_weights(node)
    fold(graph)


def _check_layer(node: Node) -> None:
    layer = node.layer
    if layer.compute_dtype != "float32" or getattr(layer, "quantization_mode", None) is not None:
        received = getattr(layer, "quantization_mode", None) or layer.compute_dtype
        _refuse(node, "float32", str(received), "rebuild the model with the float32 policy")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        _refuse(node, "data_format channels_last", layer.data_format, "rebuild it with channels_last")
    if not 1 <= len(node.output_shape) <= 3:
        _refuse(node, "one to three axes besides the batch", str(node.output_shape), "reshape to fewer axes")
    if hasattr(layer, "activation") and activation_name(layer.activation) is None:
        _refuse_activation(node)
    for expected, holds, received, remedy in _OPTIONS.get(type(layer).__name__, ()):
        if not holds(node):
            _refuse(node, expected, str(received(layer)), remedy if isinstance(remedy, str) else remedy(layer))


def _refuse_activation(node: Node) -> None:
    activation = node.layer.activation
    if isinstance(activation, import_keras().layers.Layer):
        kind = type(activation).__name__
        _refuse(
            node, "a function as activation", f"the layer {kind}", f"leave the activation out and put {kind} after it"
        )
    name = getattr(activation, "__name__", type(activation).__name__)
    known = f"one of Keras' activations {', '.join(activations())}"
    remedy = f"write activation='{name}'" if name in activations() else "use one of these"
    _refuse(node, known, f"'{name}' of {getattr(activation, '__module__', '?')}", remedy)


def _check_weights(node: Node) -> None:
    for weight in node.layer.weights:
        values = np.asarray(weight)
        if not np.all(np.isfinite(values)):
            found = "NaN" if np.any(np.isnan(values)) else "infinity"
            raise InputError(
                f"layer '{node.name}' ({type(node.layer).__name__}), weight '{weight.name}': expected finite numbers, "
                f"received {found}; train or load the model again"
            )


def _refuse(node: Node, expected: str, received: str, remedy: str) -> None:
    raise UnsupportedLayerError(
        f"layer '{node.name}' ({type(node.layer).__name__}): expected {expected}, received {received}; {remedy}"
    )


_Option = tuple[str, Callable[[Node], bool], Callable[[Any], object], str | Callable[[Any], str]]


def _ones(value: object) -> bool:
    return all(size == 1 for size in np.atleast_1d(value))


def _spread(layer: Any) -> tuple[int, ...]:
    """Size of a kernel with the gaps that dilation leaves."""
    return tuple((size - 1) * gap + 1 for size, gap in zip(layer.kernel_size, layer.dilation_rate, strict=True))


def _is_last_axis(node: Node) -> bool:
    axis = node.layer.axis
    axes = [axis] if isinstance(axis, int) else list(axis)
    return axes in ([-1], [len(node.output_shape)])


_DILATION: _Option = (
    "dilation_rate 1",
    lambda node: _ones(node.layer.dilation_rate),
    lambda layer: layer.dilation_rate,
    lambda layer: f"use dilation_rate=1 and kernel_size={_spread(layer)}, with zeros between the weights",
)
_GROUPS: _Option = (
    "groups 1",
    lambda node: node.layer.groups == 1,
    lambda layer: layer.groups,
    "use groups=1, or a DepthwiseConv2D and a 1x1 Conv2D",
)
_EQUAL_STRIDES: _Option = (
    "equal strides",
    lambda node: len(set(np.atleast_1d(node.layer.strides).tolist())) == 1,
    lambda layer: layer.strides,
    "use one stride for both axes",
)
_NOT_CAUSAL: _Option = (
    "padding valid or same",
    lambda node: node.layer.padding in ("valid", "same"),
    lambda layer: layer.padding,
    lambda layer: f"put a ZeroPadding1D(({_spread(layer)[0] - 1}, 0)) before it and use padding='valid'",
)
_LAST_AXIS: _Option = (
    "the last axis",
    _is_last_axis,
    lambda layer: f"axis {layer.axis}",
    "use axis=-1, with a Reshape before it if need be",
)
_THRESHOLD: _Option = (
    "threshold 0",
    lambda node: node.layer.threshold == 0,
    lambda layer: layer.threshold,
    "use threshold=0",
)
_NOT_BATCH: _Option = (
    "an axis other than the batch",
    lambda node: node.layer.axis % (len(node.output_shape) + 1) != 0,
    lambda layer: f"axis {layer.axis}",
    "concatenate along another axis",
)

_OPTIONS: dict[str, tuple[_Option, ...]] = {
    "Conv2D": (_DILATION, _GROUPS),
    "DepthwiseConv2D": (_DILATION, _EQUAL_STRIDES),
    "SeparableConv2D": (_DILATION, _EQUAL_STRIDES),
    "Conv1D": (_DILATION, _GROUPS, _NOT_CAUSAL),
    "BatchNormalization": (_LAST_AXIS,),
    "Softmax": (_LAST_AXIS,),
    "ReLU": (_THRESHOLD,),
    "Concatenate": (_NOT_BATCH,),
}
