# SPDX-License-Identifier: Apache-2.0
"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from tt_tflm.optimizers.optimizer import Optimizer, register_optimizer


@register_optimizer
@dataclass(frozen=True)
class SGD(Optimizer):
    """w -= learning_rate * g. With ``batch_size`` 1 the update is part of the gradient kernel and nothing is stored but
    for a layer that is used in several places: its gradient is summed over its uses before its rows change.

    Args:
        learning_rate: positive.
        batch_size: samples, given one at a time, whose mean gradient makes one update.

    Raises:
        InputError: an argument is out of range.
    """

    learning_rate: float = 0.01
    batch_size: int = 1
    name = "sgd"
    fusible = True
    sources = ("tt_sgd_update.c",)
