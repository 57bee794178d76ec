# SPDX-License-Identifier: Apache-2.0
"""Models in memory as the rest takes them: of Keras 3, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from tt_tflm.errors import InputError, UnsupportedLayerError, shown
from tt_tflm.files.keras_config import ModelParts, parse_config
from tt_tflm.frontend.compiled_loss import compiled_loss
from tt_tflm.frontend.loaders.float32 import in_float32
from tt_tflm.frontend.loaders.load import LoadedModel, build
from tt_tflm.frontend.quiet import import_keras, silence

_LEGACY = "tf_keras"


def adopt(model: Any) -> LoadedModel:
    """A model in memory, with the loss that it was compiled with.

    Args:
        model: of Keras 3, which is taken as it is where it computes in float32, else cast, with a warning; or of the
            package ``tf_keras``, of which a copy in Keras 3 is made.

    Raises:
        InputError, UnsupportedLayerError: it cannot be translated; the message names the layer.
    """
    if _is_legacy(model):
        return _from_tf_keras(model)
    keras = import_keras()
    if not isinstance(model, keras.Model):
        return LoadedModel(model, None)  # the check of models tells
    return LoadedModel(_cast(model), compiled_loss(model))


def _cast(model: Any) -> Any:
    keras = import_keras()
    # Quantised layers are told by the check, which knows the way out.
    layers = list(model._flatten_layers())
    floats = [layer for layer in layers if layer.compute_dtype in ("float16", "bfloat16", "float64")]
    if not floats or any(getattr(layer, "quantization_mode", None) for layer in layers):
        return model
    try:
        with silence():
            config = keras.saving.serialize_keras_object(model)
        config = in_float32({**config, "compile_config": None}, f"model '{model.name}'")
        with silence():
            custom = {type(layer).__name__: type(layer) for layer in layers if not _of(type(layer), "keras")}
            copy = keras.saving.deserialize_keras_object(config, custom_objects=custom)
            copy.set_weights([np.asarray(values) for values in model.get_weights()])
    except Exception as error:  # whatever a layer's own get_config and from_config raise
        layer = floats[0]
        raise UnsupportedLayerError(
            f"layer '{layer.name}' ({type(layer).__name__}): expected float32, received {layer.compute_dtype}; rebuild "
            "the model with the float32 policy"
        ) from error
    return copy


def _from_tf_keras(model: Any) -> LoadedModel:
    where = f"model '{shown(getattr(model, 'name', '?'))}' of {_LEGACY}"
    for layer in model._flatten_layers():
        if not _of(type(layer), _LEGACY):
            raise UnsupportedLayerError(
                f"{where}: layer '{shown(layer.name)}' ({type(layer).__name__}): expected a layer of {_LEGACY}, "
                "received one of its own; build the model with layers of `tt-tflm supported-ops`"
            )
    try:
        with silence():
            text = model.to_json()
    except Exception as error:
        raise InputError(
            f"{where}: expected a Sequential or Functional model, received a subclassed one, which cannot be rebuilt: "
            "build it from layers with Model(inputs, outputs)"
        ) from error
    weights = [np.asarray(weight) for weight in model.weights]
    training = {"loss": _stored_loss(model.loss)} if getattr(model, "compiled_loss", None) is not None else None
    config = parse_config(text, where)
    return build(ModelParts(config, training, 2, sum(values.size for values in weights), weights), where)


def _stored_loss(loss: Any) -> Any:
    """A loss as the file of a model tells it."""
    if isinstance(loss, dict):
        return {name: _stored_loss(value) for name, value in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [_stored_loss(value) for value in loss]
    if loss is None or isinstance(loss, str):
        return loss
    if hasattr(loss, "get_config"):
        options = {key: value for key, value in loss.get_config().items() if isinstance(value, (str, bool, int, float))}
        module = "keras.losses" if _of(type(loss), _LEGACY) else type(loss).__module__
        return {"module": module, "class_name": type(loss).__name__, "config": options}
    name = getattr(loss, "__name__", type(loss).__name__)
    return name if _of(loss, _LEGACY) else {"module": "its own", "class_name": name, "config": {}}


def _is_legacy(model: Any) -> bool:
    """Told by the names of its classes: the package need not be there."""
    return any(_of(base, _LEGACY) and base.__name__ == "Model" for base in type(model).__mro__)


def _of(thing: Any, package: str) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] == package
