# SPDX-License-Identifier: Apache-2.0
"""What parsers raise for content that is damaged, foreign or hostile, told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tt_tflm.errors import InputError


@contextmanager
def told(expected: str) -> Iterator[None]:
    """Turns whatever the parsers of the standard library and numpy raise inside of the block into an InputError.

    To be held around calls of parsers alone: an error of this package's own code would be told as one of the file.

    Args:
        expected: the message's beginning, up to "received".
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # zlib.error, tokenize.TokenError, RecursionError: whatever they come upon
        raise InputError(f"{expected}, received one that cannot be read: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The first line of an error, or its name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
