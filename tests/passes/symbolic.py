# SPDX-License-Identifier: Apache-2.0
"""Running a function on symbols instead of numbers: is what is read what was written, whatever shares memory?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from tvm import relax

from tvm_passes.kernel import IN, INOUT, OUT, Kernel, Step
from tvm_passes.liveness import root_names
from tvm_passes.plan_arena import Place, PlannedFunction

_BYTES = 4


class Symbols:
    """Values as numbers: equal operations on equal values are equal."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, *parts: Hashable) -> int:
        return self._numbers.setdefault(parts, len(self._numbers))

    def result(self, kernel: Kernel, param: int, inputs: Sequence[int]) -> int:
        return self.of(kernel.op, param, *sorted(kernel.attrs.items()), *inputs)


def _home(name: str) -> str:
    """Trained rows are read through ``rows_<n>`` and written through ``pool_<n>``."""
    return name.replace("rows_", "pool_") if name.startswith("rows_") else name


def run_steps(
    symbols: Symbols,
    steps: Sequence[Step],
    outputs: Sequence[relax.Expr],
    cell_of: Callable[[relax.Expr], str] | None = None,
) -> list[int]:
    """The values that a function returns when every cell holds one value. Without ``cell_of`` every tensor has a cell
    of its own, apart from results in place: what the function means."""
    cell_of = cell_of or root_names(steps).__getitem__
    cells: dict[str, int] = {}

    def read(expr: relax.Expr) -> int:
        if not isinstance(expr, relax.Var):
            return symbols.of("constant", expr.value.numpy().tobytes())
        cell = _home(cell_of(expr))
        return cells.setdefault(cell, symbols.of("parameter", cell)) if ":" not in cell else cells[cell]

    for step in steps:
        inputs = [read(argument) for argument in step.args]
        for index, (argument, param) in enumerate(zip(step.args, step.kernel.params, strict=False)):
            if param.role == INOUT:
                cells[_home(cell_of(argument))] = symbols.result(step.kernel, index, inputs)
        if step.alias is None:
            for argument, param in zip(step.args, step.kernel.params, strict=False):
                if isinstance(argument, relax.Var) and cell_of(argument) == cell_of(step.var):
                    assert param.name in step.kernel.overlay, f"{step.kernel.op} would overwrite its {param.name}"
            cells[cell_of(step.var)] = symbols.result(step.kernel, len(step.kernel.params) - 1, inputs)
    return [read(output) for output in outputs]


def run_plan(symbols: Symbols, function: PlannedFunction) -> list[int]:
    """The values that a planned function returns, its arena a run of bytes that hold what was last written there."""
    params: dict[str, int] = {}
    arena: dict[tuple[int, int], int] = {}

    def span(place: Place) -> tuple[int, int]:
        end = place.offset + _BYTES * place.elements
        assert end <= function.arena_bytes
        return place.offset, end

    def read(operand: str | Place | relax.Expr) -> int:
        if isinstance(operand, Place):
            return arena[span(operand)]
        if isinstance(operand, str):
            return params.setdefault(_home(operand), symbols.of("parameter", _home(operand)))
        return symbols.of("constant", operand.value.numpy().tobytes())

    def write(operand: str | Place, value: int) -> None:
        if isinstance(operand, str):
            params[_home(operand)] = value
            return
        start, end = span(operand)
        for other in [key for key in arena if key[0] < end and start < key[1]]:
            del arena[other]
        arena[start, end] = value

    for call in function.calls:
        pairs = list(zip(call.operands, call.kernel.params, strict=True))
        inputs = [read(operand) for operand, param in pairs if param.role != OUT]
        places = [(span(o), p) for o, p in pairs if isinstance(o, Place)]
        for out, _ in ((s, p) for s, p in places if p.role in (OUT, INOUT)):
            for other, param in ((s, p) for s, p in places if p.role == IN):
                disjoint = other[1] <= out[0] or out[1] <= other[0]
                assert disjoint or (other == out and param.name in call.kernel.overlay), call
        for index, (operand, param) in enumerate(pairs):
            if param.role in (OUT, INOUT):
                write(operand, symbols.result(call.kernel, index, inputs))
    return [read(output) for output in function.outputs]
