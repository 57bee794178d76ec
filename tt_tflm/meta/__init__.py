# SPDX-License-Identifier: Apache-2.0
"""The offline half of TinyTrain: models that are ready to adapt, and the measurement that tells what adapting
brings."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tt_tflm.meta.episodes import Sampling
    from tt_tflm.meta.evaluation import Evaluation, evaluate
    from tt_tflm.meta.evaluation_settings import EvaluationSettings
    from tt_tflm.meta.images import load_images
    from tt_tflm.meta.settings import RunSettings, Settings
    from tt_tflm.meta.training import FitResult, fit

__all__ = [
    "Evaluation",
    "EvaluationSettings",
    "FitResult",
    "RunSettings",
    "Sampling",
    "Settings",
    "evaluate",
    "fit",
    "load_images",
]

_HOMES = {
    "Evaluation": "evaluation",
    "EvaluationSettings": "evaluation_settings",
    "FitResult": "training",
    "RunSettings": "settings",
    "Sampling": "episodes",
    "Settings": "settings",
    "evaluate": "evaluation",
    "fit": "training",
    "load_images": "images",
}


def __getattr__(name: str) -> Any:
    # TensorFlow and TVM take seconds to import: each function brings what it needs.
    if name not in _HOMES:
        raise AttributeError(f"module 'tt_tflm.meta' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"tt_tflm.meta.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
