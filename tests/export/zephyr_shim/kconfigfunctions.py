# SPDX-License-Identifier: Apache-2.0
"""The functions of Zephyr's Kconfig that the module calls, for the devicetree that the environment describes."""

import os


def dt_chosen_enabled(_kconf, _name, chosen):
    return "y" if chosen in os.environ["TT_SHIM_CHOSEN"].split() else "n"


def dt_nodelabel_enabled(_kconf, _name, label):
    return "y" if label in os.environ["TT_SHIM_LABELS"].split() else "n"


functions = {"dt_chosen_enabled": (dt_chosen_enabled, 1, 1), "dt_nodelabel_enabled": (dt_nodelabel_enabled, 1, 1)}
