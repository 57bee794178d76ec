# SPDX-License-Identifier: Apache-2.0
"""One random call of a kernel with what it should write, and the check that every tiling writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tvm_passes import macs
from tvm_passes.kernel import Kernel

from .compiled import TILINGS, CompiledKernel

RELATIVE_TOLERANCE = 1e-4
Draw = Callable[[st.SearchStrategy], object]


@dataclass(frozen=True)
class Trial:
    """A kernel, the arguments of a call (outputs left out) and the expected outputs, by parameter name; the
    multiply-accumulates where the kernel alone does not tell them."""

    kernel: Kernel
    arguments: Mapping[str, object]
    expected: Mapping[str, np.ndarray]
    macs: int | None = None


def same_in_every_run(examples: int) -> settings:
    """Hypothesis without a database and without a clock, so that a red run is red again."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def check_op(strategy: st.SearchStrategy[Trial], examples: int) -> None:
    """Check that many trials of one operation."""

    @same_in_every_run(examples)
    @given(strategy)
    def check(trial: Trial) -> None:
        check_trial(trial)

    check()


def check_trial(trial: Trial) -> None:
    """Every tiling writes what is expected, also into the memory of an input it may overlay, and performs as many
    multiply-accumulates as ``macs`` says."""
    compiled = CompiledKernel(trial.kernel)
    written = {p.name for p in trial.kernel.params if p.role in ("out", "inout")}
    assert written == set(trial.expected), "a trial expects something of every output"
    performed = macs.executed(trial.kernel) if trial.macs is None else trial.macs
    for tiling in TILINGS:
        for overlay in (None, *trial.kernel.overlay):
            result = compiled.run(tiling, trial.arguments, overlay)
            where = f"{trial.kernel.op}, {tiling}" + (f", over {overlay}" if overlay else "")
            for name, expected in trial.expected.items():
                check_close(result.written[name], expected, f"{name} of {where}")
            assert result.macs == performed, where


def check_close(actual: np.ndarray, expected: np.ndarray, where: str) -> None:
    """Integers exactly; floats to the tolerance, relative to each value and to the largest (sums cancel)."""
    expected = np.asarray(expected).ravel()
    assert actual.shape == expected.shape, where
    if actual.dtype.kind in "iu":
        assert np.array_equal(actual, expected), where
        return
    assert np.isfinite(actual).all(), f"{where}: not finite"
    scale = float(np.max(np.abs(expected), initial=0.0))
    difference = np.abs(actual - expected)
    allowed = RELATIVE_TOLERANCE * np.maximum(np.abs(expected), 0.01 * scale) + 1e-30
    assert (difference <= allowed).all(), f"{where}: off by {difference.max():.3g} of {scale:.3g}"


def rng_of(draw: Draw) -> np.random.Generator:
    """A generator with a drawn seed."""
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Normally distributed float32."""
    return rng.standard_normal(shape).astype(np.float32)


def some_channels(draw: Draw, channels: int, least: int = 0) -> tuple[int, ...]:
    """A subset of the channels, ascending."""
    return tuple(sorted(draw(st.sets(st.integers(0, channels - 1), min_size=min(least, channels), max_size=channels))))
