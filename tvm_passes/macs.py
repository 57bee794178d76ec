# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates of declared kernels: the one count that reports, budgets and selection use."""

from __future__ import annotations

from collections.abc import Callable

from .kernel import Kernel
from .kernels.geometry import Window
from .kernels.space import Space
from .ops import OPS


def nominal(kernel: Kernel) -> int:
    """Multiply-accumulates as the field counts them: positions of the window x taps x channels, padding included."""
    return _count(kernel, lambda window: window.pixels * window.taps)


def executed(kernel: Kernel) -> int:
    """Multiply-accumulates that the generated loops perform: taps that fall on padding are skipped."""
    return _count(kernel, Window.valid_taps)


def _count(kernel: Kernel, positions: Callable[[Window], int]) -> int:
    """``positions``: pairs of window position and tap."""
    op = OPS[kernel.op]
    if op.macs is None:
        return 0
    if Space.described_by(kernel.attrs):
        return Space.of(kernel.attrs).points
    window = Window.of(kernel.attrs)
    return positions(window.transposed() if op.transposed else window) * op.macs(kernel, window)
