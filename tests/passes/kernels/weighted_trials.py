# SPDX-License-Identifier: Apache-2.0
"""Trials of the three kernels of a weighted operation: forward, input gradient, weight gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

from tvm_passes import macs
from tvm_passes.kernel import AT_RUN_TIME, INOUT, OUT, ROWS, Kernel, Param
from tvm_passes.kernels.geometry import Window, row_stride

from ..compiled import Rows
from ..trials import Draw, Trial, normal, rng_of, some_channels
from ..windows import image, output_gradient

Convolution = Callable[[tf.Tensor, tf.Tensor, Window], tf.Tensor]


@dataclass(frozen=True)
class Weighted:
    """A weighted operation: its name, TensorFlow's version, how to draw a window, and the weights of a row."""

    op: str
    convolution: Convolution
    draw_window: Callable[[Draw], Window]
    row_length: Callable[[Window], int]

    def cases(self) -> dict[str, st.SearchStrategy[Trial]]:
        """Operation to trials."""
        return {
            self.op: st.composite(self._forward)(),
            f"{self.op}_grad_input": st.composite(self._grad_input)(),
            f"{self.op}_grad_weights": st.composite(self._grad_weights)(),
        }

    def _rows(self, rng: np.random.Generator, w: Window) -> np.ndarray:
        return normal(rng, w.O, row_stride(self.row_length(w)))

    def _used(self, rows: np.ndarray, w: Window) -> tf.Tensor:
        return tf.constant(rows[:, : self.row_length(w) + 1], tf.float64)

    def _forward(self, draw: Draw) -> Trial:
        w, rng = self.draw_window(draw), rng_of(draw)
        x, rows = normal(rng, w.H * w.W * w.C), self._rows(rng, w)
        bounds = draw(st.sampled_from(({}, {"low": 0.0}, {"low": 0.0, "high": 6.0}, {"high": 0.5})))
        params = (Param("x", x.size), Param("rows", rows.size, ROWS), Param("y", w.pixels * w.O, OUT))
        y = self.convolution(image(x, w), self._used(rows, w), w).numpy()
        y = np.clip(y, bounds.get("low", -np.inf), bounds.get("high", np.inf))
        kernel = Kernel(self.op, params, {**w.attrs(), "stride": rows.shape[1], **bounds})
        return Trial(kernel, {"x": x, "rows": self._placed(draw, rows, w)}, {"y": y})

    def _placed(self, draw: Draw, rows: np.ndarray, w: Window, least: int = 0) -> Rows:
        return Rows(rows, self.row_length(w), some_channels(draw, w.O, least))

    def _grad_input(self, draw: Draw) -> Trial:
        w, rng = self.draw_window(draw), rng_of(draw)
        g, rows = normal(rng, w.pixels * w.O), self._rows(rng, w)
        so_far = normal(rng, w.H * w.W * w.C) if draw(st.booleans()) else None
        x = image(np.zeros(w.H * w.W * w.C), w)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = self.convolution(x, self._used(rows, w), w)
        dx = tape.gradient(y, x, output_gradient(g, w)).numpy().ravel()
        params = (
            Param("g", g.size),
            Param("rows", rows.size, ROWS),
            Param("dx", dx.size, OUT if so_far is None else INOUT),
        )
        kernel = Kernel(f"{self.op}_grad_input", params, {**w.attrs(), "stride": rows.shape[1]})
        arguments = {"g": g, "rows": self._placed(draw, rows, w)}
        if so_far is not None:
            arguments["dx"], dx = so_far, dx + so_far
        return Trial(kernel, arguments, {"dx": dx})

    def _grad_weights(self, draw: Draw) -> Trial:
        w, rng = self.draw_window(draw), rng_of(draw)
        x, g, rows = normal(rng, w.H * w.W * w.C), normal(rng, w.pixels * w.O), self._rows(rng, w)
        at_run_time = draw(st.booleans())
        placed = self._placed(draw, rows, w, least=0 if at_run_time else 1)
        weights, bias = draw(st.sampled_from(((True, True), (True, True), (True, False), (False, True))))
        scale = draw(st.sampled_from((1.0, -0.01, 0.25)))
        gradient = scale * self._gradient_of_rows(x, g, rows, w)
        gradient[:, -1] *= bias
        gradient[:, :-1] *= weights
        stride, trained = rows.shape[1], list(placed.trained)
        # Chosen on the board, the channels may be any: there is room for all.
        d = np.zeros((w.O if at_run_time else len(trained), stride))
        d[: len(trained), : gradient.shape[1]] = gradient[trained]
        so_far = normal(rng, *d.shape) if draw(st.booleans()) else None
        params = (
            Param("x", x.size),
            Param("g", g.size),
            Param("rows", rows.size, ROWS),
            Param("scale", 1),
            Param("d", d.size, OUT if so_far is None else INOUT),
        )
        attrs = {**w.attrs(), "stride": stride, "trained": len(trained), "bias": int(bias), "weights": int(weights)}
        kernel = Kernel(f"{self.op}_grad_weights", params, attrs)
        performed = macs.executed(kernel)
        if at_run_time:
            kernel = replace(kernel, attrs={**attrs, "trained": AT_RUN_TIME})
        arguments = {"x": x, "g": g, "rows": placed, "scale": np.float32([scale])}
        if so_far is not None:
            arguments["d"], d = so_far, d + so_far
        return Trial(kernel, arguments, {"d": d}, performed)

    def _gradient_of_rows(self, x: np.ndarray, g: np.ndarray, rows: np.ndarray, w: Window) -> np.ndarray:
        weights = self._used(rows, w)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            y = self.convolution(image(x, w), weights, w)
        return tape.gradient(y, weights, output_gradient(g, w)).numpy()
