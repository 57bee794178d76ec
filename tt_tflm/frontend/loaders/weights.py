# SPDX-License-Identifier: Apache-2.0
"""Values for the weights of a model, from what a file holds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.files.keras_config import StoredWeights
from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras


def fill(model: keras.Model, weights: StoredWeights | Sequence[np.ndarray], where: str) -> None:
    """Gives a model its weights.

    Args:
        model: built.
        weights: measured by ``tt_tflm.files``.
        where: begins every error.

    Raises:
        InputError: they are not those of the model.
        Exception: Keras raises what it likes for stored ones that are not.
    """
    if isinstance(weights, StoredWeights):
        with tempfile.TemporaryDirectory(prefix="tt-tflm-model-") as folder:
            path = Path(folder) / f"model{weights.suffix}"
            path.write_bytes(weights.content)
            model.load_weights(str(path))
        return
    targets = list({id(weight): weight for weight in _in_order_of_keras_2(model)}.values())
    if len(targets) != len(weights):
        raise InputError(f"{where}: expected {len(targets)} weights for its layers, received {len(weights)}: damaged")
    for target, values in zip(targets, weights, strict=True):
        if tuple(target.shape) != values.shape:
            raise InputError(
                f"{where}: expected weight '{target.path}' of shape {tuple(target.shape)}, received {values.shape}: "
                "damaged"
            )
        target.assign(values)


def _in_order_of_keras_2(layer: Any) -> Iterator[Any]:
    """Keras 2 lists the weights of a model layer by layer, and of a layer those first that are trained."""
    if isinstance(layer, import_keras().Model):
        for inner in layer.layers:
            yield from _in_order_of_keras_2(inner)
    else:
        yield from layer.trainable_weights + layer.non_trainable_weights
