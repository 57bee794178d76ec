# SPDX-License-Identifier: Apache-2.0
"""Configurations as Keras 2 writes them, and Keras 3 into `.h5` files, in the form of Keras 3's `.keras` files.

What an option of Keras 2 does that Keras 3 has not is asked of its value: at rest it is left out, else it is refused.
Initialisers are left out altogether: every weight has its value from the file.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NoReturn

from tt_tflm.errors import UnsupportedLayerError, shown
from tt_tflm.frontend.loaders.float32 import policy_name
from tt_tflm.frontend.loaders.legacy_operations import OPERATION_LAYERS, operation
from tt_tflm.frontend.quiet import import_keras

_MODELS = ("Functional", "Model", "Sequential")
_FUNCTIONAL = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}
_SEQUENTIAL = {"module": "keras", "class_name": "Sequential", "registered_name": None}
_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "GRUV2": "GRU",
    "LSTMV2": "LSTM",
}
_RENAMED_OPTIONS = {("LeakyReLU", "alpha"): "negative_slope", ("InputLayer", "batch_input_shape"): "batch_shape"}
# Of any layer: shapes that the graph tells, how it is computed, and what Keras keeps for itself.
_WITHOUT_EFFECT = ("batch_input_shape", "input_length", "implementation", "fused", "dynamic", "stateful_metrics",
                   "query_shape", "key_shape", "value_shape", "renorm_momentum", "renorm_clipping", "autocast",
                   "synchronized", "shared_object_id", "rng_type")  # fmt: skip
# The value at which an option is at rest; None and False are, of any.
_AT_REST: dict[str, Any] = {"groups": 1, "dilation_rate": [1, 1], "interpolation": "nearest"}
# Of one name in both versions, computed otherwise.
_OTHERWISE = {"hard_sigmoid": "0.2 x + 0.5 between 0 and 1, which in Keras 3 is x / 6 + 0.5"}


def in_keras_3(config: Mapping[str, Any], keras: int, where: str) -> dict[str, Any]:
    """The configuration of a model in the form that ``keras.saving.deserialize_keras_object`` takes.

    Args:
        config: of a `.keras` file of Keras 2, an `.h5` file, a SavedModel, or ``model.to_json()``.
        keras: major version of what wrote it.
        where: begins every error.

    Raises:
        UnsupportedLayerError: it has a layer that Keras 3 has not, or an option that has no place there.
        Exception: whatever comes of a configuration that is none.
    """
    return _Translation(keras, where).of(config)


def training_in_keras_3(training: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a model was compiled with, in the form of Keras 3, of which the loss alone is read."""
    return None if training is None else {"loss": _loss(training.get("loss"))}


def _loss(loss: Any) -> Any:
    """Older files give the class without its module; a class of the user's has one that is none of Keras'."""
    if isinstance(loss, Mapping) and isinstance(loss.get("class_name"), str):
        known = "module" not in loss and isinstance(getattr(import_keras().losses, loss["class_name"], None), type)
        return {**loss, "module": "keras.losses"} if known else loss
    if isinstance(loss, Mapping):
        return {name: _loss(value) for name, value in loss.items()}
    return [_loss(value) for value in loss] if isinstance(loss, list) else loss


class _Translation:
    def __init__(self, keras: int, where: str) -> None:
        self._keras = keras
        self._where = where

    def of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Of a layer or a model."""
        kind, inner = config["class_name"], config["config"]
        name = config.get("name") or (inner.get("name", "?") if isinstance(inner, Mapping) else "?")
        module = config.get("module")
        if isinstance(module, str) and module.partition(".")[0] not in ("keras", "tf_keras"):
            self._refuse(name, kind, "a layer of Keras", f"a class of the module '{shown(module)}'")
        if kind == "Sequential":
            return {**_SEQUENTIAL, "config": self._sequential(config)}
        if kind in ("Functional", "Model") and isinstance(inner, Mapping) and "input_layers" in inner:
            return {**_FUNCTIONAL, "config": self._functional(inner)}
        kind = _RENAMED.get(kind, kind)
        keras = import_keras()
        cls = getattr(keras.layers, kind, None)
        if self._keras >= 3 and "trainable" not in inner and kind != "InputLayer":
            found = _operation_of_keras_3(kind)
            if found is not None:
                return {"module": found, "class_name": kind, "config": dict(inner), "registered_name": kind}
        if not (isinstance(cls, type) and issubclass(cls, keras.layers.Layer)):
            self._refuse(name, kind, "a layer of Keras 3", "one that it has not, or one of its own")
        options = self._options(cls, kind, name, inner)
        return {"module": "keras.layers", "class_name": kind, "config": options, "registered_name": None}

    def _sequential(self, config: Mapping[str, Any]) -> dict[str, Any]:
        inner = config["config"]
        layers = [dict(layer) for layer in (inner if isinstance(inner, list) else inner["layers"])]
        first = layers[0]["config"] if layers else {}
        translated = [self.of(layer) for layer in layers]
        if layers and layers[0]["class_name"] != "InputLayer" and _first_shape(layers[0]) is not None:
            name = f"{_leaf_name(first)}_input"
            options = {"batch_shape": _values(_first_shape(layers[0])), "dtype": "float32", "name": name}
            entry = {"module": "keras.layers", "class_name": "InputLayer", "config": options, "registered_name": None}
            translated.insert(0, entry)
        result: dict[str, Any] = {"layers": translated}
        if isinstance(inner, dict):
            result["name"] = _name(inner["name"]) if "name" in inner else None
        build_config = config.get("build_config")
        built = inner.get("build_input_shape") if isinstance(inner, dict) else None
        if built is None and isinstance(build_config, dict):
            built = build_config.get("input_shape")
        if built is not None and not (translated and translated[0]["class_name"] == "InputLayer"):
            result["build_input_shape"] = _values(built)
        return result

    def _functional(self, inner: Mapping[str, Any]) -> dict[str, Any]:
        layers, graph = [], _Graph(inner["layers"])
        for layer in inner["layers"]:
            nodes = layer.get("inbound_nodes") or []
            if layer["class_name"] in OPERATION_LAYERS:
                calls = [graph.call(node) for node in nodes]
                entry = operation(layer, calls, self._where)
            else:
                entry = self.of(layer)
                entry["inbound_nodes"] = [graph.node(node) for node in nodes]
            entry["name"] = entry["config"]["name"] = _name(layer["name"])
            layers.append(entry)
        result = {key: inner[key] for key in ("name", "trainable") if key in inner}
        result["name"] = _name(result["name"]) if "name" in result else None
        outputs = {key: graph.ends(_values(inner[key])) for key in ("input_layers", "output_layers")}
        return {**result, "layers": layers, **outputs}

    def _options(self, cls: type, kind: str, name: str, inner: Mapping[str, Any]) -> dict[str, Any]:
        known = _parameters(cls)
        options: dict[str, Any] = {}
        for key, value in inner.items():
            key = _RENAMED_OPTIONS.get((kind, key), key)
            if key.endswith("initializer"):
                continue
            value = self._value(_values(value))
            if key not in known:
                if key in _WITHOUT_EFFECT or value is None or value is False or _AT_REST.get(key, ()) == value:
                    continue
                self._refuse(name, kind, "options of Keras 3", f"{key} = {shown(value)}")
            options[key] = value
        if kind == "BatchNormalization" and isinstance(options.get("axis"), list) and len(options["axis"]) == 1:
            options["axis"] = options["axis"][0]
        if kind in ("GRU", "GRUCell") and self._keras < 3:
            options.setdefault("reset_after", False)  # files of Keras before TensorFlow 2 do not tell
        if "name" in options:
            options["name"] = _name(options["name"])
        self._check_activations(kind, name, options)
        return options

    def _value(self, value: Any) -> Any:
        """A value of an option: Keras 2 gives objects in it without their modules."""
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if not isinstance(value, dict) or not isinstance(value.get("class_name"), str):
            return value
        if policy_name(value) is not None:
            return policy_name(value)
        keras = import_keras()
        kind = value["class_name"]
        for module in ("regularizers", "constraints"):
            if "module" not in value and isinstance(getattr(getattr(keras, module), kind, None), type):
                return {"module": f"keras.{module}", "registered_name": None, **value}
        is_layer = isinstance(value.get("config"), (dict, list)) and (
            kind in _MODELS or isinstance(getattr(keras.layers, kind, None), type)
        )
        return self.of(value) if is_layer else value

    def _check_activations(self, kind: str, name: str, options: Mapping[str, Any]) -> None:
        if self._keras >= 3:
            return
        for key, value in options.items():
            if key.endswith("activation") and value in _OTHERWISE:
                self._refuse(
                    name,
                    kind,
                    "activations that Keras 3 computes alike",
                    f"{key} '{value}' of Keras 2: {_OTHERWISE[value]}",
                )

    def _refuse(self, name: Any, kind: Any, expected: str, received: str) -> NoReturn:
        raise UnsupportedLayerError(
            f"{self._where}: layer '{shown(name)}' ({shown(kind)}): expected {expected}, received {received}; build "
            "the model with layers of `tt-tflm supported-ops`, give it these weights, and save it with Keras 3"
        )


class _Graph:
    """The calls in a Functional model: from lists of (layer, call, output) to objects that hold those."""

    def __init__(self, layers: list[Any]) -> None:
        self._names = {layer["name"] for layer in layers}
        # Keras 2 counts the making of a model with an input as its first call, Keras 3 does not.
        self._made = {layer["name"]: layer["class_name"] for layer in layers if _has_input(layer)}

    def node(self, node: Any) -> Any:
        """A call of a layer."""
        if isinstance(node, dict) and "args" in node:
            return node  # of Keras 3
        inputs, arguments = self.call(node)
        return {"args": [inputs[0] if len(inputs) == 1 else inputs], "kwargs": arguments}

    def call(self, node: Any) -> tuple[list[Any], dict[str, Any]]:
        """Inputs and keyword arguments of a call as Keras 2 has it."""
        node = _values(node)
        if isinstance(node, list) and node and isinstance(node[0], str):
            node = [node]
        if not isinstance(node, list) or not all(isinstance(entry, list) and len(entry) in (3, 4) for entry in node):
            raise ValueError("inputs of a layer that are no list")
        options: dict[str, Any] = next((entry[3] for entry in node if len(entry) == 4), {})
        inputs = [entry[2] if entry[0] == "_CONSTANT_VALUE" else self._tensor(entry) for entry in node]
        return inputs, {key: self._argument(value) for key, value in options.items() if value is not None}

    def ends(self, ends: Any) -> Any:
        """Inputs or outputs of the model."""
        if isinstance(ends, list) and len(ends) == 3 and isinstance(ends[0], str):
            name, call, output = ends
            # Keras 3 takes the first call of a Functional off by itself.
            call -= self._made.get(name) == "Sequential" and call > 0
            return [_name(name), call, output]
        if isinstance(ends, dict):
            return {key: self.ends(value) for key, value in ends.items()}
        found = [self.ends(value) for value in ends]
        return found[0] if len(found) == 1 else found

    def _argument(self, value: Any) -> Any:
        if isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and value[0] in self._names:
                return self._tensor(value)
            return [self._argument(item) for item in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {key: self._argument(item) for key, item in value.items()}
        return value

    def _tensor(self, entry: list[Any]) -> dict[str, Any]:
        name, call, output = entry[:3]
        call -= name in self._made and call > 0
        history = {"shape": [], "dtype": "float32", "keras_history": [_name(name), call, output]}
        return {"class_name": "__keras_tensor__", "config": history}


def _has_input(layer: Mapping[str, Any]) -> bool:
    """Whether a layer is a model that was made with its input."""
    inner = layer["config"]
    if layer["class_name"] != "Sequential":
        return layer["class_name"] in _MODELS and "input_layers" in inner
    layers = inner if isinstance(inner, list) else inner["layers"]
    return bool(layers) and (layers[0]["class_name"] == "InputLayer" or _first_shape(layers[0]) is not None)


def _first_shape(layer: Mapping[str, Any]) -> Any:
    """The input shape that the first layer of a Sequential brings, be it a model or wrapped."""
    inner = layer["config"]
    return inner.get("batch_input_shape") if isinstance(inner, dict) else None


def _leaf_name(inner: Any) -> str:
    return _name(inner.get("name", "layer")) if isinstance(inner, dict) else "layer"


def _name(name: str) -> str:
    """Keras 3 allows no slash in names; its own applications have this in place of it."""
    return name.replace("/", "_")


def _values(value: Any) -> Any:
    """A value with the tuples that Keras 2 marks as such in JSON as lists."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__" and isinstance(value.get("items"), list):
            return [_values(item) for item in value["items"]]
        if value.get("class_name") == "TensorShape" and isinstance(value.get("items"), list):
            return [_values(item) for item in value["items"]]
        return {key: _values(item) for key, item in value.items()}
    return [_values(item) for item in value] if isinstance(value, list) else value


def _parameters(cls: type) -> set[str]:
    """Names of what a class of layers is made with, its bases' among them."""
    found: set[str] = set()
    for base in cls.__mro__:
        if "__init__" in base.__dict__:
            found.update(inspect.signature(base.__dict__["__init__"]).parameters)
    return found


def _operation_of_keras_3(kind: str) -> str | None:
    """The module in which Keras 3 has an operation, which `.h5` files do not tell."""
    keras = import_keras()
    from keras.src.ops import core, image, linalg, math, nn, numpy

    for module in (numpy, nn, core, image, linalg, math):
        cls = getattr(module, kind, None)
        if isinstance(cls, type) and issubclass(cls, keras.Operation) and cls.__module__ == module.__name__:
            return str(module.__name__)
    return None
