# SPDX-License-Identifier: Apache-2.0
"""Refuse of a Keras model, with a reason and a remedy, what cannot become a trainable build."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError, UnsupportedLayerError, refuse_for
from tt_tflm.frontend.fold import fold
from tt_tflm.frontend.graph import Node, flatten

if TYPE_CHECKING:
    import keras


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
    for expected, holds, received, remedy in _OPTIONS.get(node.kind, ()):
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


# Masks are no part of what is traced, and the layers behind would heed them; a look-up has no operation yet.
_OPTIONS: dict[str, tuple[_Option, ...]] = {
    "Embedding": (
        (
            "vectors",
            lambda _node: False,
            lambda layer: f"numbers that {layer.input_dim} vectors are looked up by",
            "look them up before the model, which takes them as float32",
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
