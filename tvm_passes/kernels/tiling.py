# SPDX-License-Identifier: Apache-2.0
"""What a kernel's loop nest may assume of the core that runs it, chosen by the core's instruction sets."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

SCALAR = "scalar"
"""Every core has it."""
THUMB = "thumb"
"""Arm's M-profile from the Cortex-M3 on."""


@dataclass(frozen=True)
class Tiling:
    """Register blocking, and what variants of kernels are chosen by.

    Args:
        pairs: load two neighbouring floats in one instruction (Cortex-M's ``vldr.64``). A host compiler vectorises
            the plain loop instead, which pairs would keep it from doing.
        pixels: output positions of a tile of a dense convolution.
        rows: output channels of a tile, each row with a pointer of its own.
        isa: instruction sets of the core.
    """

    pairs: bool
    pixels: int = 4
    rows: int = 4
    isa: frozenset[str] = frozenset({SCALAR})


CORTEX_M = Tiling(pairs=True)
HOST = Tiling(pairs=False)

TILINGS: tuple[tuple[frozenset[str], Tiling], ...] = (
    (frozenset({THUMB}), CORTEX_M),
    (frozenset({SCALAR}), HOST),
)
"""Instruction sets that a tiling asks for, the most telling first."""


def tiling_for(isa: Set[str]) -> Tiling:
    """The first tiling of the table whose instruction sets a core has, for that core.

    Args:
        isa: names of instruction sets, ``scalar`` among them.
    """
    tiling = next(tiling for needed, tiling in TILINGS if needed <= isa)
    return replace(tiling, isa=frozenset(isa))
