# SPDX-License-Identifier: Apache-2.0
"""What the passes are told of an update plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trained:
    """How many channels of a layer are trained (``AT_RUN_TIME``: any, chosen on the board), and whether their biases
    and their weights are."""

    channels: int
    bias: bool = True
    weights: bool = True
