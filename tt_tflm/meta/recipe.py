# SPDX-License-Identifier: Apache-2.0
"""Strategies that are compared: how all of them adapt, where the build of each lies, and what an episode brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tt_tflm.boards.simulated.task import Augment
from tt_tflm.losses import PrototypeLoss

if TYPE_CHECKING:
    from tt_tflm.boards.episode import Episode
    from tt_tflm.boards.simulated.adaptive_board import AdaptiveBoard
    from tt_tflm.boards.simulated.task import Adaptation
    from tt_tflm.plan.update_plan import UpdatePlan

COSTS = ("training_memory_bytes", "ram_bytes", "backward_macs")


@dataclass(frozen=True)
class Recipe:
    """How every strategy adapts.

    Attributes:
        iterations: updates.
        augment: of the pseudo-queries.
        seed: of the pseudo-queries and of the strategy ``random``, which adds the number of the episode.
        temperature: of the loss.
        paced: whether the learning rate goes by the tightness of the support set (ops/include/tt_episode.h).
    """

    iterations: int = 40
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    temperature: float = PrototypeLoss.temperature
    paced: bool = True

    def adapt(
        self, board: AdaptiveBoard, episode: Episode, plan: UpdatePlan | None, iterations: int | None = None
    ) -> Adaptation:
        """Has a board adapt to an episode.

        Args:
            board: whose learning rate is set.
            episode: fitted to the model's input.
            plan: what to train; None where the build has a plan or the board selects.
            iterations: in place of the recipe's.
        """
        told: dict[str, Any] = {} if plan is None else {"plan": plan}
        return board.adapt(
            episode.support_x,
            episode.support_y,
            self.iterations if iterations is None else iterations,
            paced=self.paced,
            augment=self.augment,
            seed=self.seed,
            **told,
        )


@dataclass(frozen=True)
class Arm:
    """A strategy: where its build lies, and what it costs where that is the same for every task.

    Attributes:
        strategy: its name.
        folder: of its build; None for ``none`` with backend tf.
        learning_rate: of Adam.
        costs: ``training_memory_bytes``, ``ram_bytes`` and ``backward_macs``; None where they depend on the task.
    """

    strategy: str
    folder: str | None
    learning_rate: float
    costs: Mapping[str, int] | None


@dataclass(frozen=True)
class Outcome:
    """One strategy on one episode: share of right answers from 0 to 1, and what it cost."""

    accuracy: float
    costs: Mapping[str, int]
