# SPDX-License-Identifier: Apache-2.0
"""Every custom op in TFLM's interpreter against TensorFlow and tf.GradientTape, on random shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from passes.kernels import test_conv2d, test_depthwise, test_elementwise, test_layout, test_pool, test_runtime
from passes.trials import Trial, check_close, same_in_every_run

from tt_tflm.tflite.op_params import Op
from tvm_passes.kernel import LOSS

from .one_op import NONE
from .trials_as_models import models_of

EXAMPLES = 12
MODULES = (test_conv2d, test_depthwise, test_elementwise, test_layout, test_pool, test_runtime)
# Losses and optimisers are one kernel each, and ops of their own.
CASES = {
    name: case
    for module in MODULES
    for name, case in module.CASES.items()
    if name != LOSS and name.upper() in Op.__members__
} | {
    "softmax_cross_entropy": test_runtime.softmax_cross_entropy_trials(),
    "prototype_loss": test_runtime.prototype_loss_trials(),
    **{kind: test_runtime.optimizer_trials(kind) for kind in ("sgd", "momentum", "adam")},
}
# test_state_ops.py, test_expression.py, test_losses.py
ELSEWHERE = {Op.START, Op.FINISH, Op.EXPRESSION, Op.LOSS}


def test_every_op_is_compared():
    assert {Op[name.upper()] for name in CASES} == set(Op) - ELSEWHERE


@pytest.mark.parametrize("name", CASES)
def test_op_agrees_with_tensorflow(name):
    @same_in_every_run(EXAMPLES)
    @given(CASES[name])
    def check(trial: Trial) -> None:
        assume(is_supported(trial))
        for number, (model, written) in enumerate(models_of(trial)):
            found = written(model.run())
            for key, expected in trial.expected.items():
                check_close(np.asarray(found[key]).ravel(), expected, f"{key} of {name}, model {number}")

    check()


@pytest.mark.parametrize("name", CASES)
def test_op_does_nothing_for_candidates_that_are_not_trained(name):
    @same_in_every_run(2)
    @given(CASES[name])
    def check(trial: Trial) -> None:
        assume(is_supported(trial))
        for model, _ in models_of(trial):
            if not _has_active(model.op):
                continue
            result = model.with_inputs({len(model.inputs) - 1: NONE}).run()
            for old, new in zip(model.inputs[:-1], result.inputs[:-1], strict=True):
                assert np.array_equal(old.view(np.int32), new.view(np.int32))

    check()


def is_supported(trial: Trial) -> bool:
    """Whether the op can be compared: depthwise convolutions of depth multiplier 1, and activations that are not
    saturated everywhere. There 1 - y is all rounding error of the saved float32 output, whoever computes with it."""
    kernel = trial.kernel
    if kernel.op in ("sigmoid_grad", "tanh_grad", "softmax_grad"):
        largest = [np.abs(np.asarray(v)).max() for v in (trial.expected["dx"], trial.arguments["g"])]
        return largest[0] >= 0.2 * largest[1]
    return not kernel.op.startswith("depthwise") or kernel["O"] == kernel["C"]


def _has_active(op: Op) -> bool:
    forward = {Op.CONV2D, Op.DEPTHWISE_CONV2D, Op.CLIP, Op.AFFINE}
    return op not in forward | {Op.SOFTMAX_CROSS_ENTROPY, Op.PROTOTYPE_LOSS}
