# SPDX-License-Identifier: Apache-2.0
"""Episodes of noisy images, and builds that are made once."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from emit import models
from oracle.fixed_nets import CLASSES, INPUT_SHAPE

import tt_tflm

SHOTS = 3


@pytest.fixture(scope="session")
def builds() -> Callable[[str], tt_tflm.Build]:
    """Gives the build of a recipe of the emitter's tests."""
    return functools.cache(models.build)


@pytest.fixture(scope="session")
def support() -> tuple[np.ndarray, np.ndarray]:
    """uint8 images and labels: noisy copies of one image a class."""
    draw = np.random.default_rng(3)
    labels = np.arange(CLASSES).repeat(SHOTS)
    centres = draw.uniform(60, 195, (CLASSES, *INPUT_SHAPE))
    return np.clip(centres[labels] + draw.normal(0, 30, (len(labels), *INPUT_SHAPE)), 0, 255).astype(np.uint8), labels
