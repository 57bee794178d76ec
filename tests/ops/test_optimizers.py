# SPDX-License-Identifier: Apache-2.0
import ctypes

import keras
import numpy as np
import pytest

STEPS = 10


def address(array: np.ndarray) -> ctypes.Array:
    return np.ctypeslib.as_ctypes(array)


def gradients(count: int) -> np.ndarray:
    random = np.random.default_rng(count)
    # Sizes far apart, as in a real row: Adam divides by them.
    return (random.normal(size=(STEPS, count)) * 10.0 ** random.uniform(-4, 1, count)).astype(np.float32)


def keras_steps(optimizer, start: np.ndarray, all_gradients: np.ndarray) -> list[np.ndarray]:
    variable = keras.Variable(start)
    optimizer.build([variable])
    steps = []
    for gradient in all_gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        steps.append(keras.ops.convert_to_numpy(variable))
    return steps


def assert_steps_agree(start, expected_steps, step):
    row = start.copy()
    for number, expected in enumerate(expected_steps):
        step(row, number)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 7, 64, 961])
def test_sgd_agrees_with_keras(runtime, count):
    all_gradients, rate = gradients(count), 0.05
    start = np.random.default_rng(1).normal(size=count).astype(np.float32)
    expected = keras_steps(keras.optimizers.SGD(rate), start, all_gradients)

    def step(row, number):
        runtime.library.tt_sgd_update(address(row), address(all_gradients[number]), count, address(np.float32([rate])))

    assert_steps_agree(start, expected, step)


@pytest.mark.parametrize("count", [0, 1, 7, 64, 961])
def test_momentum_agrees_with_keras(runtime, count):
    all_gradients, rate, momentum = gradients(count), 0.05, 0.9
    start = np.random.default_rng(1).normal(size=count).astype(np.float32)
    expected = keras_steps(keras.optimizers.SGD(rate, momentum=momentum), start, all_gradients)
    velocity = np.zeros(count, np.float32)

    def step(row, number):
        runtime.library.tt_momentum_update(
            address(row),
            address(velocity),
            address(all_gradients[number]),
            count,
            address(np.float32([rate, momentum])),
        )

    assert_steps_agree(start, expected, step)


@pytest.mark.parametrize("count", [0, 1, 7, 64, 961])
@pytest.mark.parametrize("settings", [(0.01, 0.9, 0.999, 1e-7), (0.1, 0.5, 0.9, 1e-3)])
def test_adam_agrees_with_keras(runtime, count, settings):
    all_gradients = gradients(count)
    start = np.random.default_rng(1).normal(size=count).astype(np.float32)
    rate, beta_1, beta_2, epsilon = settings
    optimizer = keras.optimizers.Adam(rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
    expected = keras_steps(optimizer, start, all_gradients)
    first, second = np.zeros(count, np.float32), np.zeros(count, np.float32)
    hyper = np.float32([rate, beta_1, beta_2, epsilon, 1.0, 1.0])

    def step(row, number):
        runtime.library.tt_adam_next_step(address(hyper))
        runtime.library.tt_adam_update(
            address(row),
            address(first),
            address(second),
            address(all_gradients[number]),
            count,
            address(hyper),
        )

    assert_steps_agree(start, expected, step)


def test_a_gradient_that_is_not_finite_shows_in_the_row(runtime):
    row, gradient = np.ones(3, np.float32), np.array([0, np.nan, 0], np.float32)
    runtime.library.tt_sgd_update(address(row), address(gradient), 3, address(np.float32([0.1])))
    assert np.isnan(row[1])
    assert np.isfinite(row[[0, 2]]).all()
