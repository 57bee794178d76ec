# SPDX-License-Identifier: Apache-2.0
"""tt-tflm: Keras models that train on microcontrollers."""

from tt_tflm.build import Build, load_build
from tt_tflm.converter import TrainableConverter
from tt_tflm.errors import DeviceError, InputError, TinyTrainError, ToolchainError, UnsupportedLayerError
from tt_tflm.options import SGD, Adam, Momentum, PrototypeLoss, SoftmaxLoss
from tt_tflm.plan import Budget, UpdatePlan

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "Budget",
    "Build",
    "DeviceError",
    "InputError",
    "Momentum",
    "PrototypeLoss",
    "SoftmaxLoss",
    "TinyTrainError",
    "ToolchainError",
    "TrainableConverter",
    "UnsupportedLayerError",
    "UpdatePlan",
    "load_build",
]
