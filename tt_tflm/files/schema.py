# SPDX-License-Identifier: Apache-2.0
"""Values from outside against a schema, which is a type: a dataclass or a ``msgspec.Struct`` beside its format."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from tt_tflm.errors import InputError

_T = TypeVar("_T")
_PATH = re.compile(r" - at `(?:key in )?\$?\.?(.*?)`$")
_MISSING = re.compile(r"Object missing required field (`.*`)")


def checked(value: Any, schema: type[_T], what: str) -> _T:
    """A parsed value as its schema has it; nothing is converted but lists to tuples and whole numbers to floats.

    Raises:
        InputError: the value is of another form; the message names the field, what was expected and what was received.
    """
    try:
        return msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        raise InputError(f"{what}: {_in_words(str(error))}") from None
    except RecursionError:
        raise InputError(f"{what}: expected values that are not nested, received some") from None


def _in_words(message: str) -> str:
    """msgspec's message in the words of this project."""
    place = _PATH.search(message)
    text = _PATH.sub("", message)
    missing = _MISSING.fullmatch(text)
    if missing:
        text = f"Expected the key {missing[1]}, received none"
    text = text.replace(", got ", ", received ").replace("`", "").replace("\n", " ")
    return f"{place[1]}: {text[:1].lower()}{text[1:]}" if place and place[1] else text[:1].lower() + text[1:]
