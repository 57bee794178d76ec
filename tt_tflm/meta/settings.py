# SPDX-License-Identifier: Apache-2.0
"""What determines a meta-training beside backbone and data, and how it is carried out."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from tt_tflm.boards.input_range import ScalingChoice, given_scaling
from tt_tflm.errors import InputError, expect_one_of
from tt_tflm.meta.episodes import Sampling
from tt_tflm.meta.mixed_augment import MixedAugment

if TYPE_CHECKING:
    import tensorflow as tf

BATCH_NORM = ("frozen", "trained")


@dataclass(frozen=True)
class Settings:
    """What determines a run beside backbone and data; recorded in checkpoints.

    Attributes:
        sampling: how episodes are drawn.
        episodes: of the whole run.
        episodes_per_step: whose mean gradient makes one update.
        learning_rate: of Adam, at its highest.
        warm_up: share of the run in which it rises from 0; it falls to 0 as a cosine after that.
        temperature: of the cosines when training begins; it is learned.
        batch_norm: ``frozen`` keeps the statistics, ``trained`` takes those of each batch and moves them.
        augment: how images are changed.
        validation: share of the classes held out, 0 to 0.9; 0 switches validation off.
        validate_every: episodes between validations.
        patience: validations without a better one that end the run; None for no end.
        weight_range: weights beyond that many times the rms of their channel are penalised; None for no penalty.
        fake_quantize: share of the run, at its end, in which the model computes with weights rounded to int8, 0 to 1.
            Validations there are those of rounded weights, and the best is looked for, and patience counted, there
            alone.
        seed: of classes held out, episodes and augmentation.
    """

    sampling: Sampling = field(default_factory=Sampling)
    episodes: int = 2000
    episodes_per_step: int = 1
    learning_rate: float = 3e-4
    warm_up: float = 0.05
    temperature: float = 10.0
    batch_norm: str = "frozen"
    augment: MixedAugment = field(default_factory=MixedAugment)
    validation: float = 0.2
    validate_every: int = 100
    patience: int | None = 10
    weight_range: float | None = None
    fake_quantize: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("episodes", 1),
            ("episodes_per_step", 1),
            ("validate_every", 1),
            ("patience", 1),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if value is None and name == "patience":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise InputError(f"{name}: expected a whole number of at least {least}, received {value!r}")
        for name, low, high in (
            ("learning_rate", 0.0, 1e3), ("warm_up", 0.0, 0.99), ("temperature", 1e-3, 1e4), ("validation", 0.0, 0.9),
            ("fake_quantize", 0.0, 1.0),
        ):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"{name}: expected a number from {low} to {high}, received {value!r}")
        expect_one_of("batch_norm", self.batch_norm, BATCH_NORM)
        if self.weight_range is not None and not self.weight_range >= 1:
            raise InputError(f"weight_range: expected a ratio of at least 1, received {self.weight_range!r}")


@dataclass(frozen=True)
class RunSettings:
    """How a run is carried out: where its state lies, on which devices it runs, when it ends.

    Attributes:
        minutes: end after that time, with the schedule running its whole course by then; the time of earlier parts of a
            run counts. How far a run comes in a time differs, so its weights differ, too. None for no limit.
        checkpoint: file to keep the state in and to go on from where it exists.
        checkpoint_every: episodes between checkpoints.
        log_folder: folder for ``history.csv`` and TensorBoard's events.
        strategy: None, ``mirrored``, ``multiworker`` or what ``tt_tflm.meta.distribution.make_strategy`` made. With
            several workers the first one writes all files, and every worker reads the checkpoint.
        input_scaling: of pixels, as the converter's: (scale, shift), ``none``, ``model`` or None.
        skip_corrupt: leave files out that cannot be decoded.

    Raises:
        InputError: a setting is out of range; the message names it.
    """

    minutes: float | None = None
    checkpoint: str | PathLike[str] | None = None
    checkpoint_every: int = 50
    log_folder: str | PathLike[str] | None = None
    strategy: str | tf.distribute.Strategy | None = None
    input_scaling: ScalingChoice = None
    skip_corrupt: bool = False

    def __post_init__(self) -> None:
        minutes, every = self.minutes, self.checkpoint_every
        real = isinstance(minutes, (int, float)) and not isinstance(minutes, bool)
        if minutes is not None and not (real and minutes > 0):
            raise InputError(f"minutes: expected a number above 0, received {minutes!r}")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise InputError(f"checkpoint_every: expected a whole number of at least 1, received {every!r}")
        given_scaling(self.input_scaling)
