# SPDX-License-Identifier: Apache-2.0
"""Adam."""

from __future__ import annotations

from dataclasses import dataclass

from tt_tflm.errors import expect_positive, expect_share
from tt_tflm.optimizers.optimizer import Optimizer, register_optimizer


@register_optimizer
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015) as Keras writes it: w -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon).
    Two moments per trained parameter.

    Args:
        learning_rate: positive.
        beta_1, beta_2: in [0, 1).
        epsilon: positive.
        batch_size: as for ``SGD``.

    Raises:
        InputError: an argument is out of range.
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    batch_size: int = 1
    name = "adam"
    moments = ("first_moment", "second_moment")
    counters = (1.0, 1.0)
    sources = ("tt_adam_update.c",)

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_share("Adam", "beta_1", self.beta_1)
        expect_share("Adam", "beta_2", self.beta_2)
        expect_positive("Adam", "epsilon", self.epsilon)
