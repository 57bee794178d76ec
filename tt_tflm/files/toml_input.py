# SPDX-License-Identifier: Apache-2.0
"""TOML from outside: of bounded size and depth."""

from __future__ import annotations

import os
import sys
from typing import Any

from tt_tflm.errors import InputError
from tt_tflm.files.damage import reason
from tt_tflm.files.limits import TOML_BYTES, TOML_LINE
from tt_tflm.files.nesting import check_nesting
from tt_tflm.files.regular_file import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_DEPTH = 16


def read_toml(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """The content of a TOML file; arguments and errors as for `json_input.read_json`."""
    where = f"expected {what}, received '{path}'"
    text = read_text(path, what, TOML_BYTES)
    if max(map(len, text.splitlines()), default=0) > TOML_LINE:
        raise InputError(f"{where}: a line of more than {TOML_LINE} characters")
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: {reason(error)}") from None
    check_nesting(content, where, _DEPTH)
    return content
