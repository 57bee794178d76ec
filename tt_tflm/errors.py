# SPDX-License-Identifier: Apache-2.0
"""The errors this package raises on purpose, and what it tells without failing. Their text is one line: what was
expected, what was received, what to do."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Iterable
from typing import Any

_LONGEST = 1000


class TinyTrainError(Exception):
    """Base of every error raised on purpose.

    Its text is one printable line of at most some thousand characters, whatever names and values from files, devices or
    compilers it quotes.
    """

    def __str__(self) -> str:
        return _one_line(super().__str__())


class InputWarning(UserWarning):
    """What the user gave is taken, but otherwise than they may think. Its text is one printable line, as that of
    errors; the command line shows each once, on stderr, and goes on."""

    def __str__(self) -> str:
        return _one_line(super().__str__())


def tell(text: str) -> None:
    """Warns the user with an `InputWarning`, and goes on."""
    # Two frames up is who found it; Python tells the same text from there once.
    warnings.warn(InputWarning(text), stacklevel=3)


def _one_line(text: str) -> str:
    text = " ".join(_shortened(text).split())
    return _shortened("".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text))


def _shortened(text: str) -> str:
    """A text without its middle where it is too long: what is wrong stands at its beginning, what to do at its end."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


class InputError(TinyTrainError, ValueError):
    """What the user gave cannot be used: a model, plan, episode, option or array. The command line exits with 2."""


class UnsupportedLayerError(InputError):
    """The model holds a layer, or an option of a layer, that has no place in a trainable build."""


class DeviceError(TinyTrainError, RuntimeError):
    """The device code refused a call, or an emulated board stopped answering."""


class ToolchainError(TinyTrainError, RuntimeError):
    """A compiler or emulator is missing or failed."""


class OverflowingMemoryError(ToolchainError):
    """A program is too large for the memory of an emulated board."""


def expect_positive(owner: str, name: str, value: Any) -> None:
    """Raises InputError unless value is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{owner}: expected a positive {name}, received {value!r}")


def expect_share(owner: str, name: str, value: Any) -> None:
    """Raises InputError unless value is a number of at least 0 and below 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"{owner}: expected {name} of at least 0 and below 1, received {value!r}")


def expect_count(owner: str, name: str, value: Any, least: int) -> None:
    """Raises InputError unless value is a whole number of at least least."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{owner}: expected {name} of at least {least}, received {value!r}")


def expect_one_of(what: str, value: Any, names: Iterable[str]) -> None:
    """Raises InputError unless value is one of the names; the message says which one may be meant."""
    names = tuple(names)
    if not isinstance(value, str) or value not in names:
        raise InputError(f"{what}: expected one of {', '.join(names)}, received {value!r}{meant(value, names)}")


def meant(name: Any, known: Iterable[str]) -> str:
    """``: did you mean 'optimizer'?`` for a name that is near to a known one, else nothing."""
    near = difflib.get_close_matches(name, known, 1) if isinstance(name, str) else ()
    return f": did you mean '{near[0]}'?" if near else ""


def shown(text: object, most: int = 200) -> str:
    """Text from outside as a message shows it: in printable ASCII, the rest escaped, at most `most` characters."""
    # Cut first: escaping makes up to ten characters of one.
    escaped = str(text)[: most + 1].encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= most else escaped[: most - 3] + "..."
