# SPDX-License-Identifier: Apache-2.0
"""Concatenation, slices, padding and cropping against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

from tvm_passes.kernel import OUT, Kernel, Param
from tvm_passes.kernels.geometry import Window

from ..trials import Draw, Trial, check_op, normal, rng_of

EXAMPLES = 8


@st.composite
def concat_trials(draw: Draw) -> Trial:
    parts = _draw_parts(draw)
    y = np.concatenate(parts, axis=1)
    params = (*(Param(f"x{i}", part.size) for i, part in enumerate(parts)), Param("y", y.size, OUT))
    arguments = {f"x{i}": part for i, part in enumerate(parts)}
    return Trial(Kernel("concat", params, {"outer": len(y)}), arguments, {"y": y})


@st.composite
def slice_trials(draw: Draw) -> Trial:
    parts = _draw_parts(draw)
    x = np.concatenate(parts, axis=1)
    chosen = draw(st.integers(0, len(parts) - 1))
    offset = sum(part.shape[1] for part in parts[:chosen])
    params = (Param("x", x.size), Param("y", parts[chosen].size, OUT))
    kernel = Kernel("slice", params, {"outer": len(x), "offset": offset})
    return Trial(kernel, {"x": x}, {"y": parts[chosen]})


def _draw_parts(draw: Draw) -> list[np.ndarray]:
    rng, outer = rng_of(draw), draw(st.integers(1, 6))
    return [normal(rng, outer, draw(st.integers(1, 7))) for _ in range(draw(st.integers(1, 4)))]


@st.composite
def pad2d_trials(draw: Draw) -> Trial:
    x, y, w = _draw_padded(draw)
    return Trial(Kernel("pad2d", (Param("x", x.size), Param("y", y.size, OUT)), w.attrs()), {"x": x}, {"y": y})


@st.composite
def crop2d_trials(draw: Draw) -> Trial:
    x, y, w = _draw_padded(draw)
    # What lies on padding must not matter.
    g = np.where(y == 0, np.float32(7), y)
    return Trial(Kernel("crop2d", (Param("g", y.size), Param("dx", x.size, OUT)), w.attrs()), {"g": g}, {"dx": x})


def _draw_padded(draw: Draw) -> tuple[np.ndarray, np.ndarray, Window]:
    height, width, channels = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 4))
    top, bottom, left, right = (draw(st.integers(0, 3)) for _ in range(4))
    x = normal(rng_of(draw), height, width, channels)
    y = np.pad(x, ((top, bottom), (left, right), (0, 0)))
    return x, y, Window(height, width, channels, y.shape[0], y.shape[1], channels, 1, 1, 1, 1, top, left)


CASES = {
    "concat": concat_trials(),
    "slice": slice_trials(),
    "pad2d": pad2d_trials(),
    "crop2d": crop2d_trials(),
}


@pytest.mark.parametrize("op", CASES)
def test_layout(op: str) -> None:
    check_op(CASES[op], EXAMPLES)
