# SPDX-License-Identifier: Apache-2.0
"""The one list of the zoo's models: a function builds each, a decorator says what it is."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import keras

# What an output is; of these, class scores alone are trained as they are, all others as embeddings (see `trained_as`).
CLASS_SCORES = ("softmax", "logits")
OUTPUTS = (*CLASS_SCORES, "sigmoid", "regression", "grid", "reconstruction", "embedding")


@dataclass(frozen=True)
class ZooModel:
    """One model.

    Attributes:
        name: of the function that builds it.
        family: what it is listed under.
        source: the publication, project or page that the architecture is from.
        output: one of OUTPUTS.
        build: makes it, with whatever weights Keras gives it.
        low, high: range of its inputs; whole numbers of it where the input's dtype is an integer.
        cut: layer whose output is taken as an embedding, where the model's own output cannot be (a single number has
            no direction); None to take the output.
        head: of a model with several outputs, the layer that makes the one to train.
        devices: whether it is one of those that are also run on an emulated Cortex-M7, in int8 and on TFLM.
        note: what was changed of the original, besides sizes.
    """

    name: str
    family: str
    source: str
    output: str
    build: Callable[[], keras.Model]
    low: float
    high: float
    cut: str | None
    head: str | None
    devices: bool
    note: str

    @property
    def trained_as(self) -> str:
        """By which objective the zoo trains it, for the table."""
        if self.output in CLASS_SCORES:
            return f"classes ({self.output})"
        return f"embedding at `{self.cut}`" if self.cut else f"embedding ({self.output})"


MODELS: dict[str, ZooModel] = {}


class Family:
    """The models of one file.

    Args:
        name: what the table calls them.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def model(
        self,
        source: str,
        output: str = "softmax",
        *,
        low: float = -1.0,
        high: float = 1.0,
        cut: str | None = None,
        head: str | None = None,
        devices: bool = False,
        note: str = "",
    ) -> Callable[[Callable[[], keras.Model]], Callable[[], keras.Model]]:
        """Register the function below as a model; see :class:`ZooModel`."""
        assert output in OUTPUTS, output

        def register(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
            name = build.__name__
            assert name not in MODELS, name
            MODELS[name] = ZooModel(name, self._name, source, output, build, low, high, cut, head, devices, note)
            return build

        return register


def load_models() -> dict[str, ZooModel]:
    """All models by name, in the order of their files."""
    folder = importlib.import_module("zoo.models")
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"zoo.models.{module.name}")
    return MODELS
