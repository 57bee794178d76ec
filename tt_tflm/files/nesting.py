# SPDX-License-Identifier: Apache-2.0
"""How deep parsed values lie in each other: whatever walks or prints them by recursion would fail on deep ones."""

from __future__ import annotations

from typing import Any

from tt_tflm.errors import InputError
from tt_tflm.files.limits import JSON_DEPTH


def check_nesting(value: Any, what: str, limit: int = JSON_DEPTH) -> None:
    """Refuses dicts and lists that lie deeper in each other than ``limit`` levels.

    Raises:
        InputError: they do; ``what`` says where.
    """
    level = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > limit:
            raise InputError(f"{what}: expected at most {limit} levels of nesting, received more")
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
