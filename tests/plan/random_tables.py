# SPDX-License-Identifier: Apache-2.0
"""Random cost tables, potentials and budgets, from easy to hopeless."""

from dataclasses import replace

import numpy as np

from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import Candidate, CostTable, MacItem, PlanCost, SavedTensor


def whole(generator: np.random.Generator, low: int, high: int) -> int:
    """A number in low .. high, small ones as likely as large ones."""
    return min(high, int(low * (high / low) ** generator.random() + 0.5))


def random_guard(generator: np.random.Generator, count: int) -> int:
    """Of up to `count` candidates; often those up to one of them, as the gradient's path back has it."""
    if generator.random() < 0.6:
        return (1 << int(generator.integers(0, count + 1))) - 1
    return sum(1 << i for i in range(count) if generator.random() < 0.3)


def random_table(generator: np.random.Generator, count: int = 0, channels: int = 40) -> CostTable:
    """`count` candidates (0: any number) of up to that many channels each; some tables have equal candidates."""
    count = count or whole(generator, 1, 64)
    kinds = [
        (
            whole(generator, 1, channels),
            whole(generator, 1, 2**32 - 1),
            whole(generator, 1, 2**32 - 1),
            whole(generator, 1, 5000),
            whole(generator, 4, 60_000),
            whole(generator, 1, 2**32 - 1) if generator.random() < 0.95 else 0,
        )
        for _ in range(count if generator.random() < 0.7 else max(1, count // 3))
    ]
    candidates = tuple(
        Candidate(f"layer_{i}", *(kinds[i] if i < len(kinds) else kinds[generator.integers(len(kinds))]))
        for i in range(count)
    )
    tensors = []
    for _ in range(int(generator.integers(0, 2 * count + 1))):
        full = whole(generator, 1, 500_000)
        tensors.append(
            SavedTensor(full, random_guard(generator, count), int(full // 32 + 1), random_guard(generator, count))
        )
    items = tuple(
        MacItem(whole(generator, 1, 2**32 - 1), random_guard(generator, count))
        for _ in range(int(generator.integers(0, 2 * count + 1)))
    )
    table = CostTable(candidates, tuple(tensors), items, int(generator.integers(0, 300_000)), 1)
    everything = table.cost({i: c.channels for i, c in enumerate(candidates)}).backward_macs
    return replace(table, backward_macs_full=max(1, everything))


def random_fisher(generator: np.random.Generator, table: CostTable) -> dict[str, np.ndarray]:
    """Of one kind: ordinary, far apart, full of ties, zeros, denormal, or so large that their sums overflow."""
    kind = generator.integers(6)
    fisher = {}
    for candidate in table.candidates:
        n = candidate.channels
        values = generator.gamma(0.5, size=n)
        if kind == 1:
            values *= 10.0 ** generator.uniform(-30, 30, n)
        elif kind == 2:
            values = generator.integers(0, 3, n) * 0.25
        elif kind == 3:
            values = np.zeros(n) if generator.random() < 0.8 else np.where(generator.random(n) < 0.5, 0.0, -0.0)
        elif kind == 4:
            values = generator.integers(0, 5, n) * 1.401298464324817e-45
        elif kind == 5:
            values = generator.uniform(0.1, 1.0, n) * np.finfo(np.float32).max
        fisher[candidate.layer] = values.astype(np.float32)
    return fisher


def least(table: CostTable) -> PlanCost:
    """The smallest of every figure over the plans of one channel."""
    costs = [table.cost({i: 1}) for i in range(len(table.candidates))]
    return PlanCost(
        *(
            min(getattr(cost, name) for cost in costs)
            for name in ("training_memory_bytes", "ram_bytes", "backward_macs", "updated_parameters")
        )
    )


def random_budget(generator: np.random.Generator, table: CostTable) -> Budget:
    """Each limit absent, or from below the least of any plan to above the most."""
    most = table.cost({i: c.channels for i, c in enumerate(table.candidates)})
    lowest = least(table)
    limits = {}
    for name, figure in (
        ("training_memory", "training_memory_bytes"),
        ("ram", "ram_bytes"),
        ("backward_macs", "backward_macs"),
    ):
        if generator.random() < 0.6:
            low, high = getattr(lowest, figure), getattr(most, figure)
            at = generator.random() ** 2 * 1.05 - (0.02 if generator.random() < 0.1 else 0.0)
            limits[name] = max(1, low + int((high - low) * at))
    return Budget(**limits)


def with_bias_costs(generator: np.random.Generator, table: CostTable) -> CostTable:
    """A bias table for it: no weight gradients, few whole tensors; some layers have no bias."""
    return CostTable(
        tuple(
            Candidate(c.layer, c.channels, c.parameters, c.forward_macs, int(generator.random() < 0.8), 8, 0)
            for c in table.candidates
        ),
        tuple(
            SavedTensor(t.full_bytes, t.full_guard if generator.random() < 0.1 else 0, t.mask_bytes, t.mask_guard)
            for t in table.tensors
        ),
        table.mac_items,
        table.fixed_ram_bytes,
        table.backward_macs_full,
    )
