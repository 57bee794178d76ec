# SPDX-License-Identifier: Apache-2.0
"""Every kernel of ops/kernels against TensorFlow and tf.GradientTape, on random shapes and on those of real layers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from passes.kernels import test_conv2d, test_depthwise, test_elementwise, test_layout, test_pool
from passes.kernels.weighted_trials import Weighted
from passes.trials import Draw, Trial, check_close, same_in_every_run
from passes.windows import conv2d, depthwise_conv2d

from tvm_passes.kernels.geometry import Window

from .library import OPS, function_of, results

EXAMPLES = 24
MODULES = (test_conv2d, test_depthwise, test_elementwise, test_layout, test_pool)
HEADERS = sorted((OPS / "kernels/include").glob("tt_*.h"))
# Functions that are no kernels, and what checks them.
HELPERS = {
    *("tt_window_check", "tt_window_check_depthwise", "tt_window_check_pool", "tt_window_check_pad"),  # test_window.py
    *("tt_depthwise_packed_bytes", "tt_depthwise_pack_rows", "tt_mask_words"),  # called with the kernels they serve
    *("tt_expression_check", "tt_expression"),  # tests/tflm/test_expression.py
}


def declared() -> set[str]:
    """Names of the functions in the headers."""
    text = "".join(path.read_text(encoding="utf-8") for path in HEADERS)
    return set(re.findall(r"^(?:static inline )?\w+ (tt_\w+)\(", text, re.MULTILINE))


KERNELS = sorted(declared() - HELPERS)
CASES = {function_of(name): case for module in MODULES for name, case in module.CASES.items()}


def check_trial(trial: Trial) -> None:
    for where, written in results(trial):
        assert set(written) == set(trial.expected)
        for name, expected in trial.expected.items():
            check_close(written[name], expected, f"{name} of {where}")


def check(strategy: st.SearchStrategy[Trial], examples: int) -> None:
    @same_in_every_run(examples)
    @given(strategy)
    def run(trial: Trial) -> None:
        kernel = trial.kernel
        assume(not kernel.op.startswith("depthwise") or kernel["O"] == kernel["C"])
        # Where every output is saturated, 1 - y * y is rounding: the float32 output no longer tells the gradient.
        assume(kernel.op != "tanh_grad" or np.abs(trial.arguments["y"]).min() < 0.99)
        check_trial(trial)

    run()


@pytest.mark.parametrize("name", KERNELS)
def test_random_shapes(name: str) -> None:
    check(CASES[name], EXAMPLES if "conv2d" in name else EXAMPLES // 4)


def _axis(size: int, taps: int, stride: int, *, same: bool) -> tuple[int, int]:
    """Output positions and padding before the first, as Keras has them."""
    if not same:
        return (size - taps) // stride + 1, 0
    out = -(-size // stride)
    return out, max(0, (out - 1) * stride + taps - size) // 2


def _layers(draw: Draw, *, depthwise: bool) -> Window:
    """Windows as networks have them, wide enough for whole tiles and what is left over."""
    taps, stride = draw(st.sampled_from((3, 3, 5, 7, 2))), draw(st.sampled_from((1, 1, 2, 3)))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 27))
    rows = draw(st.sampled_from((taps, taps, 1, 3)))
    same = draw(st.booleans()) or height < rows or width < taps
    out_height, top = _axis(height, rows, stride, same=same)
    out_width, left = _axis(width, taps, stride, same=same)
    channels = draw(st.sampled_from((1, 2, 4, 5, 6)))
    out_channels = channels if depthwise else draw(st.sampled_from((1, 3, 4, 8, 10)))
    return Window(height, width, channels, out_height, out_width, out_channels, rows, taps, stride, stride, top, left)


_DENSE = Weighted("conv2d", conv2d, lambda draw: _layers(draw, depthwise=False), lambda w: w.taps * w.C)
_DEPTHWISE = Weighted(
    "depthwise_conv2d", depthwise_conv2d, lambda draw: _layers(draw, depthwise=True), lambda w: w.taps
)
LAYERS = {**_DENSE.cases(), **_DEPTHWISE.cases()}


@pytest.mark.parametrize("op", LAYERS)
def test_layers_of_networks(op: str) -> None:
    check(LAYERS[op], EXAMPLES * 2 if op.startswith("depthwise") else EXAMPLES)


def _wide(draw: Draw) -> Window:
    """Fully connected and pointwise layers of many channels: every tile and every remainder."""
    size = draw(st.sampled_from(((1, 1), (1, 1), (1, 2), (3, 5), (4, 4))))
    return Window(*size, draw(st.integers(1, 40)), *size, draw(st.integers(1, 70)), 1, 1, 1, 1, 0, 0)


WIDE = Weighted("conv2d", conv2d, _wide, lambda w: w.C).cases()


@pytest.mark.parametrize("op", WIDE)
def test_dense_and_pointwise_layers(op: str) -> None:
    check(WIDE[op], EXAMPLES)
