# SPDX-License-Identifier: Apache-2.0
"""Geometry of a 2-D window over an NHWC image (N = 1), shared by convolutions, pooling and their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

_USUALLY_ONE = ("dh", "dw", "groups")


@dataclass(frozen=True)
class Window:
    """A kh x kw window moved over an H x W x C image by strides (sh, sw), with pt rows and pl columns of padding
    above and to the left; the output is OH x OW x O. What is missing below and to the right is padding too.

    Taps lie (dh, dw) apart. Of a dense convolution of several groups an output reads C / groups channels, those of its
    group, which are as many neighbours as its O / groups outputs."""

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
    dh: int = 1
    dw: int = 1
    groups: int = 1

    @classmethod
    def of(cls, attrs: Mapping[str, Any]) -> Window:
        """The window that a kernel's attributes describe."""
        return cls(**{key: int(attrs[key]) for key in cls.__dataclass_fields__ if key in attrs})

    def attrs(self) -> dict[str, int]:
        """As attributes of a kernel; no dilation and one group need no mention."""
        return {key: value for key, value in asdict(self).items() if key not in _USUALLY_ONE or value != 1}

    @property
    def pixels(self) -> int:
        """Output positions."""
        return self.OH * self.OW

    @property
    def taps(self) -> int:
        """Window positions."""
        return self.kh * self.kw

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last, both counted."""
        return (self.kh - 1) * self.dh + 1, (self.kw - 1) * self.dw + 1

    @property
    def depth(self) -> int:
        """Channels that an output of a dense convolution reads at a tap."""
        return self.C // self.groups

    def compact(self) -> bool:
        """Whether taps are neighbours and read all channels."""
        return (self.dh, self.dw, self.groups) == (1, 1, 1)

    def transposed(self) -> Window:
        """The window of the transposed convolution: it moves over the output, and the input has its positions."""
        return replace(self, H=self.OH, W=self.OW, C=self.O, OH=self.H, OW=self.W, O=self.C)

    def pointwise(self) -> bool:
        """Whether it is a 1 x 1 window that visits every position once."""
        return (self.kh, self.kw, self.sh, self.sw, self.pt, self.pl) == (1, 1, 1, 1, 0, 0)

    def flattened(self) -> Window:
        """A pointwise window over one row of H * W positions; any other window unchanged."""
        if not self.pointwise():
            return self
        return replace(self, H=1, W=self.H * self.W, OH=1, OW=self.OH * self.OW)

    def valid_taps(self) -> int:
        """Pairs of (output position, window position) that fall on the image, padding left out."""
        rows = _valid(self.OH, self.kh, self.sh, self.pt, self.dh, self.H)
        return rows * _valid(self.OW, self.kw, self.sw, self.pl, self.dw, self.W)

    def interior_columns(self) -> tuple[int, int]:
        """The output columns ``[first, last)`` whose whole window lies inside the image's width."""
        first = -(-self.pl // self.sw)
        last = min(self.OW, (self.W - self.reach[1] + self.pl) // self.sw + 1)
        return (first, last) if last > first else (0, 0)


def _valid(out: int, taps: int, stride: int, pad: int, dilation: int, size: int) -> int:
    return sum(1 for o in range(out) for t in range(taps) if 0 <= o * stride + t * dilation - pad < size)


def row_stride(weights: int) -> int:
    """Floats from one row to the next: the weights and the bias, rounded up to even so that pairs stay aligned."""
    return (weights + 2) // 2 * 2


def int8_row_stride(weights: int) -> int:
    """Bytes from one int8 row to the next: the weights and the four bytes of the bias, rounded up to a multiple of 8 so
    that what lies behind rows stays aligned."""
    return (weights + 4 + 7) // 8 * 8
