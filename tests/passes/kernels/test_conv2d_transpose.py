# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution against tf.nn.conv2d_transpose and its gradients, and its lowering against Keras."""

import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from tvm import relax

from tvm_passes.canonicalize import Canonicalize
from tvm_passes.kernel import row_length, steps_of
from tvm_passes.kernels.geometry import Window

from ..compiled import Rows
from ..imported import constant, imported
from ..trials import Draw, Trial, check_op, check_trial, normal
from ..windows import conv2d_transpose, draw_transposed
from .weighted_trials import Weighted

EXAMPLES = 8


def draw_window(draw: Draw) -> Window:
    return draw_transposed(draw, draw(st.integers(1, 7)), draw(st.integers(1, 6)))


CASES = Weighted("conv2d_transpose", conv2d_transpose, draw_window, lambda w: w.taps * w.C).cases()


@pytest.mark.parametrize("op", CASES)
def test_conv2d_transpose(op: str) -> None:
    check_op(CASES[op], EXAMPLES)


@pytest.mark.parametrize(
    ("taps", "stride", "padding", "more"),
    [(3, 2, "same", None), (2, 3, "same", None), (4, 2, "valid", None), (2, 3, "valid", None), (3, 2, "same", 0)],
)
def test_a_layer_of_keras(taps: int, stride: int, padding: str, more: int | None) -> None:
    x = normal(np.random.default_rng(3), 1, 4, 5, 3)
    layer = keras.layers.Conv2DTranspose(2, taps, stride, padding, output_padding=more, use_bias=False)
    layer.build(x.shape)
    kernel = constant(*layer.kernel.shape)
    layer.set_weights([kernel.value.numpy()])
    y = layer(x).numpy()
    whole = [(size - 1) * stride + taps for size in x.shape[1:3]]
    cut = [max(size - out, 0) for size, out in zip(whole, y.shape[1:3], strict=True)]
    added = [max(out - size, 0) for size, out in zip(whole, y.shape[1:3], strict=True)]

    def body(emit, image):
        pads = [size // 2 for size in cut] + [size - size // 2 for size in cut]
        options = {"strides": (stride, stride), "padding": pads, "output_padding": added}
        return emit(relax.op.nn.conv2d_transpose(image, kernel, data_layout="NHWC", kernel_layout="HWOI", **options))

    predict = Canonicalize()(imported(x.shape, body))
    ((step,), _) = steps_of(predict, "predict")
    (rows,) = predict["predict"].attrs["params"]
    rows = Rows(rows.numpy().reshape(2, -1), row_length(step.kernel))
    check_trial(Trial(step.kernel, {"x": x, "rows": rows}, {"y": y}))
