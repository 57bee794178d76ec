# SPDX-License-Identifier: Apache-2.0
"""How strategies are compared: on which episodes, by which backend, under which budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike

from tt_tflm.boards.input_range import ScalingChoice, given_scaling
from tt_tflm.build.converter import PRECISIONS
from tt_tflm.build.settings import BACKENDS as BUILD_BACKENDS
from tt_tflm.devices import get_profile
from tt_tflm.errors import InputError, expect_one_of
from tt_tflm.losses import PrototypeLoss
from tt_tflm.meta.episodes import Rows
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.strategies import NONE, STRATEGIES

BACKENDS = (*BUILD_BACKENDS, "tf")
DEFAULT_STRATEGIES = ("none", "last_layer", "full", "sparse_update", "tinytrain")
DEFAULT_BUDGET = Budget(training_memory="1MB", backward_macs=0.15)


@dataclass(frozen=True)
class EvaluationSettings:
    """What determines an evaluation beside model and data.

    Attributes:
        episodes: a file of episodes, or their rows; None to draw ``count`` of them by ``ways``, ``shots``, ``queries``
            and ``seed``.
        ways, shots, queries, count: of drawn episodes.
        strategies: names out of ``tt_tflm.plan.strategies.STRATEGIES``.
        backend: ``c`` (the device code, compiled for this machine), ``tflm`` (TensorFlow Lite Micro's interpreter) or
            ``tf`` (TensorFlow).
        precision: ``float32``, or with backend ``c`` ``int8``: a forward pass of integers, whose ranges are taken from
            the support images of the first episodes, up to 100 of them.
        budget: of the strategies that choose.
        iterations: updates of an adaptation.
        learning_rates: strategy -> learning rate of Adam, in place of the strategies' own.
        temperature: of the cosines.
        flip: whether pseudo-queries may be mirrored.
        paced: whether the learning rate goes by the tightness of the support set (ops/include/tt_episode.h).
        seed: of drawn episodes, pseudo-queries, and of the strategy ``random``.
        jobs: processes that episodes are spread over.
        input_scaling: of pixels, as the converter's: (scale, shift), ``none``, ``model`` or None.
        skip_corrupt: leave files out that cannot be decoded.
        instructions_on: an emulated core, or a device with one, on which the first episode's instructions are counted
            as well; backend ``c`` alone.

    Raises:
        InputError: a setting is out of range, or does not go with another; the message names it.
    """

    episodes: str | PathLike[str] | Sequence[Rows] | None = None
    ways: int = 5
    shots: int = 5
    queries: int = 15
    count: int = 100
    strategies: Sequence[str] = DEFAULT_STRATEGIES
    backend: str = "c"
    precision: str = "float32"
    budget: Budget = DEFAULT_BUDGET
    iterations: int = 40
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    temperature: float = PrototypeLoss.temperature
    flip: bool = False
    paced: bool = True
    seed: int = 0
    jobs: int = 1
    input_scaling: ScalingChoice = None
    skip_corrupt: bool = False
    instructions_on: str | None = None

    def __post_init__(self) -> None:
        self._check_strategies()
        expect_one_of("backend", self.backend, BACKENDS)
        expect_one_of("precision", self.precision, PRECISIONS)
        if self.precision == "int8" and self.backend != "c":
            raise InputError(f"precision int8: expected backend 'c', received {self.backend!r}")
        for name, least in (("jobs", 1), ("count", 1), ("iterations", 0), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name}: expected a whole number of at least {least}, received {value!r}")
        given_scaling(self.input_scaling)
        if not isinstance(self.budget, Budget):
            raise InputError(f"budget: expected a Budget, received {type(self.budget).__name__}")
        episodes = self.episodes
        if episodes is not None and not isinstance(episodes, (str, PathLike)):
            if not episodes or not all(isinstance(entry, Rows) for entry in episodes):
                raise InputError("episodes: expected a file or a list of Rows, received another")
        if self.instructions_on is not None:
            self._check_counting(self.instructions_on)

    def learning_rate(self, strategy: str) -> float:
        """Of Adam."""
        return self.learning_rates.get(strategy, STRATEGIES[strategy].learning_rate)

    def _check_strategies(self) -> None:
        if not self.strategies:
            raise InputError(f"expected at least one strategy of {', '.join(STRATEGIES)}, received none")
        for strategy in (*self.strategies, *self.learning_rates):
            STRATEGIES[strategy]
        if len(set(self.strategies)) != len(self.strategies):
            raise InputError(f"expected every strategy once, received {', '.join(self.strategies)}")
        for strategy, rate in self.learning_rates.items():
            real = isinstance(rate, (int, float)) and not isinstance(rate, bool)
            if strategy == NONE or not real or not 0 < rate < math.inf:
                expected = "no learning rate, since it trains nothing" if strategy == NONE else "a rate above 0"
                raise InputError(f"learning_rates: strategy '{strategy}': expected {expected}, received {rate!r}")

    def _check_counting(self, device: str) -> None:
        if self.backend != "c":
            raise InputError(
                f"instructions_on: expected backend 'c', of which instructions are counted, received {self.backend!r}"
            )
        if get_profile(device).is_host:
            raise InputError(f"instructions_on: expected an emulated core, such as cortex-m7, received {device!r}")
