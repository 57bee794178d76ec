# SPDX-License-Identifier: Apache-2.0
"""Configurations of models that compute in half, double or mixed precision, in float32, in which builds compute."""

from __future__ import annotations

import copy
from typing import Any

from tt_tflm.errors import tell

_OTHERS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")


def in_float32(config: dict[str, Any], where: str) -> dict[str, Any]:
    """A configuration whose layers compute in float32; warns once where some did not.

    Args:
        config: of a model, in the form of Keras 3; policies that are no plain ones, such as quantised ones, are let be.
        where: begins the warning.
    """
    found: dict[str, None] = {}
    config = copy.deepcopy(config)
    pending: list[Any] = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        if not isinstance(value, dict):
            continue
        policy = policy_name(value.get("dtype"))
        if policy in _OTHERS:
            found[policy] = None
            value["dtype"] = "float32"
        pending.extend(value.values())
    if found:
        tell(
            f"{where}: expected layers in float32, received some in {' and '.join(sorted(found))}: they are cast, and "
            "the build computes in float32"
        )
    return config


def policy_name(dtype: Any) -> str | None:
    """The name of a plain policy in a configuration, which Keras writes as text or as an object; None for others."""
    if isinstance(dtype, dict) and dtype.get("class_name") in ("DTypePolicy", "Policy", "PolicyV1"):
        inner = dtype.get("config")
        dtype = inner.get("name") if isinstance(inner, dict) else None
    return dtype if isinstance(dtype, str) else None
