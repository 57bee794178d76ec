# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates of declared kernels: the one count that reports, budgets and selection use."""

from __future__ import annotations

from collections.abc import Callable

from .kernel import Kernel
from .kernels.geometry import Window

_DENSE = ("conv2d", "conv2d_grad_input", "conv2d_grad_weights")
_DEPTHWISE = tuple(f"depthwise_{op}" for op in _DENSE)


def nominal(kernel: Kernel) -> int:
    """Multiply-accumulates as the field counts them: output positions x taps x channels, padding included."""
    return _count(kernel, lambda window: window.pixels * window.taps)


def executed(kernel: Kernel) -> int:
    """Multiply-accumulates that the generated loops perform: taps that fall on padding are skipped."""
    return _count(kernel, Window.valid_taps)


def _count(kernel: Kernel, positions: Callable[[Window], int]) -> int:
    if kernel.op not in _DENSE + _DEPTHWISE:
        return 0
    if kernel.op.endswith("_grad_weights") and not kernel["weights"]:
        return 0
    window = Window.of(kernel.attrs)
    channels = kernel["trained"] if kernel.op.endswith("_grad_weights") else window.O
    return positions(window) * channels * (window.C if kernel.op in _DENSE else 1)
