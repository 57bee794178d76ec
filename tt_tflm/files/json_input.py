# SPDX-License-Identifier: Apache-2.0
"""JSON from outside: of bounded size and depth, numbers finite, and of the form that its schema tells."""

from __future__ import annotations

import os
from typing import Any, TypeVar

import msgspec

from tt_tflm.errors import InputError
from tt_tflm.files.damage import reason
from tt_tflm.files.limits import JSON_BYTES
from tt_tflm.files.nesting import check_nesting
from tt_tflm.files.regular_file import read_whole
from tt_tflm.files.schema import checked

_T = TypeVar("_T")


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        what: is expected in it, for errors, such as ``an update plan in JSON``.

    Raises:
        InputError: the file cannot be read, is larger or deeper than `limits` has it, or is no JSON (NaN is none).
    """
    return parse_json(read_whole(path, what, JSON_BYTES), f"expected {what}, received '{path}'")


def read_object(path: str | os.PathLike[str], what: str, schema: type[_T]) -> tuple[dict[str, Any], _T]:
    """The object in a JSON file as it is, and as its schema has it; keys that the schema lacks are let be.

    Raises:
        InputError: as `read_json`, or a field is missing or of another type.
    """
    content = read_json(path, what)
    return content, checked(content, schema, f"'{path}'")


def parse_json(data: bytes, where: str) -> Any:
    """The value that a JSON text holds; ``where`` begins every error."""
    try:
        content = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{where}: {reason(error)}") from None
    check_nesting(content, where)
    return content
