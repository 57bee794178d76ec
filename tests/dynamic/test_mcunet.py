# SPDX-License-Identifier: Apache-2.0
"""What choosing on the board costs on the MCUNet backbone, and what TinyTrain's plan for it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

import tt_tflm
from benchmarks.dynamic_step import (
    DEFAULT_EPISODE,
    DEFAULT_MODEL,
    SELECTION_LIMIT,
    STEP_LIMIT,
    Settings,
    measure,
)
from benchmarks.paper_tables import MB, measure_model

pytestmark = [pytest.mark.data, pytest.mark.slow]

PAPER_BUDGET = tt_tflm.Budget("0.89MB", backward_macs="6.51M")
TAIL = 18


@pytest.mark.qemu
def test_a_dynamic_step_and_selecting_cost_little_on_a_cortex_m7(data_folder: Path) -> None:
    figures = measure(
        Settings(data_folder / DEFAULT_MODEL, data_folder / DEFAULT_EPISODE, "cortex-m7", PAPER_BUDGET, TAIL, "adam", 1)
    )
    assert 0 < figures["train_step"]["ratio"] <= STEP_LIMIT
    assert 0 < figures["adaptation"]["select"] < figures["adaptation"]["fisher"]
    assert figures["adaptation"]["share"] <= SELECTION_LIMIT


def test_tinytrain_fits_the_papers_figures(data_folder: Path) -> None:
    strategies = measure_model("mcunet-5fps", data_folder, "gtsrb_dev00")["strategies"]
    plan = strategies["tinytrain"]
    assert plan["paper_accounting_bytes"]["kept"] <= plan["training_memory_bytes"] <= 0.89 * MB
    assert plan["backward_macs"] <= 6.51e6
    for name, entry in strategies.items():
        assert entry["row_pool_bytes"] + entry["arena_bytes"] < entry["ram_bytes"], name
        assert plan["ram_bytes"] <= entry["ram_bytes"], name
