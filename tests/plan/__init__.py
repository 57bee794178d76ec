# SPDX-License-Identifier: Apache-2.0
"""Budgets, cost tables, strategies and selection, in Python and in C."""
