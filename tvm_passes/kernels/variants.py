# SPDX-License-Identifier: Apache-2.0
"""Kernels that want certain instruction sets, beside those of the operations, which every core runs.

One call registers one, in a file of this folder or anyone's that is imported before a model is converted::

    @variant("clip", isa={"dsp"})
    def clip_dsp(name: str, kernel: Kernel, tiling: Tiling) -> dict[str, tirx.PrimFunc]:
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from tvm import tirx

from ..kernel import Kernel
from .tiling import Tiling

_Build = Callable[[str, Kernel, Tiling], dict[str, tirx.PrimFunc]]


@dataclass(frozen=True)
class Variant:
    """A kernel for some cores.

    Args:
        op: as in ``Kernel.op``.
        dtype: of its output.
        isa: instruction sets that it wants.
        build: loop nests.
    """

    op: str
    dtype: str
    isa: frozenset[str]
    build: _Build


VARIANTS: list[Variant] = []


def variant(op: str, *, isa: Iterable[str], dtype: str = "float32") -> Callable[[_Build], _Build]:
    """Decorator: ``build`` is the kernel of ``op`` on cores that have those instruction sets.

    Raises:
        ValueError: it wants none, or there is one for the same.
    """
    wanted = frozenset(isa)

    def register(build: _Build) -> _Build:
        if not wanted:
            raise ValueError(f"operation '{op}': expected a variant that wants an instruction set, received none")
        if any((other.op, other.dtype, other.isa) == (op, dtype, wanted) for other in VARIANTS):
            raise ValueError(f"operation '{op}': expected one {dtype} variant for {sorted(wanted)}, received another")
        VARIANTS.append(Variant(op, dtype, wanted, build))
        return build

    return register


def variant_for(op: str, dtype: str, isa: AbstractSet[str]) -> _Build | None:
    """The kernel for a core with those instruction sets: of several the one that wants most; None for none."""
    found = [entry for entry in VARIANTS if (entry.op, entry.dtype) == (op, dtype) and entry.isa <= isa]
    return max(found, key=lambda entry: len(entry.isa)).build if found else None
