# SPDX-License-Identifier: Apache-2.0
"""What a build is made with, and what planning it found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tt_tflm.devices import Device
from tt_tflm.emit.c.weight_files import WEIGHT_FORMS
from tt_tflm.errors import InputError, expect_one_of
from tt_tflm.losses import Loss
from tt_tflm.optimizers import OPTIMIZERS, Optimizer
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import PlanCost
from tt_tflm.plan.update_plan import UpdatePlan
from tt_tflm.program.emitted import SYMBOL

BACKENDS = ("c", "tflm")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Words that cannot be names in C or C++, and what the generated source calls its own.
_TAKEN = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true "
    "false class delete new template this throw try using namespace virtual operator private public protected main "
    "predict forward train_forward train_backward apply_update loss_gradient fisher_forward fisher_backward "
    "engine calls choice costs layers hyper prototypes interpreted models shared session x".split()
)


@dataclass(frozen=True)
class BuildSettings:
    """What the user asked for, as far as the emitted files and the report depend on it.

    Args:
        device: the target.
        loss, optimizer: what the program was made from.
        budget: as asked for.
        input_scaling: (scale, shift) from a pixel of 0..255 to the model's input.
        backend: ``c`` or ``tflm``.
        name: of the build in C.
        weights: how its weights are written, one of ``WEIGHT_FORMS``.
        calibrated: least and greatest value of the representative data; None in float32.

    Raises:
        InputError: the message names the setting, what was expected and what was received.
    """

    device: Device
    loss: Loss
    optimizer: Optimizer
    budget: Budget
    input_scaling: tuple[float, float]
    backend: str
    name: str = SYMBOL
    weights: str = "auto"
    calibrated: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, Optimizer):
            names = ", ".join(f"{cls.__name__}(...)" for cls in OPTIMIZERS.values())
            raise InputError(f"expected one of {names}, received {self.optimizer!r}")
        expect_one_of("backend", self.backend, BACKENDS)
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or self.name in _TAKEN:
            raise InputError(
                "name: expected up to 40 small letters, digits and _, a letter first, and no word of C or file of the "
                f"runtime, received {self.name!r}"
            )
        if self.weights not in WEIGHT_FORMS:
            raise InputError(f"weights: expected one of {', '.join(WEIGHT_FORMS)}, received {self.weights!r}")
        if self.weights != "auto" and self.backend != "c":
            raise InputError(
                f"weights: expected 'auto' with backend {self.backend!r}, whose models hold them, received "
                f"{self.weights!r}"
            )
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
