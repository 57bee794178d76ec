# SPDX-License-Identifier: Apache-2.0
"""Figures for people (tables) and for programs (JSON)."""

from tt_tflm.report.board_tables import board_figures, board_table
from tt_tflm.report.device_tables import device_table, memory_table
from tt_tflm.report.json_file import write_json
from tt_tflm.report.learning_tables import history_table, meta_training_table, paired_table, strategies_table
from tt_tflm.report.plan_tables import choice_table, plan_table, spending_table
from tt_tflm.report.state_tables import state_layers_table, state_table
from tt_tflm.report.tables import adaptation_table, build_table, layer_table, supported_table, trained_layers_table

__all__ = [
    "adaptation_table",
    "board_figures",
    "board_table",
    "build_table",
    "choice_table",
    "device_table",
    "history_table",
    "layer_table",
    "memory_table",
    "meta_training_table",
    "paired_table",
    "plan_table",
    "spending_table",
    "state_layers_table",
    "state_table",
    "strategies_table",
    "supported_table",
    "trained_layers_table",
    "write_json",
]
