# SPDX-License-Identifier: Apache-2.0
"""What training may cost: three optional limits, all binding."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from tt_tflm.errors import InputError

# A board holds budgets in 64 bits, the largest of which means "none".
_LARGEST = 2**63 - 1
_NUMBER = r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*"
_WHOLE_BYTES = re.compile(r"\s*([0-9]{1,18})\s*b?\s*", re.IGNORECASE)
_BYTES = re.compile(_NUMBER + r"([kmg])(?:i?b)?\s*", re.IGNORECASE)
_MACS = re.compile(_NUMBER + r"(|k|m|g|%)\s*", re.IGNORECASE)
_BINARY = {"k": 1024, "m": 1024**2, "g": 1024**3}
_DECIMAL = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}


@dataclass(frozen=True)
class ResolvedBudget:
    """A budget in whole bytes and multiply-accumulates; None means no limit."""

    training_memory_bytes: int | None = None
    ram_bytes: int | None = None
    backward_macs: int | None = None

    def to_json(self) -> dict[str, int | None]:
        """As ``plan.json`` records it."""
        return {
            "training_memory_bytes": self.training_memory_bytes,
            "ram_bytes": self.ram_bytes,
            "backward_macs": self.backward_macs,
        }


@dataclass(frozen=True)
class Budget:
    """Limits that a plan has to keep, every one that is given.

    Sizes are whole bytes or strings such as ``"256KB"``, ``"512 KiB"``, ``"0.5MB"`` or ``"262144"``. KB and KiB are
    both 1,024 bytes, MB and MiB both 1,048,576, as memories of microcontrollers and the TinyTrain paper are counted.
    Parts of a byte or of a multiply-accumulate are dropped. After construction sizes are ints, MACs an int or, for a
    share, a float.

    Args:
        training_memory: what training adds: updated rows, gradients, optimiser moments, and the activations and masks
            kept for backward.
        ram: everything as placed: arena (the forward pass included), row pool, session.
        backward_macs: multiply-accumulates of one backward pass: an int, or a string such as ``"6.5M"`` (K, M and G are
            powers of 1,000); or a share of training everything: a float above 0 and at most 1, ``"0.15"`` or ``"15%"``.
            A string with a decimal point and no suffix is a share.

    Raises:
        InputError: a value is zero, negative, not finite or not understood.

    Example:
        >>> Budget(training_memory="256KB", backward_macs="15%")
        Budget(training_memory=262144, ram=None, backward_macs=0.15)
    """

    training_memory: int | str | None = None
    ram: int | str | None = None
    backward_macs: int | float | str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "training_memory", _bytes("training_memory", self.training_memory))
        object.__setattr__(self, "ram", _bytes("ram", self.ram))
        object.__setattr__(self, "backward_macs", _macs(self.backward_macs))

    def resolve(self, backward_macs_full: int) -> ResolvedBudget:
        """The budget in whole numbers.

        Args:
            backward_macs_full: what a share is a share of: backward MACs of training every channel of every layer.

        Raises:
            InputError: the share is less than one multiply-accumulate.
        """
        macs = self.backward_macs
        if isinstance(macs, float):
            # By its shortest decimal form: a share of 0.15 of 1000 is 150, though the float lies below 0.15.
            share, macs = macs, math.floor(Fraction(repr(macs)) * backward_macs_full)
            if macs == 0:
                raise InputError(
                    f"backward_macs: expected a share of {backward_macs_full} MACs that is at least one of them, "
                    f"received {share!r}"
                )
        return ResolvedBudget(self.training_memory, self.ram, macs)

    def to_json(self) -> dict[str, int | float | None]:
        """As asked: the keys of ``ResolvedBudget.to_json``, a share of MACs as a float."""
        return {
            "training_memory_bytes": self.training_memory,
            "ram_bytes": self.ram,
            "backward_macs": self.backward_macs,
        }


def _bytes(name: str, value: Any) -> int | None:
    if value is None:
        return None
    whole = _whole(value)
    if isinstance(value, str) and (match := _WHOLE_BYTES.fullmatch(value)):
        whole = int(match[1])
    elif isinstance(value, str) and (match := _BYTES.fullmatch(value)):
        whole = math.floor(Fraction(match[1]) * _BINARY[match[2].lower()])
    if whole is None or not 0 < whole <= _LARGEST:
        raise InputError(f'{name}: expected bytes above 0, as a whole number or like "256KB", received {_shown(value)}')
    return whole


def _macs(value: Any) -> int | float | None:
    if value is None:
        return None
    whole = _whole(value)
    share = float(value) if isinstance(value, (float, np.floating)) else None
    if isinstance(value, str) and (match := _MACS.fullmatch(value)):
        number, unit = Fraction(match[1]), match[2].lower()
        if unit == "%" or (not unit and "." in match[1]):
            share = float(number / 100 if unit else number)
        else:
            whole = math.floor(number * _DECIMAL[unit])
    if share is not None and 0 < share <= 1:
        return share
    if whole is None or not 0 < whole <= _LARGEST:
        raise InputError(
            'backward_macs: expected a whole number above 0, one like "6.5M", or a share above 0 and at most 1 of full '
            f'backward (0.15 or "15%"), received {_shown(value)}'
        )
    return whole


def _whole(value: Any) -> int | None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        return None
    return int(value)


def _shown(value: Any) -> str:
    # Python refuses to print integers of more than some thousand digits.
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
