# SPDX-License-Identifier: Apache-2.0
"""Exact liveness of the tensors of a function of kernel calls: which share memory, and from when to when they live."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tvm import relax

from .kernel import Step

ALIGNMENT = 16
LOCAL = ":"  # in the names of memory that is no parameter


@dataclass(frozen=True)
class Buffer:
    """Memory of ``size`` bytes (aligned) that is alive from step ``first`` to step ``last``, both included."""

    name: str
    size: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


def root_names(steps: Iterable[Step]) -> dict[relax.Expr, str]:
    """A name for the memory behind every variable: in-place results share the memory of what they were made from."""
    names: dict[relax.Expr, str] = {}
    for index, step in enumerate(steps):
        for argument in step.args:
            if isinstance(argument, relax.Var) and argument not in names:
                names[argument] = str(argument.name)
        names[step.var] = names[step.alias] if step.alias is not None else f"t{index}{LOCAL}{step.var.name}"
    return names


def memory_of(steps: list[Step], outputs: Iterable[relax.Expr]) -> dict[relax.Expr, str]:
    """Like ``root_names``, and elementwise results take the memory of an operand that nobody reads afterwards."""
    names = root_names(steps)
    local = {names[step.var] for step in steps if step.alias is None}
    last_read: dict[str, int] = {}
    for index, step in enumerate(steps):
        for argument in step.args:
            if isinstance(argument, relax.Var):
                last_read[names[argument]] = index
    for var in outputs:
        last_read[names[var]] = len(steps)
    merged: dict[str, str] = {}
    group_read = dict(last_read)  # when anything that shares a memory is read last

    for index, step in enumerate(steps):
        if step.alias is not None or not step.kernel.overlay:
            continue
        out = names[step.var]
        for argument, param in zip(step.args, step.kernel.params, strict=False):
            if param.name not in step.kernel.overlay or not isinstance(argument, relax.Var):
                continue
            source = merged.get(names[argument], names[argument])
            if names[argument] in local and last_read[names[argument]] == index and group_read[source] <= index:
                merged[out] = source
                group_read[source] = max(group_read[source], last_read.get(out, -1))
                break
    return {var: merged.get(name, name) for var, name in names.items()}


def buffers_of(steps: list[Step], outputs: Iterable[relax.Expr]) -> list[Buffer]:
    """The memory that the function needs beside its parameters."""
    outputs = list(outputs)
    memory = memory_of(steps, outputs)
    spans: dict[str, list[int]] = {}
    for index, step in enumerate(steps):
        if step.alias is None:
            out = step.kernel.params[-1]
            size = -(-out.bytes // ALIGNMENT) * ALIGNMENT
            spans.setdefault(memory[step.var], [size, index, index])
        for var in (*step.args, step.var):
            if isinstance(var, relax.Var) and memory[var] in spans:
                spans[memory[var]][2] = index
    for var in outputs:
        if isinstance(var, relax.Var) and memory[var] in spans:
            spans[memory[var]][2] = len(steps)
    return [Buffer(name, *span) for name, span in spans.items()]


def lower_bound(buffers: list[Buffer]) -> int:
    """The most bytes alive at one step: no packing can need less."""
    events: dict[int, int] = {}
    for buffer in buffers:
        events[buffer.first] = events.get(buffer.first, 0) + buffer.size
        events[buffer.last + 1] = events.get(buffer.last + 1, 0) - buffer.size
    live = peak = 0
    for step in sorted(events):
        live += events[step]
        peak = max(peak, live)
    return peak
