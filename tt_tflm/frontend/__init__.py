# SPDX-License-Identifier: Apache-2.0
"""Keras in: load, check, name and import a model. Importing this package does not import TensorFlow."""

from tt_tflm.frontend.keras_model import check_model
from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.loaders import load_keras
from tt_tflm.frontend.names import WeightOp, name_layers, weight_layers
from tt_tflm.frontend.supported import SupportedLayer, supported_layers
from tt_tflm.frontend.tflite_import import to_relax

__all__ = [
    "Layer",
    "SupportedLayer",
    "WeightOp",
    "check_model",
    "load_keras",
    "name_layers",
    "supported_layers",
    "to_relax",
    "weight_layers",
]
