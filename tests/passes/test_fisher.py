# SPDX-License-Identifier: Apache-2.0
"""The Fisher function: where activations and gradients are taken, and its values against tf.GradientTape."""

import numpy as np
import pytest
import tensorflow as tf
import tvm

from tt_tflm.losses import SoftmaxLoss
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.fisher import Fisher
from tvm_passes.kernel import INOUT, Kernel, Param
from tvm_passes.kernels.geometry import Window, row_stride
from tvm_passes.order import Order
from tvm_passes.plan_arena import PlanArena

from . import windows
from .compiled import Rows
from .planned import Program
from .programs import binary, conv, dense, kernels_of, lines_of, module_of, params_of, unary
from .trials import check_close, normal

W = Window(4, 4, 2, 4, 4, 6, 3, 3, 1, 1, 1, 1)
N = 96
ROWS = {"rows_0": 6 * row_stride(18), "rows_1": 3 * row_stride(N)}


def _before(activation: tuple | None = None, **bounds: float) -> tvm.IRModule:
    calls = [("h", conv(W, **bounds), ["x", "rows_0"])]
    if activation:
        calls.append(activation)
    calls.append(("z", dense(N, 3), [calls[-1][0], "rows_1"]))
    return AttachLoss(SoftmaxLoss().spec(3))(module_of("predict", {"x": 32, **ROWS}, calls, "z"))


def _tail(module: tvm.IRModule) -> list[str]:
    lines = lines_of(module, "fisher")
    return lines[next(i for i, line in enumerate(lines) if " loss(" in line) :]


def test_the_potential_takes_activation_and_gradient_of_the_output():
    module = Fisher([0])(_before(low=0.0))
    assert params_of(module, "fisher") == ["x", "rows_0", "rows_1", "label", "loss", "potential_0"]
    assert _tail(module) == [
        "%2 = loss(%1, label, loss)",
        "%3 = conv2d_grad_input(%2, rows_1)",
        "potential_0 := fisher_potential(%0, %3, potential_0)",
    ]
    (kernel,) = kernels_of(module, "fisher", "fisher_potential")
    assert kernel == Kernel("fisher_potential", (Param("a", N), Param("g", N), Param("potential", 6, INOUT)))


@pytest.mark.parametrize("op", ["tanh", "leaky_relu"])
def test_an_activation_right_after_the_layer_belongs_to_it(op):
    attrs = {"alpha": 0.1} if op == "leaky_relu" else {}
    module = Fisher([0])(_before(("t", unary(op, N, **attrs), ["h"])))
    assert "potential_0 := fisher_potential(%1, %4, potential_0)" in _tail(module)


def test_where_others_read_the_output_too_it_is_taken_itself():
    module = Fisher([0])(_before(("t", binary("multiply", N), ["h", "h"])))
    assert _tail(module)[-1].startswith("potential_0 := fisher_potential(%0, ")


def test_every_layer_has_a_potential_of_its_own_and_nothing_is_trained():
    module = Fisher([0, 1])(_before(low=0.0))
    assert _tail(module)[1:] == [
        "potential_1 := fisher_potential(%1, %2, potential_1)",
        "%3 = conv2d_grad_input(%2, rows_1)",
        "potential_0 := fisher_potential(%0, %3, potential_0)",
    ]
    assert not kernels_of(module, "fisher", "conv2d_grad_weights")


def test_train_step_and_predict_stay():
    before = _before(low=0.0)
    after = Fisher([0])(before)
    for name in ("train_step", "predict"):
        tvm.ir.assert_structural_equal(after[name], before[name], map_free_vars=True)


def test_values_are_those_of_the_tape():
    rng = np.random.default_rng(5)
    rows = {"rows_0": Rows(normal(rng, 6, row_stride(18)), 18), "rows_1": Rows(normal(rng, 3, row_stride(N)), N)}
    x, potentials = normal(rng, 32), [np.zeros(6, np.float32), np.ones(3, np.float32)]
    program = Program(PlanArena()(Order()(Fisher([0, 1])(_before(low=0.0)))))
    named = {f"potential_{i}": potential for i, potential in enumerate(potentials)}
    program.run("fisher", {"x": x, **rows, **named, "label": np.uint32([2]), "loss": np.zeros(1, np.float32)})
    weights = {name: tf.constant(r.values[:, : r.row_length + 1], tf.float64) for name, r in rows.items()}
    with tf.GradientTape() as tape:
        h = tf.nn.relu(windows.conv2d(windows.image(x, W), weights["rows_0"], W))
        tape.watch(h)
        z = tf.linalg.matvec(weights["rows_1"][:, :-1], tf.reshape(h, [-1])) + weights["rows_1"][:, -1]
        tape.watch(z)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits([2], z[None])
    dh, dz = tape.gradient(loss, [h, z])
    check_close(potentials[0], tf.reduce_sum(h * dh, (0, 1, 2)).numpy() ** 2, "layer 0")
    check_close(potentials[1], 1 + (z * dz).numpy() ** 2, "layer 1")
