# SPDX-License-Identifier: Apache-2.0
"""What a board that chooses keeps in its row pool, and how it is told a plan."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.plan.update_plan import UpdatePlan

_NO_LIMIT = 2**64 - 1
_FROZEN = 0xFFFF
_LIMITS = ("training_memory_bytes", "ram_bytes", "backward_macs")


def pack_budget(limits: Mapping[str, int | None]) -> bytes:
    """The limits as a ``tt_sim_budget_t``."""
    return struct.pack("<3Q", *(_NO_LIMIT if limit is None else int(limit) for limit in map(limits.get, _LIMITS)))


def pack_choice(plan: UpdatePlan, choice: Mapping[str, Any], fingerprint: str) -> bytes:
    """A plan as ``tt_choose`` takes it: the counts of all candidates, then a room for all channels of each.

    Raises:
        InputError: the plan is none, is another model's, names a layer or channel that is not inspected, or parts the
            weights of a row from its bias.
    """
    if not isinstance(plan, UpdatePlan):
        raise InputError(f"expected an UpdatePlan, received {type(plan).__name__}")
    candidates = choice["candidates"]
    layers = plan.resolve({c["layer"]: int(c["channels"]) for c in candidates}, fingerprint)
    for name, layer in layers.items():
        if not (layer.bias and layer.weights):
            left_out = "biases" if layer.weights else "weights"
            raise InputError(
                f"layer '{name}': expected weights and biases, as a build of mode 'dynamic' trains both, received a "
                f"plan that leaves {left_out} out: convert with that plan in mode 'static'"
            )
    counts = np.zeros(len(candidates), "<u2")
    rooms = []
    for i, candidate in enumerate(candidates):
        room = np.zeros(int(candidate["channels"]), "<u2")
        if candidate["layer"] in layers:
            channels = layers[candidate["layer"]].channels
            counts[i] = len(channels)
            room[: len(channels)] = channels
        rooms.append(room)
    return counts.tobytes() + np.concatenate(rooms).tobytes()


def read_potentials(pool: bytes, choice: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The accumulated potentials, layer -> float32 (channels,), not yet divided by twice the number of samples."""
    sizes = [int(c["channels"]) for c in choice["candidates"]]
    values = np.frombuffer(pool, "<f4", sum(sizes), int(choice["potentials_offset"]))
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return {c["layer"]: part.copy() for c, part in zip(choice["candidates"], parts, strict=True)}


def read_choice(pool: bytes, choice: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The chosen channels, layer -> ascending numbers."""
    sizes = [int(c["channels"]) for c in choice["candidates"]]
    slots = np.frombuffer(pool, "<u2", sum(sizes), int(choice["slots_offset"]))
    parts = np.split(slots, np.cumsum(sizes)[:-1])
    return {c["layer"]: np.flatnonzero(part != _FROZEN) for c, part in zip(choice["candidates"], parts, strict=True)}


def placed_rows(pool: bytes, choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Where the trained rows of each chosen layer lie: entries as in simulation.json's ``rows``."""
    offset = int(choice["rows_offset"])
    placed: list[Mapping[str, Any]] = []
    strides = {c["layer"]: int(c["stride"]) for c in choice["candidates"]}
    shadows = {c["layer"]: int(c.get("int8_row_bytes", 0)) for c in choice["candidates"]}
    for layer, channels in read_choice(pool, choice).items():
        placed.append({"layer": layer, "offset": offset, "channels": channels.tolist(), "stride": strides[layer]})
        offset += len(channels) * (4 * strides[layer] * int(choice["copies"]) + shadows[layer])
    return placed
