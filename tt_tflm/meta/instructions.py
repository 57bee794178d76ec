# SPDX-License-Identifier: Apache-2.0
"""What a strategy costs an emulated core: exact instruction counts of a prediction and of adapting to one episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tt_tflm.build.artefact import load_build
from tt_tflm.errors import OverflowingMemoryError
from tt_tflm.plan.strategies import NONE

if TYPE_CHECKING:
    from tt_tflm.boards.episode import Episode
    from tt_tflm.meta.recipe import Arm, Recipe
    from tt_tflm.plan.update_plan import UpdatePlan

COUNTED = ("predict", "fisher", "select", "update")


def count_instructions(
    arm: Arm, plan: UpdatePlan | None, episode: Episode, recipe: Recipe, device: str
) -> Mapping[str, int] | None:
    """Counts on an emulated board.

    Args:
        arm: whose build is run; of backend ``c``.
        plan: that the board is told to train; None where the build has one or the board selects.
        episode: fitted to the model's input.
        recipe: how it adapts.
        device: an emulated core or a device with one.

    Returns:
        ``predict``: one prediction. ``fisher``: the potentials of the support set; ``select``: the choice by them; both
        0 where the board is told what to train. ``update``: the first iteration, with its pseudo-queries. Enrolling and
        the tightness of the support set, a prediction for each sample and pass, are in none of them. None where the
        build is too large for the emulated board.

    Raises:
        DeviceError: training diverged.
        ToolchainError: the compiler or the emulator is missing.
    """
    try:
        board = load_build(arm.folder or "").simulate(device)
    except OverflowingMemoryError:
        return None
    with board:
        for x, label in zip(episode.support_x, episode.support_y, strict=True):
            board.enroll(x, int(label))
        board.predict(episode.query_x[0])
        counts = dict.fromkeys(COUNTED, 0) | {"predict": board.instructions["predict"]}
        if arm.strategy == NONE:
            return counts
        board.set_learning_rate(arm.learning_rate)
        without = recipe.adapt(board, episode, plan, 0).instructions
        counts |= {name: without[name] for name in ("fisher", "select")}
        # The same plan again, so that the two runs differ in an iteration alone.
        chosen = board.plan() if arm.costs is None else None
        board.reset()
        board.set_learning_rate(arm.learning_rate)
        counts["update"] = recipe.adapt(board, episode, chosen, 1).instructions["adapt"] - without["adapt"]
    return counts
