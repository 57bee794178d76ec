# SPDX-License-Identifier: Apache-2.0
"""SavedModel folders from outside, as Keras 2 wrote them: the model's configuration, and its weights in their order.

Nothing of the graph is run. TensorFlow of 2.5 and later keeps the configuration in ``keras_metadata.pb``, earlier ones
in the nodes of ``saved_model.pb``; the weights lie in a checkpoint whose graph of objects names them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tt_tflm.errors import InputError, shown
from tt_tflm.files import protobuf_wire as wire
from tt_tflm.files.keras_config import ModelParts, parse_config
from tt_tflm.files.limits import OBJECT_GRAPH_BYTES, SAVED_MODEL_BYTES
from tt_tflm.files.regular_file import read_whole
from tt_tflm.files.tensor_bundle import TensorBundle

GRAPH = "saved_model.pb"
METADATA = "keras_metadata.pb"
_VARIABLES = Path("variables") / "variables"
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_REMEDY = "load it with the Keras that made it, and save the model with model.save('model.keras')"


def read_saved_model(path: str | os.PathLike[str]) -> ModelParts:
    """What a SavedModel folder of Keras 2 holds.

    Raises:
        InputError: it is none, holds no Keras model that can be rebuilt, or is damaged.
    """
    folder = Path(path)
    config = parse_config(_root_metadata(folder), f"{path}, Keras metadata")
    training = config.pop("training_config", None)
    weights = _weights(folder)
    elements = sum(values.size for values in weights)
    return ModelParts(config, training if isinstance(training, dict) else None, 2, elements, weights)


def _root_metadata(folder: Path) -> str:
    """What Keras noted of the model itself, in JSON."""
    path = folder / METADATA
    if path.exists():
        where = f"{path}: expected the metadata of a Keras model"
        nodes = wire.submessages(read_whole(path, "the metadata of a Keras model", SAVED_MODEL_BYTES), 1, where)
        found = [
            (wire.text(node, 4, where), wire.text(node, 5, where)) for node in nodes if not wire.number(node, 2, where)
        ]
    else:
        path = folder / GRAPH
        where = f"{path}: expected a SavedModel"
        found = []
        content = read_whole(path, "a SavedModel", SAVED_MODEL_BYTES)
        for meta_graph in wire.submessages(content, 2, where)[:1]:
            for objects in wire.submessages(meta_graph, 7, where)[-1:]:
                for root in wire.submessages(objects, 1, where)[:1]:
                    found = [
                        (wire.text(user, 1, where), wire.text(user, 3, where))
                        for user in wire.submessages(root, 4, where)
                    ]
    kind, metadata = found[0] if found else ("", "")
    if not kind.startswith("_tf_keras") or not metadata:
        raise InputError(
            f"{folder}: expected a SavedModel with the metadata of Keras 2, received one without, as model.export() "
            f"and Keras 3 write it: {_REMEDY}"
        )
    if kind == "_tf_keras_model":
        raise InputError(
            f"{folder}: expected a Sequential or Functional model, received a subclassed one, which a file does not "
            "tell how to rebuild: build it from layers with keras.Model(inputs, outputs)"
        )
    return metadata


def _weights(folder: Path) -> list[np.ndarray]:
    """The variables of the model, in the order in which it lists them."""
    bundle = TensorBundle(folder / _VARIABLES)
    where = f"{folder / _VARIABLES}: expected a checkpoint of a Keras model"
    nodes = wire.submessages(bundle.text(_OBJECTS, OBJECT_GRAPH_BYTES), 1, where)

    def children(node: int) -> dict[str, int]:
        if node >= len(nodes):
            raise InputError(f"{where}, received a child that is not in it: damaged")
        return {
            wire.text(child, 2, where): wire.number(child, 1, where)
            for child in wire.submessages(nodes[node], 1, where)
        }

    root = children(0)
    if "variables" not in root:
        raise InputError(f"{where}, received one without a list of variables: {_REMEDY}")
    listed = children(root["variables"])
    keys = []
    for place in range(len(listed)):
        node = listed.get(str(place), len(nodes))
        children(node)
        attributes = wire.submessages(nodes[node], 2, where)
        stored = [wire.text(value, 3, where) for value in attributes if wire.text(value, 1, where) == "VARIABLE_VALUE"]
        if len(stored) != 1:
            raise InputError(f"{where}, received variable {place} with {shown(len(stored))} values: damaged")
        keys.append(stored[0])
    return bundle.tensors(keys)
