# SPDX-License-Identifier: Apache-2.0
"""A task that a board adapts to, and what came of it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tt_tflm.errors import InputError, expect_one_of
from tt_tflm.plan.update_plan import UpdatePlan

_TASK = struct.Struct("<6I5f")
TASK_BYTES = _TASK.size
GRADIENTS = ("exact", "constant")


@dataclass(frozen=True)
class Augment:
    """How pseudo-queries differ from the samples they are made from (ops/include/tt_augment.h).

    Args:
        min_area: smallest share of the area that a crop keeps, above 0, at most 1.
        flip: whether left and right may be swapped, which is not so for digits, say.
        brightness: largest shift, as a share of half the valid range, 0 or more.
        contrast: the contrast factor lies within 1 -+ contrast, 0 to 1.
        low, high: the valid range of the model's input.

    Raises:
        InputError: an argument is out of range.
    """

    min_area: float = 0.6
    flip: bool = False
    brightness: float = 0.3
    contrast: float = 0.3
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        for name, least, most in (("min_area", 1e-3, 1.0), ("brightness", 0.0, math.inf), ("contrast", 0.0, 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                raise InputError(f"Augment: expected {name} from {least} to {most}, received {value!r}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"Augment: expected low below high, received {self.low!r} and {self.high!r}")


DEFAULT_AUGMENT = Augment()


@dataclass(frozen=True)
class Adaptation:
    """What an adaptation did.

    Attributes:
        losses: mean loss over the pseudo-queries of each iteration, in nats, before its update.
        plan: what the board chose or was given; None in a build with a fixed plan.
        instructions: ``fisher``, ``select`` and ``adapt``; None where they are not counted.
    """

    losses: tuple[float, ...] = field(repr=False)
    plan: UpdatePlan | None
    instructions: dict[str, int] | None


@dataclass(frozen=True)
class Task:
    """A support set and how to train on it."""

    samples: np.ndarray
    labels: np.ndarray
    iterations: int
    exact: bool
    paced: bool
    augment: Augment
    seed: int

    @classmethod
    def checked(
        cls, samples: Any, labels: Any, iterations: int, gradient: str, paced: bool, augment: Augment, seed: int
    ) -> Task:
        """A task whose parts fit each other.

        Raises:
            InputError: they do not.
        """
        samples, labels = np.asarray(samples), np.asarray(labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(
                f"adapt: expected support_y of integers (samples,), received {labels.dtype} {labels.shape}"
            )
        if len(samples) != len(labels):
            raise InputError(
                f"adapt: expected one label per sample, received {len(samples)} samples, {len(labels)} labels"
            )
        if len(np.unique(labels)) < 2:
            raise InputError(f"adapt: expected samples of at least 2 classes, received {len(np.unique(labels))}")
        for name, value, most in (("iterations", iterations, 4096), ("seed", seed, 2**32 - 1)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value <= most:
                raise InputError(f"adapt: expected {name} from 0 to {most}, received {value!r}")
        expect_one_of("adapt: gradient", gradient, GRADIENTS)
        if not isinstance(augment, Augment):
            raise InputError(f"adapt: expected an Augment, received {type(augment).__name__}")
        if not isinstance(paced, bool):
            raise InputError(f"adapt: expected paced to be true or false, received {paced!r}")
        return cls(samples, labels, int(iterations), gradient == "exact", paced, augment, int(seed))

    @classmethod
    def unpack(cls, message: bytes, samples: np.ndarray) -> Task:
        """What `pack` made, with the samples that it leaves out."""
        _, iterations, seed, exact, paced, flip, *augment = _TASK.unpack(message[:TASK_BYTES])
        names = ("min_area", "brightness", "contrast", "low", "high")
        options = Augment(flip=bool(flip), **dict(zip(names, augment, strict=True)))
        labels = np.frombuffer(message, "<u4", offset=TASK_BYTES)
        return cls(samples, labels, iterations, bool(exact), bool(paced), options, seed)

    def pack(self) -> bytes:
        """As a ``tt_sim_task_t`` and labels."""
        a = self.augment
        head = _TASK.pack(
            len(self.samples), self.iterations, self.seed, self.exact, self.paced, a.flip,
            a.min_area, a.brightness, a.contrast, a.low, a.high,
        )  # fmt: skip
        return head + self.labels.astype("<u4").tobytes()
