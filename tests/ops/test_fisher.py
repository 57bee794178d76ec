# SPDX-License-Identifier: Apache-2.0
import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

OPS = Path(__file__).parents[2] / "ops"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
SANITISERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

# Arrays of exactly the documented size, for the sanitisers to watch.
CHECKS = r"""
#include <stdlib.h>
#include "tt_fisher.h"

int main(void)
{
    for (uint32_t channels = 1; channels < 14u; ++channels) {
        for (uint32_t positions = 1; positions < 6u; ++positions) {
            float *activation = calloc((size_t)positions * channels, sizeof(float));
            float *gradient = calloc((size_t)positions * channels, sizeof(float));
            float *potential = calloc(channels, sizeof(float));
            tt_fisher_add(activation, gradient, positions, channels, potential);
            tt_fisher_add(activation, activation, positions, channels, potential);
            free(activation);
            free(gradient);
            free(potential);
        }
    }
    tt_fisher_add(NULL, NULL, 0u, 0u, NULL);
    return 0;
}
"""


def accumulate(runtime, activation: np.ndarray, gradient: np.ndarray, potential: np.ndarray) -> None:
    channels = activation.shape[-1]
    runtime.library.tt_fisher_add(
        ctypes.c_void_p(activation.ctypes.data),
        ctypes.c_void_p(gradient.ctypes.data),
        ctypes.c_uint32(activation.size // channels),
        ctypes.c_uint32(channels),
        ctypes.c_void_p(potential.ctypes.data),
    )


def oracle(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    products = activation.astype(np.float64) * gradient
    return products.reshape(-1, products.shape[-1]).sum(axis=0) ** 2


def random_pair(seed: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    # Activations after a ReLU, as in a network: half of them 0.
    activation = np.maximum(random.normal(size=shape), 0).astype(np.float32)
    return activation, random.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 8, 48, 97])
@pytest.mark.parametrize("positions", [(1,), (1, 1), (3, 5), (16, 16)])
def test_potential_agrees_with_numpy(runtime, channels, positions):
    activation, gradient = random_pair(channels, *positions, channels)
    potential = np.zeros(channels, np.float32)
    accumulate(runtime, activation, gradient, potential)
    # A sum that cancels is as exact as its terms are.
    terms = np.abs(activation * gradient).reshape(-1, channels).sum(axis=0, dtype=np.float64)
    expected = oracle(activation, gradient)
    assert (np.abs(potential - expected) <= 1e-5 * expected + 1e-5 * terms * np.sqrt(expected)).all()


def test_samples_add_up(runtime):
    potential, expected = np.zeros(6, np.float32), np.zeros(6)
    for seed in range(5):
        activation, gradient = random_pair(seed, 4, 4, 6)
        accumulate(runtime, activation, gradient, potential)
        expected += oracle(activation, gradient)
    np.testing.assert_allclose(potential, expected, rtol=1e-4)


def test_halved_mean_is_the_potential_of_the_paper(runtime):
    random = np.random.default_rng(8)
    images = random.normal(size=(4, 6, 6, 3)).astype(np.float32)
    kernel = random.normal(size=(3, 3, 3, 10)).astype(np.float32)
    head = random.normal(size=(6 * 6 * 10,)).astype(np.float32)
    potential, expected = np.zeros(10, np.float32), np.zeros(10)
    for image in images:
        with tf.GradientTape() as tape:
            activation = tf.nn.relu(tf.nn.conv2d(image[None], kernel, 1, "SAME"))
            tape.watch(activation)
            loss = tf.math.softplus(tf.reduce_sum(tf.reshape(activation, -1) * head) / 10)
        gradient = tape.gradient(loss, activation)
        accumulate(runtime, activation.numpy()[0], gradient.numpy()[0], potential)
        expected += tf.reduce_sum(activation * gradient, axis=(0, 1, 2)).numpy().astype(np.float64) ** 2
    np.testing.assert_allclose(potential / (2 * len(images)), expected / (2 * len(images)), rtol=1e-3)


def test_a_channel_does_not_depend_on_its_neighbours(runtime):
    activation, gradient = random_pair(1, 9, 7)
    together = np.zeros(7, np.float32)
    accumulate(runtime, activation, gradient, together)
    for channel in range(7):
        alone = np.zeros(1, np.float32)
        accumulate(
            runtime,
            np.ascontiguousarray(activation[:, channel : channel + 1]),
            np.ascontiguousarray(gradient[:, channel : channel + 1]),
            alone,
        )
        assert alone[0] == together[channel]


def test_activation_that_is_its_own_gradient(runtime):
    activation, _ = random_pair(2, 5, 6)
    potential = np.zeros(6, np.float32)
    accumulate(runtime, activation, activation, potential)
    np.testing.assert_allclose(potential, oracle(activation, activation), rtol=1e-5)


def test_no_positions_add_nothing_and_nothing_is_written_beside(runtime):
    guarded = np.full(8, 7.0, np.float32)
    runtime.library.tt_fisher_add(None, None, 0, 6, ctypes.c_void_p(guarded[1:].ctypes.data))
    assert (guarded == 7.0).all()
    activation, gradient = random_pair(3, 4, 6)
    accumulate(runtime, activation, gradient, guarded[1:7])
    assert guarded[0] == guarded[7] == 7.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_values_beyond_the_floats_show_in_their_channel_alone(runtime, bad):
    activation, gradient = np.ones((2, 5, 6), np.float32)
    activation[3, 2] = bad
    potential = np.zeros(6, np.float32)
    accumulate(runtime, activation, gradient, potential)
    assert np.isfinite(potential).tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_clean_under_sanitisers(compiler, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"not installed: {compiler}")
    main, program = tmp_path / "checks.c", tmp_path / "checks"
    main.write_text(CHECKS)
    command = [compiler, *SANITISERS, *WARNINGS, f"-I{OPS / 'include'}", main, OPS / "src/tt_fisher.c", "-o", program]
    subprocess.run(command, check=True)
    subprocess.run([program], check=True, timeout=60)
