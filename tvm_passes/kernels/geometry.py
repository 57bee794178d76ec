# SPDX-License-Identifier: Apache-2.0
"""Geometry of a 2-D window over an NHWC image (N = 1), shared by convolutions, pooling and their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Window:
    """A kh x kw window moved over an H x W x C image by strides (sh, sw), with pt rows and pl columns of padding
    above and to the left; the output is OH x OW x O. What is missing below and to the right is padding too."""

    H: int
    W: int
    C: int
    OH: int
    OW: int
    O: int  # noqa: E741 - the field's letter for output channels
    kh: int
    kw: int
    sh: int
    sw: int
    pt: int
    pl: int

    @classmethod
    def of(cls, attrs: Mapping[str, Any]) -> Window:
        """The window that a kernel's attributes describe."""
        return cls(*(int(attrs[key]) for key in cls.__dataclass_fields__))

    def attrs(self) -> dict[str, int]:
        """As attributes of a kernel."""
        return asdict(self)

    @property
    def pixels(self) -> int:
        """Output positions."""
        return self.OH * self.OW

    @property
    def taps(self) -> int:
        """Window positions."""
        return self.kh * self.kw

    def pointwise(self) -> bool:
        """Whether it is a 1 x 1 window that visits every position once."""
        return (self.kh, self.kw, self.sh, self.sw, self.pt, self.pl) == (1, 1, 1, 1, 0, 0)

    def flattened(self) -> Window:
        """A pointwise window over one row of H * W positions; any other window unchanged."""
        if not self.pointwise():
            return self
        return Window(1, self.H * self.W, self.C, 1, self.OH * self.OW, self.O, 1, 1, 1, 1, 0, 0)

    def valid_taps(self) -> int:
        """Pairs of (output position, window position) that fall on the image, padding left out."""
        rows = _valid(self.OH, self.kh, self.sh, self.pt, self.H)
        return rows * _valid(self.OW, self.kw, self.sw, self.pl, self.W)

    def interior_columns(self) -> tuple[int, int]:
        """The output columns ``[first, last)`` whose whole window lies inside the image's width."""
        first = -(-self.pl // self.sw)
        last = min(self.OW, (self.W - self.kw + self.pl) // self.sw + 1)
        return (first, last) if last > first else (0, 0)


def _valid(out: int, taps: int, stride: int, pad: int, size: int) -> int:
    return sum(1 for o in range(out) for t in range(taps) if 0 <= o * stride + t - pad < size)


def row_stride(weights: int) -> int:
    """Floats from one row to the next: the weights and the bias, rounded up to even so that pairs stay aligned."""
    return (weights + 2) // 2 * 2


def int8_row_stride(weights: int) -> int:
    """Bytes from one int8 row to the next: the weights and the four bytes of the bias, rounded up to a multiple of 8 so
    that what lies behind rows stays aligned."""
    return (weights + 4 + 7) // 8 * 8
