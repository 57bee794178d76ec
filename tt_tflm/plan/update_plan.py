# SPDX-License-Identifier: Apache-2.0
"""The update plan: which output channels of which layers are trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tt_tflm.errors import InputError, meant
from tt_tflm.files.json_input import read_json

SCHEMA_VERSION = 1
ALL = "all"
GIVEN = "given"
_BUDGET_KEYS = ("training_memory_bytes", "ram_bytes", "backward_macs")
_SPENT_KEYS = (*_BUDGET_KEYS, "updated_parameters")
_LAYER_KEYS = ("channels", "bias", "weights")


@dataclass(frozen=True)
class LayerPlan:
    """What is trained of one layer: its channels, ascending, and whether their biases and their weights are."""

    channels: tuple[int, ...]
    bias: bool = True
    weights: bool = True


class UpdatePlan:
    """Layers and output channels to train; everything else stays bit-identical.

    Args:
        layers: layer name -> ``"all"``, a list of channels, or
            ``{"channels": "all" | [..], "bias": bool, "weights": bool}``. A short list means the kernel rows of those
            channels and their biases; with ``"weights": False`` the biases of those channels alone are trained.
        fingerprint: of the model that the plan was made for; checked by ``resolve`` when given.
        strategy: how the plan came about, one of ``tt_tflm.plan.strategies.STRATEGIES`` or ``"given"``.
        budget: the limits it was made under: ``training_memory_bytes``, ``ram_bytes``, ``backward_macs``; what is
            missing or None was no limit.
        spent: what it costs: the same keys and ``updated_parameters``; None where nobody has counted.

    Raises:
        InputError: an argument is empty or malformed.

    Example:
        >>> plan = UpdatePlan(layers={"block_5_project": [0, 3, 7], "logits": "all"})
    """

    def __init__(
        self,
        layers: Mapping[str, Any],
        fingerprint: str | None = None,
        *,
        strategy: str = GIVEN,
        budget: Mapping[str, int | None] | None = None,
        spent: Mapping[str, int] | None = None,
    ) -> None:
        if not isinstance(layers, Mapping):
            raise InputError(f"expected a mapping of layer names to channels, received {type(layers).__name__}")
        if not layers:
            raise InputError("expected an update plan with at least one layer, received an empty one")
        self.layers: dict[str, Any] = {str(name): _parse(str(name), value) for name, value in layers.items()}
        self.fingerprint = fingerprint
        if not isinstance(strategy, str):
            raise InputError(f"expected the name of a strategy in the update plan, received {strategy!r}")
        self.strategy = strategy
        self.budget = _figures("budget", _BUDGET_KEYS, {} if budget is None else budget)
        self.spent = None if spent is None else _figures("spent", _SPENT_KEYS, spent)
        self.source: str | None = None

    def __repr__(self) -> str:
        chosen = {name: layer[0] if layer[0] == ALL else len(layer[0]) for name, layer in self.layers.items()}
        shown = _some([f"{name}: {count}" for name, count in chosen.items()])
        return f"UpdatePlan(strategy={self.strategy!r}, channels: {shown})"

    def resolve(self, channels: Mapping[str, int], fingerprint: str) -> dict[str, LayerPlan]:
        """Check the plan against a model and spell out ``"all"``.

        Args:
            channels: layer name -> number of output channels.
            fingerprint: of the model.

        Raises:
            InputError: an unknown layer, a channel out of range, or the plan of another model.
        """
        if self.fingerprint is not None and self.fingerprint != fingerprint:
            where = f"'{self.source}': " if self.source else ""
            raise InputError(
                f"{where}expected a plan made for this model ({fingerprint}), received one for model "
                f"{self.fingerprint}: plan again"
            )
        resolved = {}
        for name, (chosen, bias, weights) in self.layers.items():
            if name not in channels:
                raise InputError(
                    f"expected layers that can be trained ({_some(channels)}), received '{name}' in the update plan"
                    f"{meant(name, channels)}"
                )
            count = channels[name]
            wrong = [c for c in chosen if c >= count] if chosen != ALL else []
            if wrong:
                raise InputError(
                    f"layer '{name}': expected channels below {count} in the update plan, received {wrong[0]}"
                )
            resolved[name] = LayerPlan(tuple(range(count)) if chosen == ALL else chosen, bias, weights)
        return resolved

    def to_json(self) -> dict[str, Any]:
        """As stored in ``plan.json``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "fingerprint": self.fingerprint,
            "strategy": self.strategy,
            "budget": self.budget,
            "spent": self.spent,
            "layers": {
                name: {"channels": chosen if chosen == ALL else list(chosen), "bias": bias}
                | ({} if weights else {"weights": False})
                for name, (chosen, bias, weights) in self.layers.items()
            },
        }

    @classmethod
    def from_json(cls, content: Any) -> UpdatePlan:
        """The plan that ``to_json`` gave. Keys beside those of the schema are ignored, except inside a layer, where
        they might change what is trained.

        Raises:
            InputError: another schema version, or not a plan.
        """
        if not isinstance(content, dict) or "layers" not in content:
            raise InputError(f"expected an update plan (an object with 'layers'), received {type(content).__name__}")
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(f"expected an update plan of schema version {SCHEMA_VERSION}, received {version!r}")
        fingerprint = content.get("fingerprint")
        return cls(
            content["layers"],
            None if fingerprint is None else str(fingerprint),
            strategy=content.get("strategy", GIVEN),
            budget=content.get("budget"),
            spent=content.get("spent"),
        )

    @classmethod
    def load(cls, path: str | Path) -> UpdatePlan:
        """Read ``plan.json``.

        Raises:
            InputError: the file is missing, not JSON, or not a plan.
        """
        content = read_json(path, "an update plan in JSON")
        try:
            plan = cls.from_json(content)
        except InputError as error:
            raise InputError(f"'{path}': {error}") from None
        plan.source = str(path)
        return plan


def _figures(what: str, keys: Sequence[str], value: Any) -> dict[str, int | None]:
    if not isinstance(value, Mapping):
        raise InputError(f"expected '{what}' of the update plan to be an object, received {type(value).__name__}")
    figures: dict[str, int | None] = {}
    for key in keys:
        figure = value.get(key)
        if figure is not None and (isinstance(figure, bool) or not isinstance(figure, int) or figure < 0):
            raise InputError(
                f"expected '{key}' under '{what}' of the update plan to be a whole number, received {figure!r}"
            )
        figures[key] = figure
    return figures


def _parse(name: str, value: Any) -> tuple[Any, bool, bool]:
    if isinstance(value, LayerPlan):
        value = {"channels": value.channels, "bias": value.bias, "weights": value.weights}
    trained = {"bias": True, "weights": True}
    if isinstance(value, Mapping):
        if set(value) - set(_LAYER_KEYS) or "channels" not in value:
            strange = next((key for key in value if key not in _LAYER_KEYS), None)
            raise InputError(
                f"layer '{name}': expected 'channels', 'bias' and 'weights' in the update plan, received {list(value)}"
                f"{meant(strange, _LAYER_KEYS)}"
            )
        for key in trained:
            trained[key] = value.get(key, True)
            if not isinstance(trained[key], bool):
                raise InputError(f"layer '{name}': expected true or false for '{key}', received {trained[key]!r}")
        if not any(trained.values()):
            raise InputError(f"layer '{name}': expected its bias, its weights or both to be trained, received neither")
        value = value["channels"]
    return _parse_channels(name, value), trained["bias"], trained["weights"]


def _parse_channels(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if value != ALL:
            raise InputError(f"layer '{name}': expected \"all\" or a list of channels, received {value!r}")
        return ALL
    if not isinstance(value, (Sequence, np.ndarray)) or len(value) == 0:
        raise InputError(f"layer '{name}': expected \"all\" or a list of at least one channel, received {value!r}")
    channels = []
    for channel in value:
        if isinstance(channel, (bool, np.bool_)) or not isinstance(channel, (int, np.integer)) or channel < 0:
            raise InputError(f"layer '{name}': expected channel numbers from 0, received {channel!r}")
        channels.append(int(channel))
    if len(set(channels)) != len(channels):
        raise InputError(f"layer '{name}': expected every channel once, received {sorted(channels)}")
    return tuple(sorted(channels))


def _some(names: Iterable[str], limit: int = 6) -> str:
    listed = list(names)
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")
