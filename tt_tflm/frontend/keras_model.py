# SPDX-License-Identifier: Apache-2.0
"""Load a Keras model and refuse, with a reason and a remedy, what cannot become a trainable build."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError, UnsupportedLayerError, refuse_for
from tt_tflm.files.keras_archive import KerasArchive, read_keras_archive
from tt_tflm.files.limits import TENSOR_ELEMENTS
from tt_tflm.frontend.compiled_loss import CompiledLoss, compiled_loss_in
from tt_tflm.frontend.fold import fold
from tt_tflm.frontend.graph import Node, flatten
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
        UnsupportedLayerError: layers, or options of them, are not supported; names each and what to do.
    """
    obstacles: list[str] = []
    graph = flatten(model, obstacles)
    for node in graph.nodes:
        try:
            _check_layer(node)
        except UnsupportedLayerError as error:
            obstacles.append(str(error))
        _check_weights(node)
    refuse_for(model.name, obstacles)
    fold(graph)


def _check_layer(node: Node) -> None:
    layer = node.layer
    if getattr(layer, "compute_dtype", "float32") != "float32" or getattr(layer, "quantization_mode", None) is not None:
        received = getattr(layer, "quantization_mode", None) or layer.compute_dtype
        _refuse(node, "float32", str(received), "rebuild the model with the float32 policy")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        _refuse(node, "data_format channels_last", layer.data_format, "rebuild it with channels_last")
    for expected, holds, received, remedy in _OPTIONS.get(type(layer).__name__, ()):
        if not holds(node):
            _refuse(node, expected, str(received(layer)), remedy if isinstance(remedy, str) else remedy(layer))


def _check_weights(node: Node) -> None:
    for weight in getattr(node.layer, "weights", ()):
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


# Layers whose masks the layers behind them would heed, and that are no part of what is traced.
_OPTIONS: dict[str, tuple[_Option, ...]] = {
    "Embedding": (
        (
            "mask_zero=False",
            lambda node: not node.layer.mask_zero,
            lambda layer: layer.mask_zero,
            "use mask_zero=False, and sequences of one length",
        ),
    ),
    "Masking": (
        (
            "sequences without masks",
            lambda _node: False,
            lambda _layer: "a mask",
            "leave it out, and use sequences of one length",
        ),
    ),
}
