# SPDX-License-Identifier: Apache-2.0
"""The reverse walk: what is walked, what is trained, what is kept, and how gradients of several readers meet."""

import pytest
import tvm

from tt_tflm.losses import SoftmaxLoss
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.choice import Trained
from tvm_passes.kernel import AT_RUN_TIME, INOUT, OUT, ROWS, Kernel, Param, steps_of
from tvm_passes.kernels.geometry import Window, row_stride
from tvm_passes.sparse_gradient import SparseGradient, layer_of

from .programs import (
    Call,
    binary,
    conv,
    dense,
    kernels_of,
    lines_of,
    module_of,
    params_of,
    softmax_loss,
    unary,
)

FIRST = Window(4, 4, 2, 4, 4, 6, 3, 3, 1, 1, 1, 1)
SECOND = Window(4, 4, 6, 4, 4, 6, 1, 1, 1, 1, 0, 0)
N = 96


def _train_step(calls: list[Call], output: str, classes: int, rows: dict[str, int], x: int = 32) -> tvm.IRModule:
    return AttachLoss(SoftmaxLoss().spec(classes))(module_of("predict", {"x": x, **rows}, calls, output))


def _three_layers(**bounds: float) -> tvm.IRModule:
    calls = [
        ("a", conv(FIRST, **bounds), ["x", "rows_0"]),
        ("b", conv(SECOND, **bounds), ["a", "rows_1"]),
        ("z", dense(N, 3), ["b", "rows_2"]),
    ]
    rows = {"rows_0": 6 * row_stride(18), "rows_1": 6 * row_stride(6), "rows_2": 3 * row_stride(N)}
    return _train_step(calls, "z", 3, rows)


def test_the_docstring_example():
    calls = [("v", conv(FIRST, low=0.0, high=6.0), ["x", "rows_0"]), ("w", dense(N, 3), ["v", "rows_1"])]
    rows = {"rows_0": 6 * row_stride(18), "rows_1": 3 * row_stride(N)}
    after = SparseGradient({0: Trained(3)})(_train_step(calls, "w", 3, rows))
    mask = Kernel("clip_mask", (Param("y", N), Param("mask", 3, OUT, "uint32")), {"low": 0.0, "high": 6.0})
    forward = dense(N, 3)
    grad_input = Kernel(
        "conv2d_grad_input",
        (Param("g", 3), Param("rows", 3 * row_stride(N), ROWS), Param("dx", N, OUT)),
        forward.attrs,
    )
    mask_grad = Kernel("mask_grad", (Param("g", N), Param("mask", 3, dtype="uint32"), Param("dx", N, OUT)), {}, ("g",))
    grad_weights = Kernel(
        "conv2d_grad_weights",
        (
            Param("x", 32),
            Param("g", N),
            Param("rows", 6 * row_stride(18), ROWS),
            Param("scale", 1),
            Param("d", 3 * row_stride(18), OUT),
        ),
        {**conv(FIRST).attrs, "trained": 3, "bias": 1, "weights": 1},
    )
    expected = module_of(
        "train_step",
        {"x": 32, **rows, "label": 1, "loss": 1, "scale": 1},
        [
            ("v", conv(FIRST, low=0.0, high=6.0), ["x", "rows_0"]),
            ("m", mask, ["v"]),
            ("w", dense(N, 3), ["v", "rows_1"]),
            ("g", softmax_loss(3), ["w", "label", "loss"]),
            ("dv", grad_input, ["g", "rows_1"]),
            ("dz", mask_grad, ["dv", "m"]),
            ("d0", grad_weights, ["x", "dz", "rows_0", "scale"]),
        ],
        ["d0"],
    )
    functions = [m["train_step"].without_attr("global_symbol") for m in (after, expected)]
    tvm.ir.assert_structural_equal(functions[0], functions[1].with_attr("gradients", [0]), map_free_vars=True)
    assert lines_of(after, "predict") == ["%0 = conv2d(x, rows_0)", "%1 = conv2d(%0, rows_1)"]
    for op in ("clip_mask", "conv2d_grad_input", "mask_grad", "conv2d_grad_weights"):
        assert kernels_of(after, "train_step", op) == kernels_of(expected, "train_step", op)


def test_the_walk_ends_at_the_earliest_chosen_layer():
    module = SparseGradient({1: Trained(2), 2: Trained(3)})(_three_layers())
    assert lines_of(module, "train_step")[3:] == [
        "%3 = loss(%2, label, loss)",
        "%4 = conv2d_grad_input(%3, rows_2)",
        "%5 = conv2d_grad_weights(%1, %3, rows_2, scale)",
        "%6 = conv2d_grad_weights(%0, %4, rows_1, scale)",
    ]
    assert [int(i) for i in module["train_step"].attrs["gradients"]] == [2, 1]


def test_a_frozen_layer_passes_the_gradient_on_and_keeps_a_mask_alone():
    module = SparseGradient({0: Trained(6)})(_three_layers(low=0.0))
    assert lines_of(module, "train_step") == [
        "%0 = conv2d(x, rows_0)",
        "%1 = clip_mask(%0)",
        "%2 = conv2d(%0, rows_1)",
        "%3 = clip_mask(%2)",
        "%4 = conv2d(%2, rows_2)",
        "%5 = loss(%4, label, loss)",
        "%6 = conv2d_grad_input(%5, rows_2)",
        "%7 = mask_grad(%6, %3)",
        "%8 = conv2d_grad_input(%7, rows_1)",
        "%9 = mask_grad(%8, %1)",
        "%10 = conv2d_grad_weights(x, %9, rows_0, scale)",
    ]


def test_an_activation_that_is_kept_anyway_needs_no_mask():
    module = SparseGradient({0: Trained(6), 1: Trained(1)})(_three_layers(low=0.0))
    lines = lines_of(module, "train_step")
    # Layer 1 reads the output of layer 0 for its weight gradient; its own output serves nothing but the clip.
    assert [line for line in lines if "clip_mask" in line] == ["%2 = clip_mask(%1)"]
    assert "%7 = conv2d_grad_input(%6, rows_1)" in lines
    assert "%9 = clip_grad(%7, %0)" in lines


def test_layers_below_the_chosen_ones_keep_nothing():
    module = SparseGradient({2: Trained(3)})(_three_layers(low=0.0))
    lines = lines_of(module, "train_step")
    assert not any("mask" in line for line in lines)
    assert lines[-1] == "%4 = conv2d_grad_weights(%1, %3, rows_2, scale)"
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("choice", "rows", "attrs"),
    [
        (Trained(2), 2, {"trained": 2, "bias": 1, "weights": 1}),
        (Trained(2, bias=False), 2, {"trained": 2, "bias": 0, "weights": 1}),
        (Trained(2, weights=False), 2, {"trained": 2, "bias": 1, "weights": 0}),
        (Trained(AT_RUN_TIME), 6, {"trained": AT_RUN_TIME, "bias": 1, "weights": 1}),
    ],
)
def test_what_is_trained_of_a_layer_stands_in_its_gradient(choice, rows, attrs):
    module = SparseGradient({1: choice})(_three_layers(low=0.0))
    (kernel,) = kernels_of(module, "train_step", "conv2d_grad_weights")
    assert kernel.param("d").elements == rows * row_stride(6)
    assert {key: kernel[key] for key in attrs} == attrs
    assert "low" not in kernel.attrs


def test_biases_alone_keep_no_activation():
    choice = Trained(2, weights=False)
    lines = lines_of(SparseGradient({0: choice, 1: choice})(_three_layers(low=0.0)), "train_step")
    loss = next(i for i, line in enumerate(lines) if " loss(" in line)
    assert lines[loss + 1 :] == [
        "%6 = conv2d_grad_input(%5, rows_2)",
        "%7 = mask_grad(%6, %3)",
        "%8 = conv2d_grad_input(%7, rows_1)",
        "%9 = conv2d_grad_weights(%7, %7, rows_1, scale)",
        "%10 = mask_grad(%8, %1)",
        "%11 = conv2d_grad_weights(%10, %10, rows_0, scale)",
    ]
    assert [line for line in lines[:loss] if "clip_mask" in line] == ["%1 = clip_mask(%0)", "%3 = clip_mask(%2)"]


def test_parameters_stay_and_the_scale_is_added():
    module = SparseGradient({2: Trained(3)})(_three_layers())
    assert params_of(module, "train_step") == ["x", "rows_0", "rows_1", "rows_2", "label", "loss", "scale"]


def test_gradients_of_several_readers_are_added_up():
    calls = [
        ("h", conv(FIRST), ["x", "rows_0"]),
        ("t", unary("tanh", N), ["h"]),
        ("s", unary("sigmoid", N), ["h"]),
        ("u", binary("multiply", N), ["t", "s"]),
        ("z", dense(N, 3), ["u", "rows_1"]),
    ]
    module = _train_step(calls, "z", 3, {"rows_0": 6 * row_stride(18), "rows_1": 3 * row_stride(N)})
    lines = lines_of(SparseGradient({0: Trained(1)})(module), "train_step")
    assert lines[6:] == [
        "%6 = conv2d_grad_input(%5, rows_1)",
        "%7 = multiply(%6, %2)",
        "%8 = multiply(%6, %1)",
        "%9 = sigmoid_grad(%8, %2)",
        "%10 = tanh_grad(%7, %1)",
        "%9 := accumulate(%10, %9)",
        "%11 = conv2d_grad_weights(x, %9, rows_0, scale)",
    ]


def test_a_convolution_adds_to_the_gradient_that_is_there():
    calls = [
        ("h", conv(FIRST), ["x", "rows_0"]),
        ("a", conv(SECOND), ["h", "rows_1"]),
        ("b", conv(SECOND), ["h", "rows_2"]),
        ("u", binary("multiply", N), ["a", "b"]),
        ("z", dense(N, 3), ["u", "rows_3"]),
    ]
    rows = {"rows_0": 6 * row_stride(18), "rows_3": 3 * row_stride(N)}
    module = _train_step(calls, "z", 3, {**rows, "rows_1": 48, "rows_2": 48})
    after = SparseGradient({0: Trained(1)})(module)
    assert lines_of(after, "train_step")[-3:] == [
        "%9 = conv2d_grad_input(%8, rows_2)",
        "%9 := conv2d_grad_input(%7, rows_1, %9)",
        "%10 = conv2d_grad_weights(x, %9, rows_0, scale)",
    ]
    roles = [k.param("dx").role for k in kernels_of(after, "train_step", "conv2d_grad_input")]
    assert roles == [OUT, OUT, INOUT]


def test_a_gradient_that_a_sum_shares_is_copied_before_it_is_added_to():
    calls = [
        ("h", conv(FIRST), ["x", "rows_0"]),
        ("a", conv(SECOND), ["h", "rows_1"]),
        ("u", binary("add", N), ["h", "a"]),
        ("z", dense(N, 3), ["u", "rows_2"]),
    ]
    module = _train_step(calls, "z", 3, {"rows_0": 6 * row_stride(18), "rows_1": 48, "rows_2": 3 * row_stride(N)})
    lines = lines_of(SparseGradient({0: Trained(1), 1: Trained(1)})(module), "train_step")
    assert lines[5:] == [
        "%5 = conv2d_grad_input(%4, rows_2)",
        "%6 = copy(%5)",
        "%6 := conv2d_grad_input(%5, rows_1, %6)",
        "%7 = conv2d_grad_weights(%0, %5, rows_1, scale)",
        "%8 = conv2d_grad_weights(x, %6, rows_0, scale)",
    ]


def test_a_tensor_added_to_itself_gets_the_gradient_twice():
    calls = [
        ("h", conv(FIRST), ["x", "rows_0"]),
        ("u", binary("add", N), ["h", "h"]),
        ("z", dense(N, 3), ["u", "rows_1"]),
    ]
    module = _train_step(calls, "z", 3, {"rows_0": 6 * row_stride(18), "rows_1": 3 * row_stride(N)})
    lines = lines_of(SparseGradient({0: Trained(1)})(module), "train_step")
    assert lines[-2:] == ["%5 = add(%4, %4)", "%6 = conv2d_grad_weights(x, %5, rows_0, scale)"]


def test_steps_know_the_layer_whose_rows_they_read():
    steps, _ = steps_of(_three_layers(), "train_step")
    assert [layer_of(step) for step in steps] == [0, 1, 2, None]
