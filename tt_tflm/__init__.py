# SPDX-License-Identifier: Apache-2.0
"""tt-tflm: Keras models that train on microcontrollers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tt_tflm.boards.serial import Board
    from tt_tflm.boards.simulated.task import Augment
    from tt_tflm.build.artefact import Build, load_build
    from tt_tflm.build.converter import TrainableConverter
    from tt_tflm.errors import (
        DeviceError,
        InputError,
        InputWarning,
        TinyTrainError,
        ToolchainError,
        UnsupportedLayerError,
    )
    from tt_tflm.losses import Loss, PrototypeLoss, SoftmaxLoss, register_loss
    from tt_tflm.optimizers import SGD, Adam, Momentum, Optimizer, register_optimizer
    from tt_tflm.plan import Budget, UpdatePlan

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "Augment",
    "Board",
    "Budget",
    "Build",
    "DeviceError",
    "InputError",
    "InputWarning",
    "Loss",
    "Momentum",
    "Optimizer",
    "PrototypeLoss",
    "SoftmaxLoss",
    "TinyTrainError",
    "ToolchainError",
    "TrainableConverter",
    "UnsupportedLayerError",
    "UpdatePlan",
    "load_build",
    "register_loss",
    "register_optimizer",
]

_HOMES = {
    "boards.serial": ("Board",),
    "boards.simulated.task": ("Augment",),
    "build.artefact": ("Build", "load_build"),
    "build.converter": ("TrainableConverter",),
    "errors": (
        "DeviceError",
        "InputError",
        "InputWarning",
        "TinyTrainError",
        "ToolchainError",
        "UnsupportedLayerError",
    ),
    "losses": ("Loss", "PrototypeLoss", "SoftmaxLoss", "register_loss"),
    "optimizers": ("SGD", "Adam", "Momentum", "Optimizer", "register_optimizer"),
    "plan": ("Budget", "UpdatePlan"),
}


def __getattr__(name: str) -> Any:
    # TVM takes a second to import: the command line answers --help without it.
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"tt_tflm.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'tt_tflm' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
