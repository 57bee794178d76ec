# SPDX-License-Identifier: Apache-2.0
"""What a kernel's loop nest may assume of the core that runs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tiling:
    """Register blocking.

    Args:
        pairs: load two neighbouring floats in one instruction (Cortex-M's ``vldr.64``). A host compiler vectorises
            the plain loop instead, which pairs would keep it from doing.
        pixels: output positions of a tile of a dense convolution.
        rows: output channels of a tile, each row with a pointer of its own.
    """

    pairs: bool
    pixels: int = 4
    rows: int = 4


CORTEX_M = Tiling(pairs=True)
HOST = Tiling(pairs=False)
