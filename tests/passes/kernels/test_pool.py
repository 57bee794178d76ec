# SPDX-License-Identifier: Apache-2.0
"""Pooling and its gradients against tf.nn, ties and uneven padding included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tvm_passes.kernel import OUT, Kernel, Param
from tvm_passes.kernels.geometry import Window

from ..trials import Draw, Trial, check_op, normal, rng_of
from ..windows import avg_pool, draw_window, image, max_pool, output_gradient

EXAMPLES = 10
POOLS = {"avg_pool": avg_pool, "max_pool": max_pool}


def _draw_image(draw: Draw) -> tuple[Window, np.ndarray, np.random.Generator]:
    channels, rng = draw(st.integers(1, 5)), rng_of(draw)
    w = draw_window(draw, channels, channels, pooling=True)
    if draw(st.booleans()):
        return w, normal(rng, w.H * w.W * w.C), rng
    # Small integers: most windows then have more than one largest value.
    return w, rng.integers(-2, 3, w.H * w.W * w.C).astype(np.float32), rng


def forward_trials(op: str, pool: Callable[[tf.Tensor, Window], tf.Tensor]) -> st.SearchStrategy[Trial]:
    @st.composite
    def trials(draw: Draw) -> Trial:
        w, x, _ = _draw_image(draw)
        y = pool(image(x, w), w).numpy()
        kernel = Kernel(op, (Param("x", x.size), Param("y", y.size, OUT)), w.attrs())
        return Trial(kernel, {"x": x}, {"y": y})

    return trials()


def grad_trials(op: str, pool: Callable[[tf.Tensor, Window], tf.Tensor]) -> st.SearchStrategy[Trial]:
    @st.composite
    def trials(draw: Draw) -> Trial:
        w, x, rng = _draw_image(draw)
        g = normal(rng, w.pixels * w.C)
        source = image(x, w)
        with tf.GradientTape() as tape:
            tape.watch(source)
            y = pool(source, w)
        dx = tape.gradient(y, source, output_gradient(g, w)).numpy()
        arguments = {"g": g, "x": x} if op == "max_pool" else {"g": g}
        params = (*(Param(name, value.size) for name, value in arguments.items()), Param("dx", x.size, OUT))
        return Trial(Kernel(f"{op}_grad", params, w.attrs()), arguments, {"dx": dx})

    return trials()


CASES = {
    **{op: forward_trials(op, pool) for op, pool in POOLS.items()},
    **{f"{op}_grad": grad_trials(op, pool) for op, pool in POOLS.items()},
}


@pytest.mark.parametrize("op", CASES)
def test_pool(op: str) -> None:
    check_op(CASES[op], EXAMPLES)
