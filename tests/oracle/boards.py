# SPDX-License-Identifier: Apache-2.0
"""From an oracle's terms to the public interface under test, and the comparison of the two."""

import dataclasses

import keras
import numpy as np

import tt_tflm

from .reference import NOT_ENROLLED_SCORE, Loss, Optimizer, Plan

FORWARD_TOLERANCE = 1e-4
UPDATE_TOLERANCE = 1e-4
# Host and emulated Cortex-M run the same C; they differ by fused multiply-add and the C library's expf.
DEVICE_TOLERANCE = 1e-5
_ULP = float(np.finfo(np.float32).eps)


def convert(model: keras.Model, loss: Loss, optimizer: Optimizer, plan: Plan, target: str = "host"):
    """The build that the public interface makes of what the oracle was given."""
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.target = target
    converter.input_scaling = (1 / 127.5, -1.0)  # for models that rescale what they are given
    converter.loss = getattr(tt_tflm, type(loss).__name__)(**dataclasses.asdict(loss))
    converter.optimizer = getattr(tt_tflm, type(optimizer).__name__)(**dataclasses.asdict(optimizer))
    converter.plan = tt_tflm.UpdatePlan(layers=dict(plan))
    return converter.convert()


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over largest expected magnitude."""
    scale = float(np.max(np.abs(expected)))
    return float(np.max(np.abs(actual - expected))) / scale if scale else float(np.max(np.abs(actual)))


def check_forward(actual: np.ndarray, expected: np.ndarray, tolerance: float = FORWARD_TOLERANCE) -> None:
    """Compare scores or embeddings; the score of a class that is not enrolled must be that score exactly."""
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    enrolled = expected != NOT_ENROLLED_SCORE
    assert np.array_equal(actual != NOT_ENROLLED_SCORE, enrolled)
    assert relative_error(actual[enrolled], expected[enrolled]) <= tolerance


def check_same_tensors(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """The same keys, shapes and types; values as close as folding in another order of operations allows."""
    assert sorted(actual) == sorted(expected)
    for key, value in expected.items():
        assert actual[key].shape == value.shape, key
        assert actual[key].dtype == np.float32, key
        assert relative_error(actual[key], value) <= 1e-6, key


def check_untouched(before: dict[str, np.ndarray], after: dict[str, np.ndarray], chosen: dict[str, np.ndarray]) -> None:
    """Every entry that the plan does not name holds the same bits as before."""
    for key, value in before.items():
        frozen = ~chosen.get(key, np.zeros(value.shape, bool))
        assert np.array_equal(value[frozen].view(np.uint32), after[key][frozen].view(np.uint32)), key


def check_updates(
    actual: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
    noise: dict[str, float] | None = None,
    tolerance: float = UPDATE_TOLERANCE,
) -> None:
    """Compare changes of weights, tensor by tensor, relative to the largest change of the tensor.

    Allowed besides: a change is the difference of two float32 weights, so half a unit in the last place of each; and
    `noise`, what float32 costs TensorFlow itself in that tensor, which rules where a gradient is a sum that cancels.
    """
    for key, change in expected.items():
        largest = float(np.max(np.abs(change)))
        rounding = _ULP * max(float(np.max(np.abs(weights[key]))), largest)
        allowed = max(tolerance * largest, 8 * (noise or {}).get(key, 0.0)) + rounding
        difference = float(np.max(np.abs(actual[key] - change)))
        assert difference <= allowed, f"{key}: off by {difference:.3g}, allowed {allowed:.3g}, change {largest:.3g}"
