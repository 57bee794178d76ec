# SPDX-License-Identifier: Apache-2.0
"""Which memory of a build goes into which RAM region of a device, and what to do when it does not fit."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tt_tflm.devices.catalogue import devices
from tt_tflm.devices.device import Device, RamRegion
from tt_tflm.errors import InputError

_ALIGNMENT = 16
_KIBIBYTE = 1024
_MOST_DEVICES_NAMED = 3


@dataclass(frozen=True)
class MemoryNeeds:
    """What a build takes of a device, in bytes.

    Attributes:
        arena, row_pool, session: each of them in one piece.
        forward_arena: the arena that the forward pass alone would take.
        weights: const, in flash.
    """

    arena: int
    row_pool: int
    session: int
    forward_arena: int
    weights: int

    @property
    def blocks(self) -> dict[str, int]:
        """What is to be placed in RAM: name -> bytes."""
        return {"arena": self.arena, "row pool": self.row_pool, "session": self.session}


def place(blocks: Mapping[str, int], regions: Sequence[RamRegion]) -> dict[str, RamRegion] | None:
    """A region for every block, 16-byte aligned one after the other.

    Of all placements the one that puts the fewest bytes into external memory, then the one with the fewest regions,
    then the one nearest to the front of the list.

    Args:
        blocks: name -> bytes.
        regions: of the device, the main one first.

    Returns:
        Name -> region; None when they do not fit.
    """
    best, best_cost = None, None
    for chosen in itertools.product(range(len(regions)), repeat=len(blocks)):
        filled = [0] * len(regions)
        for size, index in zip(blocks.values(), chosen, strict=True):
            filled[index] += _aligned(size)
        if any(used > region.bytes for used, region in zip(filled, regions, strict=True)):
            continue
        external = sum(used for used, region in zip(filled, regions, strict=True) if region.external)
        cost = (external, len(set(chosen)), chosen)
        if best_cost is None or cost < best_cost:
            best_cost, best = cost, {name: regions[i] for name, i in zip(blocks, chosen, strict=True)}
    return best


def place_build(device: Device, needs: MemoryNeeds, *, dynamic: bool) -> list[dict[str, object]] | None:
    """The placement of a build.

    Args:
        device: the target.
        needs: of the build.
        dynamic: whether the board chooses what to train, so that a smaller RAM budget is a cure.

    Returns:
        As report.json records it: for every block its ``name``, ``bytes`` and ``region``; None where the device's
        regions are not known.

    Raises:
        InputError: the build does not fit; the message says what would.
    """
    if device.flash_bytes is not None and needs.weights > device.flash_bytes:
        raise InputError(
            f"expected weights of at most {device.flash_bytes:,} B, the flash of {device.name}, received "
            f"{needs.weights:,} B: use a smaller model{_or_device(device, needs)}"
        )
    if not device.ram:
        return None
    placement = place(needs.blocks, device.ram)
    if placement is None:
        raise InputError(_refusal(device, needs, dynamic=dynamic))
    return [{"name": name, "bytes": needs.blocks[name], "region": region.name} for name, region in placement.items()]


def _refusal(device: Device, needs: MemoryNeeds, *, dynamic: bool) -> str:
    largest = max(device.ram, key=lambda region: region.bytes)
    regions = ", ".join(f"{region.name} {region.bytes:,} B" for region in device.ram)
    if needs.arena > largest.bytes:
        problem = (
            f"expected an arena of at most {largest.bytes:,} B, the largest contiguous RAM of {device.name} "
            f"({largest.name}), received {needs.arena:,} B"
        )
    else:
        received = ", ".join(f"{name} {size:,} B" for name, size in needs.blocks.items())
        problem = (
            f"expected arena, row pool and session to fit the RAM of {device.name} ({regions}), received {received}"
        )
        partly = place({"arena": needs.arena}, device.ram)
        if partly:
            rest = {r.name: r.bytes - (_aligned(needs.arena) if r is partly["arena"] else 0) for r in device.ram}
            widest = max(rest, key=lambda name: rest[name])
            problem += f"; with the arena in {partly['arena'].name}, {widest} has {rest[widest]:,} B left"
    if needs.forward_arena > largest.bytes:
        return (
            f"{problem}; the forward pass alone takes {needs.forward_arena:,} B: use a smaller model"
            f"{_or_device(device, needs)}"
        )
    limit = f"{_budget(device, needs) // _KIBIBYTE}KB"
    if dynamic:
        cure = f"give a RAM budget, --ram {limit} or Budget(ram='{limit}'), less what the rest of the firmware takes"
    else:
        cure = f"train fewer layers or channels (tt-tflm plan --ram {limit}), less what the rest of the firmware takes"
    return f"{problem}: {cure}{_or_device(device, needs)}"


def _budget(device: Device, needs: MemoryNeeds) -> int:
    """The largest sum of arena, row pool and session that the device can hold: with the arena as it is, else with all
    of them in the largest region."""
    largest = max(region.bytes for region in device.ram)
    fixed = {"arena": needs.arena, "session": needs.session}
    placed = place(fixed, device.ram)
    best = largest - len(needs.blocks) * _ALIGNMENT
    if placed is not None:
        left = {region.name: region.bytes for region in device.ram}
        for name, region in placed.items():
            left[region.name] -= _aligned(fixed[name])
        best = max(best, needs.arena + needs.session + max(left.values()) - _ALIGNMENT)
    return best


def _or_device(device: Device, needs: MemoryNeeds) -> str:
    """The built-in devices whose own memory is enough, the smallest first; empty where there is none."""
    fitting = []
    for other in devices():
        internal = [region for region in other.ram if not region.external]
        if other.name == device.name or other.flash_bytes is None or needs.weights > other.flash_bytes:
            continue
        if place(needs.blocks, internal) is not None:
            fitting.append((sum(region.bytes for region in internal), other.name))
    names = [name for _, name in sorted(fitting)][:_MOST_DEVICES_NAMED]
    return f", or a device that fits: {', '.join(names)}" if names else ""


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
