# SPDX-License-Identifier: Apache-2.0
"""Gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass

from tt_tflm.errors import expect_share
from tt_tflm.optimizers.optimizer import Optimizer, register_optimizer


@register_optimizer
@dataclass(frozen=True)
class Momentum(Optimizer):
    """v = momentum * v - learning_rate * g; w += v (Keras' SGD with momentum). One moment per trained parameter.

    Args:
        learning_rate: positive.
        momentum: in [0, 1).
        batch_size: as for ``SGD``.

    Raises:
        InputError: an argument is out of range.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    batch_size: int = 1
    name = "momentum"
    moments = ("velocity",)
    sources = ("tt_momentum_update.c",)

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_share("Momentum", "momentum", self.momentum)
