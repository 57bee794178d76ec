# SPDX-License-Identifier: Apache-2.0
"""One axis of a correlation: which taps read which source at which destination."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .geometry import Window
from .loops import Expr, LoopNest, maximum, minimum, truncated_quotient


@dataclass(frozen=True)
class Axis:
    """One axis of a correlation: destination ``q * step + start`` for q in ``range(count)`` gathers, for m in
    ``range(taps)``, the source ``q * source_step + source_start + m * direction`` with tap ``tap + m * tap_step``;
    sources outside ``range(size)`` are padding."""

    count: int
    step: int
    start: int
    source_step: int
    source_start: int
    direction: int
    taps: int
    tap: int
    tap_step: int
    size: int

    def source(self, q: Expr, m: Expr) -> Expr:
        """Source position of destination q under tap m."""
        return q * self.source_step + self.source_start + m * self.direction

    def inside(self, q: int, m: int) -> bool:
        """Whether that source is on the image."""
        return 0 <= self.source(q, m) < self.size

    def tap_range(self, nest: LoopNest, q: Expr, name: str = "m") -> tuple[Expr, Expr]:
        """The taps ``[first, last)`` on the image at destination q, which may be a loop variable."""
        if all(self.inside(p, m) for p in {0, self.count - 1} for m in range(self.taps)):
            return 0, self.taps
        base, apart = self.source(q, 0), abs(self.direction)
        # Taps that lie apart are counted by a quotient, rounded up. C rounds towards zero: dividends are shifted so
        # that a negative one still gives an empty range.
        if self.direction > 0:
            before, after = 0 - base, self.size - base
        else:
            before, after = base - (self.size - 1), base + 1
        if apart > 1:
            before, after = (truncated_quotient(edge + (apart - 1), apart) for edge in (before, after))
        return nest.let(f"{name}_first", maximum(0, before)), nest.let(f"{name}_last", minimum(self.taps, after))

    def interior(self) -> tuple[int, int]:
        """The destinations ``[first, last)`` all of whose sources are on the image."""
        clean = [q for q in range(self.count) if all(self.inside(q, m) for m in range(self.taps))]
        return (clean[0], clean[-1] + 1) if clean else (0, 0)

    def tiles(self, width: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
        """Cut the destinations into border tiles ``(first, columns)``, laid out one by one, and a run of equal
        interior tiles ``(first, number)``."""
        clean = [all(self.inside(q, m) for m in range(self.taps)) for q in range(self.count)]
        left = 0
        borders = []
        while left < self.count and not clean[left]:
            borders.append((left, min(width, self.count - left)))
            left += borders[-1][1]
        number = 0
        while left + (number + 1) * width <= self.count and all(
            clean[left + number * width : left + (number + 1) * width]
        ):
            number += 1
        rest = left + number * width
        while rest < self.count:
            borders.append((rest, min(width, self.count - rest)))
            rest += borders[-1][1]
        return borders, (left, number)


def forward_axes(w: Window) -> tuple[Axis, Axis]:
    """The vertical and the horizontal axis of the forward pass."""
    return (
        Axis(w.OH, 1, 0, w.sh, -w.pt, w.dh, w.kh, 0, 1, w.H),
        Axis(w.OW, 1, 0, w.sw, -w.pl, w.dw, w.kw, 0, 1, w.W),
    )


def gradient_axes(size: int, out: int, taps: int, stride: int, pad: int, dilation: int = 1) -> list[Axis]:
    """The axes of the input gradient, one for each phase of the stride: input i gathers the taps r with
    r * dilation = i + pad (mod stride) from output (i + pad - r * dilation) / stride."""
    common = math.gcd(stride, dilation)
    apart = stride // common
    axes = []
    for phase in range(min(stride, size)):
        count = len(range(phase, size, stride))
        tap = next((r for r in range(apart) if (phase + pad - r * dilation) % stride == 0), None)
        # A dilation that shares a factor with the stride leaves phases that no tap reads.
        reached = 0 if tap is None else len(range(tap, taps, apart))
        tap = tap or 0
        start = (phase + pad - tap * dilation) // stride
        axes.append(Axis(count, stride, phase, 1, start, -(dilation // common), reached, tap, apart, out))
    return axes
