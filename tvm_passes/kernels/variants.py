# SPDX-License-Identifier: Apache-2.0
"""Kernels that want certain instruction sets, beside those of the operations, which every core runs.

One call registers one, in a file of this folder or in anyone's that is imported before a model is converted::

    @variant("clip", isa={"dsp"})
    def clip_dsp(name: str, kernel: Kernel, tiling: Tiling) -> dict[str, tirx.PrimFunc]:
        ...
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
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
        headers: of ops/include that declare what it calls, intrinsics for example.
    """

    op: str
    dtype: str
    isa: frozenset[str]
    build: _Build
    headers: tuple[str, ...] = ()


VARIANTS: list[Variant] = []


def variant(
    op: str, *, isa: Iterable[str], dtype: str = "float32", headers: tuple[str, ...] = ()
) -> Callable[[_Build], _Build]:
    """Decorator: ``build`` is the kernel of ``op`` on cores that have those instruction sets; see ``Variant``.

    Raises:
        ValueError: it wants none, or there is one for the same.
    """
    wanted = frozenset(isa)

    def register(build: _Build) -> _Build:
        if not wanted:
            raise ValueError(f"operation '{op}': expected a variant that wants an instruction set, received none")
        if any((other.op, other.dtype, other.isa) == (op, dtype, wanted) for other in VARIANTS):
            raise ValueError(f"operation '{op}': expected one {dtype} variant for {sorted(wanted)}, received another")
        VARIANTS.append(Variant(op, dtype, wanted, build, headers))
        return build

    return register


def variant_for(op: str, dtype: str, isa: AbstractSet[str]) -> _Build | None:
    """The kernel for a core with those instruction sets: of several the one that wants most; None for none."""
    _import_own()
    found = [entry for entry in VARIANTS if (entry.op, entry.dtype) == (op, dtype) and entry.isa <= isa]
    return max(found, key=lambda entry: len(entry.isa)).build if found else None


def headers_for(isa: AbstractSet[str]) -> list[str]:
    """The headers of all variants for a core with those instruction sets."""
    _import_own()
    return sorted({header for entry in VARIANTS if entry.isa <= isa for header in entry.headers})


@functools.cache
def _import_own() -> None:
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
