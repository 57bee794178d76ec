# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates: counted from the declaration, one by one, and by instrumented builds of random nets."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.boards import convert
from oracle.random_nets import IMAGE_FOCUSES, Net, net_settings, nets
from oracle.reference import SGD

from tvm_passes import macs
from tvm_passes.kernel import Kernel
from tvm_passes.kernels.geometry import Window

from .programs import conv, dense, depthwise, unary
from .trials import Draw, same_in_every_run
from .windows import draw_transposed, draw_window

GRADIENTS = ("", "_grad_input", "_grad_weights")


def _kernel(op: str, w: Window, trained: int, weights: bool = True) -> Kernel:
    kernel = depthwise(w) if op.startswith("depthwise") else conv(w)
    attrs = {**kernel.attrs, "trained": trained, "bias": 1, "weights": int(weights)}
    return dataclasses.replace(kernel, op=op, attrs=attrs)


@st.composite
def kernels(draw: Draw) -> Kernel:
    base = draw(st.sampled_from(("conv2d", "depthwise_conv2d", "conv2d_transpose")))
    groups = draw(st.integers(1, 3)) if base == "conv2d" else 1
    channels = groups * draw(st.integers(1, 3))
    out = channels * draw(st.integers(1, 2)) if base == "depthwise_conv2d" else groups * draw(st.integers(1, 3))
    if base == "conv2d_transpose":
        w = draw_transposed(draw, channels, out)
    else:
        w = draw_window(draw, channels, out, most_apart=3, groups=groups)
    return _kernel(base + draw(st.sampled_from(GRADIENTS)), w, draw(st.integers(1, out)))


def _one_by_one(kernel: Kernel, *, padding: bool) -> int:
    w = Window.of(kernel.attrs)
    channels = kernel["trained"] if kernel.op.endswith("weights") else w.O
    inputs = 1 if kernel.op.startswith("depthwise") else w.C // w.groups
    if kernel.op.startswith("conv2d_transpose"):
        w = w.transposed()
    count = 0
    for position in range(w.OH * w.OW):
        for tap in range(w.kh * w.kw):
            y = position // w.OW * w.sh + tap // w.kw * w.dh - w.pt
            x = position % w.OW * w.sw + tap % w.kw * w.dw - w.pl
            count += padding or (0 <= y < w.H and 0 <= x < w.W)
    return count * channels * inputs


@same_in_every_run(200)
@given(kernels())
def test_counts_equal_counting_one_by_one(kernel):
    assert macs.nominal(kernel) == _one_by_one(kernel, padding=True)
    assert macs.executed(kernel) == _one_by_one(kernel, padding=False)
    assert macs.executed(kernel) <= macs.nominal(kernel)


def test_a_dense_layer_counts_its_weights():
    assert macs.nominal(dense(12, 5)) == macs.executed(dense(12, 5)) == 60


def test_without_padding_both_counts_agree():
    kernel = conv(Window(8, 8, 3, 3, 3, 4, 3, 3, 2, 2, 0, 0))
    assert macs.nominal(kernel) == macs.executed(kernel) == 9 * 9 * 3 * 4


def test_gradients_of_biases_alone_multiply_nothing():
    w = Window(4, 4, 2, 4, 4, 6, 3, 3, 1, 1, 1, 1)
    assert macs.executed(_kernel("conv2d_grad_weights", w, 6, weights=False)) == 0


def test_other_kernels_count_nothing():
    assert macs.nominal(unary("tanh", 64)) == macs.executed(unary("tanh", 64)) == 0


# Nets of one kind of block and two of any; that kernels count right is tested shape by shape beside their values.
@pytest.mark.parametrize("focus", ["depthwise", "separable", "sequence", None])
def test_instrumented_builds_count_as_many(focus):
    assert focus is None or focus in (*IMAGE_FOCUSES, "sequence")

    @net_settings(2)
    @given(nets(focus))
    def check(net: Net) -> None:
        target = "cortex-m7" if net.seed % 2 else "host"
        build = convert(net.model, net.loss, SGD(0.01), net.plan, target)
        planned = build.report_data["executed_macs"]
        assert build.count_macs() == {
            "predict": planned["predict"],
            "train_step": planned["forward"] + planned["backward"],
        }

    check()
