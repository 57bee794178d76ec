# SPDX-License-Identifier: Apache-2.0
"""Losses and optimisers that a build can be made with."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from tt_tflm.errors import InputError
from tvm_passes.update_in_place import OptimizerSpec


def _positive(owner: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{owner}: expected a positive {name}, received {value!r}")


def _share(owner: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"{owner}: expected {name} of at least 0 and below 1, received {value!r}")


def _count(owner: str, name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{owner}: expected {name} of at least {least}, received {value!r}")


@dataclass(frozen=True)
class SoftmaxLoss:
    """Cross-entropy of softmax(logits) against the label, on a classifier whose output is logits or a softmax.

    loss = log(sum_c exp(z_c)) - z_label
    """

    name = "softmax"


@dataclass(frozen=True)
class PrototypeLoss:
    """Cross-entropy over the cosine similarities of an embedding to class prototypes (Snell et al., 2017; Kwon et
    al., 2024).

    z_c = temperature * cos(embedding, mean of the enrolled embeddings of class c); loss = log(sum_c exp(z_c)) -
    z_label. Prototypes are held constant within a train step.

    Args:
        classes: number of prototypes, at least 2.
        temperature: factor on the cosine, positive.

    Raises:
        InputError: an argument is out of range.
    """

    classes: int = 5
    temperature: float = 5.0
    name = "prototype"

    def __post_init__(self) -> None:
        _count("PrototypeLoss", "classes", self.classes, 2)
        _positive("PrototypeLoss", "temperature", self.temperature)


@dataclass(frozen=True)
class SGD:
    """w -= learning_rate * g. With ``batch_size`` 1 the update is part of the gradient kernel and nothing is stored.

    Args:
        learning_rate: positive.
        batch_size: samples, given one at a time, whose mean gradient makes one update.

    Raises:
        InputError: an argument is out of range.
    """

    learning_rate: float = 0.01
    batch_size: int = 1
    name = "sgd"

    def __post_init__(self) -> None:
        _positive("SGD", "learning_rate", self.learning_rate)
        _count("SGD", "batch_size", self.batch_size, 1)


@dataclass(frozen=True)
class Momentum:
    """v = momentum * v - learning_rate * g; w += v (Keras' SGD with momentum). One moment per trained parameter.

    Args:
        learning_rate: positive.
        momentum: in [0, 1).
        batch_size: as for ``SGD``.

    Raises:
        InputError: an argument is out of range.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    batch_size: int = 1
    name = "momentum"

    def __post_init__(self) -> None:
        _positive("Momentum", "learning_rate", self.learning_rate)
        _share("Momentum", "momentum", self.momentum)
        _count("Momentum", "batch_size", self.batch_size, 1)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, 2015) as Keras writes it: w -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon).
    Two moments per trained parameter.

    Args:
        learning_rate: positive.
        beta_1, beta_2: in [0, 1).
        epsilon: positive.
        batch_size: as for ``SGD``.

    Raises:
        InputError: an argument is out of range.
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    batch_size: int = 1
    name = "adam"

    def __post_init__(self) -> None:
        _positive("Adam", "learning_rate", self.learning_rate)
        _share("Adam", "beta_1", self.beta_1)
        _share("Adam", "beta_2", self.beta_2)
        _positive("Adam", "epsilon", self.epsilon)
        _count("Adam", "batch_size", self.batch_size, 1)


Loss = SoftmaxLoss | PrototypeLoss
Optimizer = SGD | Momentum | Adam
LOSSES: dict[str, type[Loss]] = {cls.name: cls for cls in (SoftmaxLoss, PrototypeLoss)}
OPTIMIZERS: dict[str, type[Optimizer]] = {cls.name: cls for cls in (SGD, Momentum, Adam)}


def optimizer_spec(optimizer: Optimizer) -> OptimizerSpec:
    """The optimiser as the passes know it."""
    fields = asdict(optimizer)
    constants = {k: float(v) for k, v in fields.items() if k not in ("learning_rate", "batch_size")}
    return OptimizerSpec(optimizer.name, optimizer.batch_size, constants=constants)
