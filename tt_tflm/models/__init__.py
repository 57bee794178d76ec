# SPDX-License-Identifier: Apache-2.0
"""Models that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__all__ = ["STARTER", "starter"]

STARTER = Path(__file__).parent / "starter.keras"
"""File of the starter model."""


def starter() -> keras.Model:
    """The starter model: grey images (32, 32, 1) from -1 to 1 in, embedding (64,) out; meta-trained on letters, strokes
    and objects that were drawn by a program (docs/starter_model.md). Each call loads it anew.

    Example:
        >>> converter = tt_tflm.TrainableConverter.from_keras_model(tt_tflm.models.starter())
        >>> converter.loss = tt_tflm.PrototypeLoss(classes=5)
    """
    from tt_tflm.frontend.loaders import load_keras

    return load_keras(STARTER)
