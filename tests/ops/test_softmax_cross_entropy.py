# SPDX-License-Identifier: Apache-2.0
import ctypes

import numpy as np
import pytest
import tensorflow as tf

from tt_tflm.boards.simulated.protocol import Status


def oracle(logits: np.ndarray, label: int) -> tuple[float, np.ndarray]:
    with tf.GradientTape() as tape:
        values = tf.Variable(logits.astype(np.float64))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=values)
    return float(loss), tape.gradient(loss, values).numpy()


@pytest.mark.parametrize("classes", [1, 2, 5, 10, 1000])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
def test_loss_and_gradient_agree_with_tensorflow(runtime, classes, scale):
    random = np.random.default_rng(classes)
    for label in {0, classes // 2, classes - 1}:
        logits = (scale * random.uniform(-1, 1, classes)).astype(np.float32)
        gradient = np.full(classes, np.nan, np.float32)
        status, loss = runtime.softmax_cross_entropy(logits, label, gradient=gradient)
        expected_loss, expected_gradient = oracle(logits, label)
        assert status == Status.OK
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-5, atol=1e-30)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-5 * np.abs(expected_gradient).max())


@pytest.mark.parametrize(
    ("logits", "label", "expected_loss", "expected_gradient"),
    [
        ([1e4, -1e4, 0.0], 0, 0.0, [0, 0, 0]),
        ([1e4, -1e4, 0.0], 1, 2e4, [1, -1, 0]),
        ([-1e4, -1e4], 0, np.log(2), [-0.5, 0.5]),
        ([1e4, 1e4, 1e4, 1e4], 3, np.log(4), [0.25, 0.25, 0.25, -0.75]),
        ([3e38, 2.9e38], 0, 0.0, [0, 0]),
    ],
)
def test_large_logits_stay_finite(runtime, logits, label, expected_loss, expected_gradient):
    logits = np.array(logits, np.float32)
    gradient = np.empty_like(logits)
    status, loss = runtime.softmax_cross_entropy(logits, label, gradient=gradient)
    assert status == Status.OK
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-6)


def test_nearly_certain_class_keeps_its_digits(runtime):
    logits = np.array([20.0, 0.0, 1.0], np.float32)
    gradient = np.empty_like(logits)
    _, loss = runtime.softmax_cross_entropy(logits, 0, gradient=gradient)
    others = np.exp(-20.0) + np.exp(-19.0)
    np.testing.assert_allclose(loss, np.log1p(others), rtol=1e-5)
    np.testing.assert_allclose(gradient[0], -others / (1 + others), rtol=1e-5)


def test_gradient_may_replace_the_logits_or_be_left_out(runtime):
    logits = np.random.default_rng(0).normal(size=7).astype(np.float32)
    apart = np.empty_like(logits)
    _, loss = runtime.softmax_cross_entropy(logits, 4, gradient=apart)
    assert runtime.softmax_cross_entropy(logits, 4) == (Status.OK, loss)
    replaced = logits.copy()
    assert runtime.softmax_cross_entropy(replaced, 4, gradient=replaced) == (Status.OK, loss)
    np.testing.assert_array_equal(replaced, apart)


def test_lowest_float_excludes_a_class(runtime):
    lowest = np.finfo(np.float32).min
    logits = np.array([1.0, lowest, -2.0], np.float32)
    gradient = np.empty_like(logits)
    status, loss = runtime.softmax_cross_entropy(logits, 2, gradient=gradient)
    expected_loss, expected_gradient = oracle(logits[[0, 2]], 1)
    assert (status, gradient[1]) == (Status.OK, 0.0)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    np.testing.assert_allclose(gradient[[0, 2]], expected_gradient, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused_and_nothing_is_written(runtime, bad):
    logits = np.array([0.0, bad, 1.0], np.float32)
    gradient = np.full(3, 7.0, np.float32)
    status, loss = runtime.softmax_cross_entropy(logits, 0, gradient=gradient)
    assert status == Status.NOT_FINITE
    assert np.isnan(loss)
    assert (gradient == 7.0).all()


def test_loss_beyond_the_floats_is_refused(runtime):
    logits = np.array([-3e38, 3e38], np.float32)
    assert runtime.softmax_cross_entropy(logits, 0)[0] == Status.NOT_FINITE


def test_arguments_are_checked(runtime):
    logits = np.zeros(3, np.float32)
    call = runtime.library.tt_softmax_cross_entropy
    loss = ctypes.c_float()
    address = ctypes.c_void_p(logits.ctypes.data)
    assert call(None, 3, 0, None, ctypes.byref(loss)) == Status.NULL_POINTER
    assert call(address, 3, 0, None, None) == Status.NULL_POINTER
    assert call(address, 0, 0, None, ctypes.byref(loss)) == Status.INVALID_ARGUMENT
    assert call(address, 3, 3, None, ctypes.byref(loss)) == Status.LABEL_OUT_OF_RANGE
