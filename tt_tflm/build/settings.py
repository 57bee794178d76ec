# SPDX-License-Identifier: Apache-2.0
"""What a build is made with, and what planning it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tt_tflm.devices import Device
from tt_tflm.errors import InputError
from tt_tflm.losses import Loss
from tt_tflm.optimizers import OPTIMIZERS, Optimizer
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import PlanCost
from tt_tflm.plan.update_plan import UpdatePlan

BACKENDS = ("c", "tflm")


@dataclass(frozen=True)
class BuildSettings:
    """What the user asked for, as far as the emitted files and the report depend on it.

    Args:
        device: the target.
        loss, optimizer: what the program was made from.
        budget: as asked for.
        input_scaling: (scale, shift) from a pixel of 0..255 to the model's input.
        backend: ``c`` or ``tflm``.

    Raises:
        InputError: the message names the setting, what was expected and what was received.
    """

    device: Device
    loss: Loss
    optimizer: Optimizer
    budget: Budget
    input_scaling: tuple[float, float]
    backend: str

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, Optimizer):
            names = ", ".join(f"{cls.__name__}(...)" for cls in OPTIMIZERS.values())
            raise InputError(f"expected one of {names}, received {self.optimizer!r}")
        if self.backend not in BACKENDS:
            raise InputError(f"backend: expected one of {', '.join(BACKENDS)}, received {self.backend!r}")
        if not isinstance(self.budget, Budget):
            raise InputError(f"expected a Budget, received {type(self.budget).__name__}")


@dataclass(frozen=True)
class Planned:
    """What planning a build found, beside its program.

    Args:
        backward_macs_full: of training everything.
        placement: which memory goes where on the device; None where its regions are not known.
        plan: the fixed plan; None where the board chooses.
        cost: of that plan; None where the board chooses.
    """

    backward_macs_full: int
    placement: list[dict[str, Any]] | None
    plan: UpdatePlan | None = None
    cost: PlanCost | None = None
