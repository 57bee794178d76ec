# SPDX-License-Identifier: Apache-2.0
"""The forward pass of a train step: what is copied, what is left out, what the loss takes and writes."""

import pytest
import tvm

from tt_tflm.losses import PrototypeLoss, SoftmaxLoss
from tvm_passes.attach_loss import AttachLoss, logits_of
from tvm_passes.kernel import INOUT, LOSS, OUT, Kernel, Param, steps_of

from .programs import dense, kernels_of, lines_of, module_of, params_of, softmax_loss, unary

CLASSIFIER = module_of("predict", {"x": 6, "rows_0": 32}, [("z", dense(6, 4), ["x", "rows_0"])], "z")


def _with_softmax() -> tvm.IRModule:
    calls = [("z", dense(6, 4), ["x", "rows_0"]), ("p", unary("softmax", 4, classes=4), ["z"])]
    return module_of("predict", {"x": 6, "rows_0": 32}, calls, "p")


def test_train_step_is_the_forward_pass_and_the_gradient_of_the_loss():
    expected = module_of(
        "train_step",
        {"x": 6, "rows_0": 32, "label": 1, "loss": 1},
        [("z", dense(6, 4), ["x", "rows_0"]), ("g", softmax_loss(4), ["z", "label", "loss"])],
        "g",
        CLASSIFIER,
    )
    tvm.ir.assert_structural_equal(AttachLoss(SoftmaxLoss().spec(4))(CLASSIFIER), expected)


def test_a_softmax_at_the_end_is_left_out_of_training_alone():
    module = AttachLoss(SoftmaxLoss().spec(4))(_with_softmax())
    assert lines_of(module, "predict") == ["%0 = conv2d(x, rows_0)", "%1 = softmax(%0)"]
    assert lines_of(module, "train_step") == [
        "%0 = conv2d(x, rows_0)",
        "%1 = loss(%0, label, loss)",
    ]


def test_a_softmax_inside_the_network_stays():
    calls = [("p", unary("softmax", 6, classes=6), ["x"]), ("z", dense(6, 4), ["p", "rows_0"])]
    module = AttachLoss(SoftmaxLoss().spec(4))(module_of("predict", {"x": 6, "rows_0": 32}, calls, "z"))
    assert lines_of(module, "train_step")[0] == "%0 = softmax(x)"


def test_the_prototype_loss_takes_the_output_as_it_is():
    module = AttachLoss(PrototypeLoss(5).spec(5))(CLASSIFIER)
    assert params_of(module, "train_step") == ["x", "rows_0", "label", "prototypes", "loss", "scores"]
    assert lines_of(module, "train_step") == [
        "%0 = conv2d(x, rows_0)",
        "%1 = loss(%0, label, prototypes, loss, scores)",
    ]
    (kernel,) = kernels_of(module, "train_step", LOSS)
    assert kernel == Kernel(
        LOSS,
        (
            Param("output", 4),
            Param("label", 1, dtype="uint32"),
            Param("prototypes", 1, "prototypes"),
            Param("loss", 1, INOUT),
            Param("scores", 5, INOUT),
            Param("g", 4, OUT),
        ),
        {"kind": "prototype", "function": "tt_prototypes_loss", "label": "class"},
    )


@pytest.mark.parametrize(("module", "op"), [(CLASSIFIER, "conv2d"), (_with_softmax(), "conv2d")])
def test_logits_are_what_the_softmax_loss_is_taken_of(module, op):
    logits = logits_of(module)
    (step,) = (step for step in steps_of(module, "predict")[0] if step.var.same_as(logits))
    assert step.kernel.op == op


def test_predict_is_not_changed():
    module = _with_softmax()
    after = AttachLoss(SoftmaxLoss().spec(4))(module)
    tvm.ir.assert_structural_equal(after["predict"], module["predict"], map_free_vars=True)
