# SPDX-License-Identifier: Apache-2.0
"""Load a model from a file, whatever wrote it, in safe mode and without its optimiser."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.files.keras_config import ModelParts
from tt_tflm.files.limits import TENSOR_ELEMENTS
from tt_tflm.files.model_file import read_model_file
from tt_tflm.files.tflite_model import TfliteModel, read_tflite
from tt_tflm.frontend.compiled_loss import CompiledLoss, compiled_loss_in
from tt_tflm.frontend.loaders.float32 import in_float32
from tt_tflm.frontend.loaders.legacy_config import in_keras_3, training_in_keras_3
from tt_tflm.frontend.loaders.tflite import build_tflite
from tt_tflm.frontend.loaders.weights import fill
from tt_tflm.frontend.quiet import import_keras, most_telling_line, silence

if TYPE_CHECKING:
    import keras

# Layers that hold code, or read it from elsewhere.
_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


@dataclass(frozen=True)
class LoadedModel:
    """A model from outside.

    Attributes:
        model: not compiled.
        loss: that it was compiled with; None without one.
    """

    model: keras.Model
    loss: CompiledLoss | None


def load_keras(path: str | os.PathLike[str]) -> keras.Model:
    """The model of a file; arguments and errors as for `load_model`."""
    return load_model(path).model


def load_model(path: str | os.PathLike[str]) -> LoadedModel:
    """Load a model that Keras 2 or 3 saved, a `.keras` or `.h5` file or a SavedModel folder of Keras 2; or a float
    model of TensorFlow Lite.

    The format is told by the content. What computes in another precision is cast to float32, with a warning.

    Raises:
        InputError: there is no such file, it is damaged, or it is no Keras model; other formats are named.
        UnsupportedLayerError: it holds a layer of its own, a Lambda, or one that Keras 3 has not.
    """
    parts = read_model_file(path)
    return build(parts, str(path)) if isinstance(parts, ModelParts) else _from_tflite(parts, str(path))


def load_tflite(path: str | os.PathLike[str]) -> LoadedModel:
    """Load a float model of TensorFlow Lite; no loss is told there.

    Raises:
        InputError, UnsupportedLayerError: as `load_model`.
    """
    return _from_tflite(read_tflite(path), str(path))


def _from_tflite(parsed: TfliteModel, where: str) -> LoadedModel:
    with _told(where), silence():
        return LoadedModel(build_tflite(parsed, where), None)


def build(parts: ModelParts, where: str) -> LoadedModel:
    """The model that a file's parts describe.

    Args:
        parts: checked by ``tt_tflm.files``, or of a model in memory.
        where: the file or the model, as errors name it.

    Raises:
        InputError, UnsupportedLayerError: as `load_model`.
    """
    for kind, name in parts.objects():
        if kind in _CODE:
            raise UnsupportedLayerError(
                f"{where}: layer '{name}' ({kind}): expected a layer of `tt-tflm supported-ops`, received code; "
                "write what it computes with supported layers"
            )
    keras = import_keras()
    config = {**parts.config, "compile_config": None}
    with _told(where):
        if parts.keras < 3 or "module" not in config:
            config = in_keras_3(config, parts.keras, where)
        config = in_float32(config, where)
        with silence():
            _check_sizes(config, parts.elements, f"{where}: expected a complete model")
            model = keras.saving.deserialize_keras_object(config, safe_mode=True)
            if isinstance(model, keras.Model):
                fill(model, parts.weights, where)
    if not isinstance(model, keras.Model):
        raise InputError(f"{where}: expected a Keras model, received {type(model).__name__}; save the whole model")
    return LoadedModel(model, compiled_loss_in({"compile_config": training_in_keras_3(parts.training)}))


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turns what Keras raises inside of the block, which is whatever a damaged part makes it, into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # Keras wraps the cause in one message per nesting level, each with the whole configuration.
        cause = str(error).rsplit("Exception encountered:", 1)[-1]
        reason = most_telling_line(cause).split(". ")[0] or type(error).__name__
        raise InputError(f"{where}: expected a model, received a file that cannot be loaded ({reason})") from error


def _check_sizes(config: dict[str, Any], held: int, expected: str) -> None:
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
            # Keras takes parts out of what it is given.
            model = keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)
    finally:
        global_state.set_global_attribute("uninitialized_variables", pending)
    if not isinstance(model, keras.Model):
        return
    declared = sum(math.prod(weight.shape) for weight in model.weights)
    if declared > held:
        raise InputError(f"{expected}, received one whose layers have {declared:,} weights, of which it holds {held:,}")
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
        # A Sequential keeps its input from its layers.
        functional = getattr(operation, "_functional", None) or operation
        inner: Any = getattr(functional, "operations", None) or getattr(operation, "layers", ())
        pending.extend(reversed(list(inner)))  # so that the first in the model is the first told
