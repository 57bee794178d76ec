# SPDX-License-Identifier: Apache-2.0
"""The cost of any plan over an inspected tail of the network, as a table of what each part of backward needs.

A *guard* is a bit mask over candidates: a thing with guard g is needed by a plan that chooses the candidates S exactly
if ``bits(S) & g`` is not zero. Sums are of integers, so that a board computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_CANDIDATES = 64


@dataclass(frozen=True)
class Candidate:
    """A layer that may be trained.

    Attributes:
        layer: Keras layer name.
        channels: output channels.
        parameters: weights and biases of the layer.
        forward_macs: multiply-accumulates of its forward pass.
        row_parameters: numbers that change when one channel is trained.
        row_bytes: RAM of one trained channel: row, gradient and optimiser moments as stored.
        channel_macs: multiply-accumulates of the weight gradient of one channel.
    """

    layer: str
    channels: int
    parameters: int
    forward_macs: int
    row_parameters: int
    row_bytes: int
    channel_macs: int


@dataclass(frozen=True)
class SavedTensor:
    """A forward tensor: kept whole if ``full_guard`` is hit, else as a mask if ``mask_guard`` is, else not at all."""

    full_bytes: int
    full_guard: int
    mask_bytes: int
    mask_guard: int


@dataclass(frozen=True)
class MacItem:
    """A backward computation that is no weight gradient."""

    macs: int
    guard: int


@dataclass(frozen=True)
class PlanCost:
    """What a plan costs: bytes of training memory (the paper's sense) and of RAM (as placed), backward MACs, and the
    number of parameters that change."""

    training_memory_bytes: int
    ram_bytes: int
    backward_macs: int
    updated_parameters: int


@dataclass(frozen=True)
class CostTable:
    """All of it.

    Attributes:
        candidates: in forward order, at most 64; candidate i is bit i of a guard.
        tensors: forward tensors that some plan keeps.
        mac_items: backward computations that some plan performs.
        fixed_ram_bytes: arena, session and what of the row pool does not depend on the plan.
        backward_macs_full: of training every channel of every layer of the model.
    """

    candidates: tuple[Candidate, ...]
    tensors: tuple[SavedTensor, ...]
    mac_items: tuple[MacItem, ...]
    fixed_ram_bytes: int
    backward_macs_full: int

    def cost(self, chosen: Mapping[int, int]) -> PlanCost:
        """The cost of a plan: number of the candidate -> how many channels are trained (at least 1)."""
        bits = sum(1 << i for i in chosen)
        rows = sum(count * self.candidates[i].row_bytes for i, count in chosen.items())
        saved = sum(
            t.full_bytes if bits & t.full_guard else t.mask_bytes if bits & t.mask_guard else 0 for t in self.tensors
        )
        macs = sum(count * self.candidates[i].channel_macs for i, count in chosen.items())
        macs += sum(item.macs for item in self.mac_items if bits & item.guard)
        updated = sum(count * self.candidates[i].row_parameters for i, count in chosen.items())
        return PlanCost(rows + saved, self.fixed_ram_bytes + rows, macs, updated)
