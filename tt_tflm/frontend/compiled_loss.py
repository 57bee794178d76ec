# SPDX-License-Identifier: Apache-2.0
"""The loss a Keras model was compiled with, whichever way it was given: a name, a function, an instance, one for each
output, or any of these as a .keras file holds it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras

CROSS_ENTROPIES = ("categorical_crossentropy", "sparse_categorical_crossentropy")
# What these add to a cross-entropy, and the value with which they add nothing.
_EXTRAS = {"label_smoothing": 0, "ignore_class": None, "axis": -1}


@dataclass(frozen=True)
class CompiledLoss:
    """The loss a model was compiled with.

    Attributes:
        name: as Keras names its function, such as ``mean_squared_error``; that of the user's for one of his own.
        from_logits: whether it takes logits.
        extras: further options that are not at rest, such as ``label_smoothing``.
    """

    name: str
    from_logits: bool = False
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_cross_entropy(self) -> bool:
        """Whether it is the cross-entropy over classes."""
        return self.name in CROSS_ENTROPIES

    def __str__(self) -> str:
        return f"{self.name}(from_logits={self.from_logits})" if self.is_cross_entropy else self.name


def compiled_loss(model: keras.Model) -> CompiledLoss | None:
    """The loss a model in memory was compiled with; None without one."""
    return _live(model.loss) if getattr(model, "compiled", False) and hasattr(model, "loss") else None


def compiled_loss_in(config: Mapping[str, Any]) -> CompiledLoss | None:
    """The loss that the config.json of a .keras file tells of; None without one."""
    compiled = config.get("compile_config")
    return _stored(compiled.get("loss")) if isinstance(compiled, Mapping) else None


def _live(loss: Any) -> CompiledLoss | None:
    """Of a name, a function, an instance, or these for each output."""
    if loss is None or isinstance(loss, str):
        return _stored(loss)
    if isinstance(loss, Mapping):
        return _only([_live(value) for value in loss.values()])
    if isinstance(loss, (list, tuple)):
        return _only([_live(value) for value in loss])
    options: Mapping[str, Any] = {}
    if isinstance(loss, functools.partial):
        loss, options = loss.func, loss.keywords
    keras = import_keras()
    if isinstance(loss, keras.losses.Loss):
        kind, options = type(loss), loss.get_config()
        # A subclass of a loss of Keras' may compute anything.
        return _described(kind.__name__, options, own=kind is not getattr(keras.losses, kind.__name__, None))
    name = getattr(loss, "__name__", type(loss).__name__)
    return _described(name, options, own=loss is not getattr(keras.losses, name, None))


def _stored(loss: Any) -> CompiledLoss | None:
    """The same as Keras writes them: names, and dictionaries for functions, instances and outputs."""
    if loss is None:
        return None
    if isinstance(loss, str):
        keras = import_keras()
        try:
            return _live(keras.losses.get(loss))
        except ValueError:
            return _described(loss, {}, own=True)
    if isinstance(loss, Mapping) and isinstance(loss.get("class_name"), str):
        name, config = loss["class_name"], loss.get("config")
        own = str(loss.get("module")) not in ("keras.losses", "builtins") or loss.get("registered_name") == "Custom"
        if name == "function":
            return _stored(str(config))
        return _described(name, config if isinstance(config, Mapping) else {}, own=own)
    if isinstance(loss, Mapping):
        return _only([_stored(value) for value in loss.values()])
    if isinstance(loss, list):
        return _only([_stored(value) for value in loss])
    return _described(str(loss), {}, own=True)


def _only(losses: list[CompiledLoss | None]) -> CompiledLoss | None:
    given = [loss for loss in losses if loss is not None]
    return given[0] if len(given) == 1 else CompiledLoss(f"{len(given)} losses") if given else None


def _described(name: str, options: Mapping[str, Any], *, own: bool) -> CompiledLoss:
    if own:
        return CompiledLoss(f"a loss of its own, {name!r:.60}")
    extras = {key: options[key] for key, rest in _EXTRAS.items() if key in options and options[key] != rest}
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return CompiledLoss(name, options.get("from_logits") is True, extras)
