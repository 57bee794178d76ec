# SPDX-License-Identifier: Apache-2.0
"""The program of a build that chooses its plan on the board: which tail it inspects, and how much room rows get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tt_tflm.errors import InputError
from tt_tflm.losses import Loss
from tt_tflm.optimizers import Optimizer
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import MAX_CANDIDATES, CostTable
from tt_tflm.plan.tail import tail_optimizer, tail_table
from tt_tflm.program.emitted import BoardChoice
from tt_tflm.program.layout.row_pool import ALIGNMENT, lay_out_dynamic
from tt_tflm.program.layout.session import SESSION_BYTES
from tt_tflm.program.static import ImportedModel, Program, Report, loss_spec, tables_of
from tvm_passes.choice import Trained
from tvm_passes.kernel import AT_RUN_TIME
from tvm_passes.pipeline import dynamic_program as planned_program

DEFAULT_SHARE = 0.5


def dynamic_program(
    model: ImportedModel,
    loss: Loss,
    optimizer: Optimizer,
    budget: Budget,
    backward_macs_full: int,
    tail: int | None,
    report: Report,
) -> Program:
    """The program that serves any plan within a budget over the inspected tail.

    Args:
        model: imported.
        loss: which loss.
        optimizer: which optimiser.
        budget: limits; the RAM limit decides how deep the tail is.
        backward_macs_full: backward MACs of training everything.
        tail: number of layers to inspect; None for as many as the RAM limit allows, at most 64.
        report: called with the name of every pass before it runs.

    Raises:
        InputError: not even the last layer fits the RAM limit, or ``tail`` is out of range.
    """
    deepest = min(len(model.layers), MAX_CANDIDATES)
    if tail is not None:
        if isinstance(tail, bool) or not isinstance(tail, int) or not 1 <= tail <= deepest:
            raise InputError(f"tail: expected a number of layers from 1 to {deepest}, received {tail!r}")
        program = _of_depth(model, loss, optimizer, budget, backward_macs_full, tail, report)
        _check_ram(program.choice, budget)
        return program
    limit = budget.ram
    if limit is None:
        return _of_depth(model, loss, optimizer, budget, backward_macs_full, deepest, report)
    best = _of_depth(model, loss, optimizer, budget, backward_macs_full, 1, report)
    _check_ram(best.choice, budget)
    # RAM grows with depth: the deepest tail that leaves room for rows is found by bisection.
    low, high = 2, deepest
    while low <= high:
        depth = (low + high) // 2
        program = _of_depth(model, loss, optimizer, budget, backward_macs_full, depth, report)
        if _wanted_ram(program.choice, budget) <= limit:
            low, best = depth + 1, program
        else:
            high = depth - 1
    return best


def _check_ram(choice: BoardChoice, budget: Budget) -> None:
    least = choice.table.fixed_ram_bytes + _aligned(min(c.row_bytes for c in choice.table.candidates))
    if budget.ram is not None and least > budget.ram:
        raise InputError(
            f"budget: expected ram of at least {least} bytes to train one channel of the last "
            f"{len(choice.candidates)} layers, received {budget.ram}"
        )


def _wanted_ram(choice: BoardChoice, budget: Budget) -> int:
    """RAM that lets the share of the largest layer's channels be trained, unless the training memory ends before."""
    rows = max(c.row_bytes * max(1, int(c.channels * choice.share)) for c in choice.table.candidates)
    if budget.training_memory is not None:
        rows = min(rows, budget.training_memory)
    return choice.table.fixed_ram_bytes + rows


def _of_depth(
    model: ImportedModel,
    loss: Loss,
    optimizer: Optimizer,
    budget: Budget,
    backward_macs_full: int,
    depth: int,
    report: Report,
) -> Program:
    candidates = tuple(range(len(model.layers) - depth, len(model.layers)))
    spec = tail_optimizer(model.module, candidates, optimizer.spec(at_run_time=True))
    of_loss = loss_spec(model, loss)
    trained = {i: Trained(AT_RUN_TIME, model.layers[i].bias) for i in candidates}
    module = planned_program(model.module, of_loss, trained, spec, report)
    channels = [model.layers[i].channels for i in candidates]
    embedding = model.output_elements if of_loss.prototypes else None
    tables = tables_of(of_loss, spec, depth, int8=bool(model.int8_layers), dynamic=True)
    empty = lay_out_dynamic(channels, 0, of_loss.classes, embedding, tables)
    draft = Program(module, None, empty, SESSION_BYTES, spec, of_loss)
    table = tail_table(model.module, of_loss, model.layers, candidates, spec, draft.ram_bytes, backward_macs_full)
    rows = _room_for_rows(table, budget, channels)
    row_pool = lay_out_dynamic(channels, rows, of_loss.classes, embedding, tables)
    return replace(draft, row_pool=row_pool, choice=BoardChoice(candidates, table, rows, DEFAULT_SHARE))


def _room_for_rows(table: CostTable, budget: Budget, channels: Sequence[int]) -> int:
    """The most bytes of rows and their state that any plan within the budget has, a multiple of the alignment."""
    rows = sum(c.row_bytes * count for c, count in zip(table.candidates, channels, strict=True))
    if budget.training_memory is not None:
        rows = min(rows, budget.training_memory)
    rows = _aligned(rows)
    if budget.ram is not None:
        rows = min(rows, max(0, budget.ram - table.fixed_ram_bytes) // ALIGNMENT * ALIGNMENT)
    return rows


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
