# SPDX-License-Identifier: Apache-2.0
import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tt_tflm.boards.simulated.protocol import Status

OPS = Path(__file__).parents[2] / "ops"
SOURCES = [OPS / "src" / f"tt_{name}.c" for name in ("episode", "prototypes", "softmax_cross_entropy", "all_finite")]
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
SANITISERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

# Arrays of exactly the documented size, for the sanitisers to watch. Every other class has no support.
CHECKS = r"""
#include <stdio.h>
#include <stdlib.h>
#include "tt_episode.h"

static int check(uint32_t classes, uint32_t shots, uint32_t elements, float scale)
{
    const uint32_t support = (classes + 1u) / 2u * shots;
    const uint32_t samples = 2u * support;
    float *embeddings = malloc((size_t)samples * elements * sizeof(float));
    uint32_t *labels = malloc(samples * sizeof(uint32_t));
    void *scratch = malloc(tt_episode_scratch_floats(classes, elements) * sizeof(float));
    float *loss = malloc(sizeof(float));
    for (uint32_t i = 0; i < samples * elements; ++i) {
        embeddings[i] = scale * ((float)(i * 2654435761u >> 8) / 8388608.0f - 1.0f);
    }
    for (uint32_t i = 0; i < samples; ++i) {
        labels[i] = i % support / shots * 2u;
    }
    int wrong = tt_episode_gradient(embeddings, labels, support, samples - support, classes, elements, 10.0f, scratch,
                                    loss) != TT_OK;
    wrong += !(*loss >= 0.0f);
    labels[samples - 1u] = classes;
    wrong += tt_episode_gradient(embeddings, labels, support, samples - support, classes, elements, 10.0f, scratch,
                                 loss) != TT_ERROR_LABEL_OUT_OF_RANGE;
    labels[samples - 1u] = 1u;
    wrong += classes > 1u && tt_episode_gradient(embeddings, labels, support, samples - support, classes, elements,
                                                 10.0f, scratch, loss) != TT_ERROR_NOT_ENROLLED;
    free(embeddings);
    free(labels);
    free(scratch);
    free(loss);
    return wrong;
}

int main(void)
{
    int wrong = 0;
    for (uint32_t classes = 1; classes < 7u; ++classes) {
        for (uint32_t shots = 1; shots < 4u; ++shots) {
            wrong += check(classes, shots, 1u, 1.0f) + check(classes, shots, 9u, 1.0f);
            wrong += check(classes, shots, 9u, 0.0f);
        }
    }
    fprintf(stderr, "%d wrong\n", wrong);
    return wrong;
}
"""


@dataclass
class Episode:
    """Embeddings (samples, elements) of float32, the support first, and their labels."""

    embeddings: np.ndarray
    labels: np.ndarray
    n_support: int
    classes: int
    temperature: float = 10.0

    @property
    def n_query(self) -> int:
        return len(self.labels) - self.n_support


def random_episode(seed: int, classes: int, shots: int, queries: int, elements: int, size: float = 1.0) -> Episode:
    """Classes around centres of their own, their samples in mixed order."""
    random = np.random.default_rng(seed)
    labels = [random.permutation(np.repeat(np.arange(classes), count)) for count in (shots, queries)]
    labels = np.concatenate(labels).astype(np.uint32)
    centres = random.normal(size=(classes, elements))
    embeddings = size * (centres[labels] + random.normal(size=(len(labels), elements)))
    return Episode(embeddings.astype(np.float32), labels, classes * shots, classes)


def address(array: np.ndarray | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def scratch_of(runtime, classes: int, elements: int) -> np.ndarray:
    size = runtime.library.tt_episode_scratch_floats
    size.restype = ctypes.c_size_t
    return np.full(size(ctypes.c_uint32(classes), ctypes.c_uint32(elements)), np.nan, np.float32)


def call(runtime, episode: Episode) -> tuple[int, float, np.ndarray]:
    gradients = episode.embeddings.copy()
    elements = gradients.shape[1]
    scratch, loss = scratch_of(runtime, episode.classes, elements), ctypes.c_float(np.nan)
    status = runtime.library.tt_episode_gradient(
        address(gradients),
        address(episode.labels),
        *map(ctypes.c_uint32, (episode.n_support, episode.n_query, episode.classes, elements)),
        ctypes.c_float(episode.temperature),
        address(scratch),
        ctypes.byref(loss),
    )
    return status, loss.value, gradients


def oracle(episode: Episode) -> tuple[float, np.ndarray]:
    def clamped_norm(values):
        # The root of the clamped square: the gradient of a norm of 0 would be NaN.
        return tf.sqrt(tf.maximum(tf.reduce_sum(values * values, axis=-1), 1e-12))

    n = episode.n_support
    present, support_labels = np.unique(episode.labels[:n], return_inverse=True)
    query_labels = np.searchsorted(present, episode.labels[n:])
    with tf.GradientTape() as tape:
        embeddings = tf.Variable(episode.embeddings.astype(np.float64))
        means = tf.math.unsorted_segment_mean(embeddings[:n], support_labels, len(present))
        queries = embeddings[n:]
        norms = clamped_norm(queries)[:, None] * clamped_norm(means)[None]
        scores = episode.temperature * tf.matmul(queries, means, transpose_b=True) / norms
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=query_labels, logits=scores)
        loss = tf.reduce_mean(losses)
    return float(loss), tf.convert_to_tensor(tape.gradient(loss, embeddings)).numpy()


def assert_agrees(runtime, episode: Episode) -> np.ndarray:
    status, loss, gradients = call(runtime, episode)
    expected_loss, expected = oracle(episode)
    assert status == Status.OK
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-4, atol=1e-6 * episode.temperature)
    # The gradient is a projection: what is left of it is measured against what went in.
    norms = np.maximum(np.linalg.norm(episode.embeddings.astype(np.float64), axis=1), 1e-6)
    size_of_terms = episode.temperature / (norms * episode.n_query)
    error = np.abs(gradients - expected)
    assert (error <= 1e-4 * np.abs(expected) + 1e-6 * size_of_terms[:, None]).all(), error.max()
    return gradients


@pytest.mark.parametrize(
    ("classes", "shots", "queries", "elements"),
    [(1, 1, 1, 1), (1, 3, 2, 8), (2, 1, 1, 3), (5, 1, 1, 160), (5, 5, 5, 160), (5, 5, 15, 16), (20, 2, 3, 33)],
)
@pytest.mark.parametrize("temperature", [0.5, 10.0, 64.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_loss_and_gradients_agree_with_tensorflow(runtime, classes, shots, queries, elements, temperature, size):
    episode = random_episode(classes * elements + shots, classes, shots, queries, elements, size)
    episode.temperature = temperature
    assert_agrees(runtime, episode)


@pytest.mark.parametrize("seed", range(30))
def test_random_episodes_agree_with_tensorflow(runtime, seed):
    random = np.random.default_rng(seed)
    classes, n_support, n_query = random.integers(1, [9, 30, 30])
    labels = random.integers(classes, size=n_support).astype(np.uint32)
    labels = np.concatenate([labels, random.choice(labels, n_query)]).astype(np.uint32)
    embeddings = random.normal(size=(len(labels), random.integers(2, 40))).astype(np.float32)
    assert_agrees(runtime, Episode(embeddings, labels, int(n_support), int(classes), float(random.uniform(0.1, 20))))


def test_a_step_against_the_gradient_lowers_the_loss_by_what_it_says(runtime):
    episode = random_episode(3, classes=4, shots=3, queries=2, elements=12)
    _, loss, gradients = call(runtime, episode)
    step = 1e-2 / np.sum(gradients.astype(np.float64) ** 2)
    episode.embeddings -= (step * gradients).astype(np.float32)
    _, lower, _ = call(runtime, episode)
    np.testing.assert_allclose(loss - lower, 1e-2, rtol=0.1)


def test_one_class_leaves_nothing_to_learn(runtime):
    status, loss, gradients = call(runtime, random_episode(0, classes=1, shots=4, queries=3, elements=6))
    assert (status, loss) == (Status.OK, 0.0)
    assert not gradients.any()


def test_classes_without_support_take_no_part(runtime):
    few = random_episode(5, classes=3, shots=2, queries=2, elements=7)
    expected = call(runtime, few)
    spread = Episode(few.embeddings, np.array([1, 4, 6], np.uint32)[few.labels], few.n_support, classes=8)
    status, loss, gradients = call(runtime, spread)
    assert (status, loss) == expected[:2]
    np.testing.assert_array_equal(gradients, expected[2])


def test_classes_without_queries_are_pushed_away(runtime):
    episode = random_episode(6, classes=3, shots=2, queries=2, elements=7)
    kept = np.concatenate([np.full(episode.n_support, True), episode.labels[episode.n_support :] != 1])
    episode = Episode(episode.embeddings[kept], episode.labels[kept], episode.n_support, classes=3)
    gradients = assert_agrees(runtime, episode)
    assert gradients[: episode.n_support][episode.labels[: episode.n_support] == 1].any()


def test_support_of_one_class_shares_its_gradient(runtime):
    episode = random_episode(7, classes=3, shots=4, queries=2, elements=5)
    _, _, gradients = call(runtime, episode)
    for label in range(3):
        (samples,) = np.nonzero(episode.labels[: episode.n_support] == label)
        assert (gradients[samples] == gradients[samples[0]]).all()


def test_query_gradients_are_those_that_hold_prototypes_constant(runtime):
    episode = random_episode(8, classes=2, shots=1, queries=1, elements=4)
    together = call(runtime, episode)[2]
    for query in range(episode.n_support, len(episode.labels)):
        kept = [*range(episode.n_support), query]
        alone = Episode(episode.embeddings[kept], episode.labels[kept], episode.n_support, classes=2)
        np.testing.assert_allclose(together[query], call(runtime, alone)[2][-1] / episode.n_query, rtol=1e-6)


@pytest.mark.parametrize("which", ["query", "prototype", "sample", "all"])
@pytest.mark.parametrize("factor", [0.0, 1e-8])
def test_vanishing_embeddings_agree_with_tensorflow(runtime, which, factor):
    episode = random_episode(9, classes=3, shots=2, queries=2, elements=6)
    of_support = np.arange(len(episode.labels)) < episode.n_support
    small = {
        "query": ~of_support,
        "prototype": of_support & (episode.labels == 1),
        "sample": np.arange(len(episode.labels)) == 0,
        "all": np.full(len(episode.labels), True),
    }[which]
    episode.embeddings[small] *= np.float32(factor)
    status, loss, gradients = call(runtime, episode)
    expected_loss, expected = oracle(episode)
    assert status == Status.OK
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-4)
    np.testing.assert_allclose(gradients, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_support_that_cancels_out_is_a_clamped_prototype(runtime):
    embeddings = np.array([[1, 2], [-1, -2], [3, 1], [2, 2], [1, -1]], np.float32)
    assert_agrees(runtime, Episode(embeddings, np.array([0, 0, 1, 0, 1], np.uint32), 3, 2))


def test_nearly_certain_episode_keeps_its_digits(runtime):
    embeddings = np.array([[1, 0.1, 0], [0, 1, 0.2], [1, 0, 0.1], [0.1, 1, 0]], np.float32)
    episode = Episode(embeddings, np.array([0, 1, 0, 1], np.uint32), 2, 2, temperature=30.0)
    status, loss, gradients = call(runtime, episode)
    expected_loss, expected = oracle(episode)
    assert status == Status.OK
    assert expected_loss < 1e-9
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-4)
    np.testing.assert_allclose(gradients, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_same_numbers_every_time_and_nothing_beside_is_written(runtime):
    episode = random_episode(10, classes=5, shots=3, queries=2, elements=13)
    first, second = call(runtime, episode), call(runtime, episode)
    assert first[:2] == second[:2]
    np.testing.assert_array_equal(first[2], second[2])
    padded = np.vstack([episode.embeddings, np.full((1, 13), 7, np.float32)])
    guarded = Episode(padded, episode.labels, episode.n_support, episode.classes)
    _, _, gradients = call(runtime, guarded)
    np.testing.assert_array_equal(gradients[:-1], first[2])
    assert (gradients[-1] == 7).all()


def assert_refused(runtime, episode: Episode, expected: Status) -> None:
    status, loss, gradients = call(runtime, episode)
    assert status == expected
    assert np.isnan(loss)
    np.testing.assert_array_equal(gradients, episode.embeddings)


@pytest.mark.parametrize("sample", [0, 3, 4, 7])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_not_finite_are_refused_and_nothing_is_written(runtime, sample, bad):
    episode = random_episode(11, classes=2, shots=2, queries=2, elements=3)
    episode.embeddings[sample, 1] = bad
    assert_refused(runtime, episode, Status.NOT_FINITE)


@pytest.mark.parametrize("sample", [0, 7])
def test_overflow_is_noticed(runtime, sample):
    episode = random_episode(12, classes=2, shots=2, queries=2, elements=3)
    episode.embeddings[sample] = 3e38
    assert call(runtime, episode)[0] == Status.NOT_FINITE


@pytest.mark.parametrize("sample", [0, 3, 4, 7])
def test_labels_out_of_range_are_refused(runtime, sample):
    episode = random_episode(13, classes=2, shots=2, queries=2, elements=3)
    episode.labels[sample] = 2
    assert_refused(runtime, episode, Status.LABEL_OUT_OF_RANGE)


def test_query_whose_class_has_no_support_is_refused(runtime):
    episode = random_episode(14, classes=2, shots=2, queries=2, elements=3)
    episode.classes = 3
    episode.labels[-1] = 2
    assert_refused(runtime, episode, Status.NOT_ENROLLED)


def test_arguments_are_checked(runtime):
    function = runtime.library.tt_episode_gradient
    episode = random_episode(15, classes=2, shots=1, queries=1, elements=3)
    arrays = [episode.embeddings, episode.labels, scratch_of(runtime, 2, 3), np.zeros(1, np.float32)]
    good = {"n_support": 2, "n_query": 2, "classes": 2, "elements": 3, "temperature": 10.0}

    def status(pointers: list[np.ndarray | None], **changed: float) -> int:
        values = good | changed
        sizes = [ctypes.c_uint32(int(values[name])) for name in ("n_support", "n_query", "classes", "elements")]
        embeddings, labels, scratch, loss = map(address, pointers)
        return function(embeddings, labels, *sizes, ctypes.c_float(values["temperature"]), scratch, loss)

    for missing in range(len(arrays)):
        assert status([None if i == missing else array for i, array in enumerate(arrays)]) == Status.NULL_POINTER
    for name in ("n_support", "n_query", "classes", "elements"):
        assert status(arrays, **{name: 0}) == Status.INVALID_ARGUMENT
    for temperature in (0.0, -1.0, np.nan, np.inf):
        assert status(arrays, temperature=temperature) == Status.INVALID_ARGUMENT
    assert status(arrays) == Status.OK


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_clean_under_sanitisers(compiler, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"not installed: {compiler}")
    main, program = tmp_path / "checks.c", tmp_path / "checks"
    main.write_text(CHECKS)
    command = [compiler, *SANITISERS, *WARNINGS, f"-I{OPS / 'include'}", main, *SOURCES, "-lm", "-o", program]
    subprocess.run(command, check=True)
    subprocess.run([program], check=True, timeout=60)
