# SPDX-License-Identifier: Apache-2.0
"""Boards that choose their plan and adapt to a task: what dynamic and adaptable builds offer beyond ``Board``."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tt_tflm.boards.input_range import check_support
from tt_tflm.boards.simulated.board import Board, SimulationFiles
from tt_tflm.boards.simulated.choice import pack_budget, pack_choice, placed_rows, read_choice, read_potentials
from tt_tflm.boards.simulated.protocol import Command
from tt_tflm.boards.simulated.task import DEFAULT_AUGMENT, Adaptation, Augment, Task
from tt_tflm.errors import InputError
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.update_plan import UpdatePlan


class AdaptiveBoard(Board, ABC):
    """A board whose build may be of mode ``dynamic`` or adaptable; the calls say what they need of it."""

    def __init__(self, files: SimulationFiles, device: str) -> None:
        super().__init__(files, device)
        self._inspected = 0

    def reset(self) -> None:
        """Back to the conversion: trained rows, optimiser state, prototypes, potentials and choice are forgotten."""
        super().reset()
        self._inspected = 0

    def fisher_accumulate(self, x: np.ndarray, label: int | np.ndarray) -> None:
        """Adds the Fisher potential of a sample; arguments and errors as for `train_step`.

        Raises:
            InputError: also when the build has a fixed plan.
        """
        self._need_choice("fisher_accumulate")
        self._call_towards(Command.FISHER_ACCUMULATE, x, label)
        self._inspected += 1

    def fisher_clear(self) -> None:
        """Forgets the potentials.

        Raises:
            InputError: the build has a fixed plan.
        """
        self._need_choice("fisher_clear")
        self._call(Command.FISHER_CLEAR)
        self._inspected = 0

    def fisher(self) -> dict[str, np.ndarray]:
        """Fisher potential of every channel of the inspected layers, float32 (channels,), layer by layer: half the mean
        over the samples of the squared sum over positions of activation times gradient (Kwon et al., 2024).

        Raises:
            InputError: the build has a fixed plan, or no sample has been accumulated.
        """
        choice = self._need_choice("fisher")
        if self._inspected == 0:
            raise InputError(
                "fisher: expected at least one sample, received none: call fisher_accumulate(x, label) first"
            )
        sums = read_potentials(self._call(Command.READ_ROW_POOL), choice)
        return {layer: values / np.float32(2 * self._inspected) for layer, values in sums.items()}

    def select(self, budget: Budget | None = None) -> UpdatePlan:
        """Has the board choose layers and channels by the potentials so far; training starts from the base weights.

        Args:
            budget: limits; None for those of the conversion.

        Raises:
            InputError: the build has a fixed plan, or budget is no Budget.
            DeviceError: nothing fits the budget.
        """
        choice = self._need_choice("select")
        if budget is not None and not isinstance(budget, Budget):
            raise InputError(f"expected a Budget, received {type(budget).__name__}")
        limits = choice["budget"] if budget is None else budget.resolve(int(choice["backward_macs_full"])).to_json()
        self._call(Command.SELECT, message=pack_budget(limits))
        return self.plan("tinytrain", limits)

    def choose(self, plan: UpdatePlan) -> None:
        """Has the board train a given plan, from the base weights.

        Raises:
            InputError: the build has a fixed plan, or the plan names what is not inspected.
            DeviceError: the plan's rows do not fit.
        """
        choice = self._need_choice("choose")
        self._call(Command.CHOOSE, message=pack_choice(plan, choice, str(self._files.description.get("fingerprint"))))

    def plan(self, strategy: str = "given", budget: Mapping[str, int | None] | None = None) -> UpdatePlan | None:
        """The plan that the board trains at present; None when it trains nothing.

        Raises:
            InputError: the build has a fixed plan.
        """
        choice = self._need_choice("plan")
        chosen = read_choice(self._call(Command.READ_ROW_POOL), choice)
        layers = {layer: list(channels) for layer, channels in chosen.items() if len(channels)}
        fingerprint = self._files.description.get("fingerprint")
        return UpdatePlan(layers, fingerprint, strategy=strategy, budget=budget) if layers else None

    def adapt(
        self,
        support_x: np.ndarray,
        support_y: np.ndarray,
        iterations: int = 40,
        *,
        budget: Budget | None = None,
        plan: UpdatePlan | None = None,
        gradient: str = "exact",
        paced: bool = True,
        augment: Augment = DEFAULT_AUGMENT,
        seed: int = 0,
    ) -> Adaptation:
        """Adapts to a task: enrolls the support set; a build that chooses on the board inspects it and selects; then
        trains the chosen rows on pseudo-queries, augmented copies of the support set, and enrolls again.

        Args:
            support_x: (samples, *input_shape) float32.
            support_y: (samples,) labels; every class at least once is usual, two classes are needed.
            iterations: updates, 0 or more.
            budget: for the selection; None for that of the conversion.
            plan: train this instead of selecting.
            gradient: ``exact`` (through the prototypes as well) or ``constant`` (prototypes held within an iteration).
            paced: whether the learning rate goes by the tightness of the support set: less of it for a domain that the
                network knows already (ops/include/tt_episode.h).
            augment: how pseudo-queries differ from the samples.
            seed: of the pseudo-queries.

        Returns:
            Mean loss of every iteration, the plan (None in a build with a fixed one), and on boards that count them the
            instructions of the Fisher pass, the selection and the adaptation.

        Raises:
            InputError: an argument is not as described, samples lie outside of the augmentation's range, or the build
                cannot adapt.
            DeviceError: nothing fits the budget, or training has diverged.
        """
        self._need_adaptable()
        task = Task.checked(support_x, support_y, iterations, gradient, paced, augment, seed)
        samples = [self._checked_x(x) for x in task.samples]
        check_support("adapt", task.samples, (augment.low, augment.high))
        labels = [self._checked_label(int(label)) for label in task.labels]
        counted = {"fisher": 0, "select": 0, "adapt": 0}
        if self._files.description.get("choice") is not None:
            if plan is not None:
                self.choose(plan)
            else:
                self.forget_prototypes()
                self.fisher_clear()
                for x, label in zip(samples, labels, strict=True):
                    self.enroll(x, label)
                for x, label in zip(samples, labels, strict=True):
                    self.fisher_accumulate(x, label)
                    counted["fisher"] += self.instructions.get("fisher_accumulate", 0)
                plan = self.select(budget)
                counted["select"] = self.instructions.get("select", 0)
        elif plan is not None or budget is not None:
            raise InputError("adapt: expected no plan or budget for a build with a fixed plan, received one")
        payload = self._call(Command.ADAPT, message=task.pack(), samples=samples)
        counted["adapt"] = self.instructions.get("adapt", 0)
        losses = tuple(float(v) for v in self._floats(payload))
        return Adaptation(losses, plan, counted if self.instructions else None)

    def _need_choice(self, name: str) -> Mapping[str, Any]:
        choice = self._files.description.get("choice")
        if choice is None:
            raise InputError(f"{name}: expected a build of mode 'dynamic', received one with a fixed plan")
        return choice

    def _need_adaptable(self) -> None:
        if not self._files.description.get("adaptable"):
            raise InputError(
                "adapt: expected a build with PrototypeLoss and accumulated gradients (mode 'dynamic' with Momentum or "
                "Adam, or batch_size above 1), received one without"
            )

    def _trained_rows(self, pool: bytes) -> Sequence[Mapping[str, Any]]:
        choice = self._files.description.get("choice")
        return super()._trained_rows(pool) if choice is None else placed_rows(pool, choice)
