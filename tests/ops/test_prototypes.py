# SPDX-License-Identifier: Apache-2.0
import ctypes

import numpy as np
import pytest
import tensorflow as tf

from tt_tflm.boards.simulated.protocol import Status

LOWEST = np.finfo(np.float32).min


class PrototypesStruct(ctypes.Structure):
    _fields_ = [
        ("sums", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("classes", ctypes.c_uint32),
        ("elements", ctypes.c_uint32),
        ("temperature", ctypes.c_float),
    ]


def address(array: np.ndarray | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


class Prototypes:
    """tt_prototypes_t and its functions, over arrays that numpy owns."""

    def __init__(self, runtime, classes: int, elements: int, temperature: float = 10.0) -> None:
        self.library = runtime.library
        self.sums = np.full((classes, elements), np.nan, np.float32)
        self.counts = np.full(classes, 99, np.uint32)
        self.struct = PrototypesStruct(address(self.sums), address(self.counts), classes, elements, temperature)
        self.reference = ctypes.byref(self.struct)
        self.reset()

    def reset(self) -> int:
        return self.library.tt_prototypes_reset(self.reference)

    def enroll(self, embedding: np.ndarray, label: int) -> int:
        return self.library.tt_prototypes_enroll(self.reference, address(embedding), ctypes.c_uint32(label))

    def scores(self, embedding: np.ndarray) -> tuple[int, np.ndarray]:
        scores = np.full(self.struct.classes, np.nan, np.float32)
        return self.library.tt_prototypes_scores(self.reference, address(embedding), address(scores)), scores

    def loss(self, embedding: np.ndarray, label: int) -> tuple[int, float, np.ndarray]:
        scratch = np.full(self.struct.classes, np.nan, np.float32)
        gradient = np.full(self.struct.elements, np.nan, np.float32)
        loss = ctypes.c_float(np.nan)
        status = self.library.tt_prototypes_loss(
            self.reference,
            address(embedding),
            ctypes.c_uint32(label),
            address(scratch),
            address(gradient),
            ctypes.byref(loss),
        )
        return status, loss.value, gradient


def oracle_scores(embedding, means, temperature):
    def clamped(values):
        return tf.maximum(tf.norm(values, axis=-1), 1e-6)

    return temperature * tf.linalg.matvec(means, embedding) / (clamped(embedding) * clamped(means))


def oracle(embedding, means, label, temperature):
    with tf.GradientTape() as tape:
        variable = tf.Variable(embedding.astype(np.float64))
        scores = oracle_scores(variable, means.astype(np.float64), temperature)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=scores)
    return scores.numpy(), float(loss), tape.gradient(loss, variable).numpy()


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("classes", "elements"), [(1, 1), (2, 3), (5, 160), (20, 33)])
@pytest.mark.parametrize("temperature", [0.5, 10.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_scores_loss_and_gradient_agree_with_tensorflow(runtime, classes, elements, temperature, size):
    random = np.random.default_rng(classes * elements)
    prototypes = Prototypes(runtime, classes, elements, temperature)
    samples = [[] for _ in range(classes)]
    for label in range(classes):
        for _ in range(label % 3 + 1):
            sample = (size * random.normal(size=elements)).astype(np.float32)
            assert prototypes.enroll(sample, label) == Status.OK
            samples[label].append(sample)
    means = np.stack([np.mean(np.asarray(rows, np.float64), axis=0) for rows in samples])
    for label in {0, classes - 1}:
        embedding = (size * random.normal(size=elements)).astype(np.float32)
        expected_scores, expected_loss, expected_gradient = oracle(embedding, means, label, temperature)
        status, scores = prototypes.scores(embedding)
        assert status == Status.OK
        np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-5 * temperature)
        status, loss, gradient = prototypes.loss(embedding, label)
        assert status == Status.OK
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-5, atol=1e-6 * temperature)
        # The gradient is a projection: what is left of it is measured against what went in.
        size_of_terms = temperature / np.linalg.norm(embedding)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-6 * size_of_terms)


@pytest.mark.parametrize("small", ["embedding", "prototype"])
def test_clamped_norms_agree_with_tensorflow(runtime, small):
    random = np.random.default_rng(3)
    prototypes = Prototypes(runtime, 2, 8)
    means = random.normal(size=(2, 8)).astype(np.float32)
    embedding = random.normal(size=8).astype(np.float32)
    if small == "embedding":
        embedding *= np.float32(1e-8)
    else:
        means[1] *= np.float32(1e-8)
    for label, mean in enumerate(means):
        prototypes.enroll(mean, label)
    expected_scores, expected_loss, expected_gradient = oracle(embedding, means, 1, 10.0)
    _, scores = prototypes.scores(embedding)
    assert_close(scores, expected_scores)
    _, loss, gradient = prototypes.loss(embedding, 1)
    assert_close(loss, expected_loss)
    assert_close(gradient, expected_gradient)


def test_zero_embedding_is_no_special_case(runtime):
    prototypes = Prototypes(runtime, 2, 3)
    prototypes.enroll(np.array([1, 0, 0], np.float32), 0)
    prototypes.enroll(np.zeros(3, np.float32), 1)
    status, loss, gradient = prototypes.loss(np.zeros(3, np.float32), 0)
    assert status == Status.OK
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
    assert np.isfinite(gradient).all()


def test_classes_without_samples_take_no_part(runtime):
    random = np.random.default_rng(4)
    prototypes = Prototypes(runtime, 4, 6)
    means = random.normal(size=(2, 6)).astype(np.float32)
    prototypes.enroll(means[0], 1)
    prototypes.enroll(means[1], 3)
    embedding = random.normal(size=6).astype(np.float32)
    expected_scores, expected_loss, expected_gradient = oracle(embedding, means, 1, 10.0)
    status, scores = prototypes.scores(embedding)
    assert status == Status.OK
    assert (scores[[0, 2]] == LOWEST).all()
    assert_close(scores[[1, 3]], expected_scores)
    status, loss, gradient = prototypes.loss(embedding, 3)
    assert status == Status.OK
    assert_close(loss, expected_loss)
    assert_close(gradient, expected_gradient)
    assert prototypes.loss(embedding, 0)[0] == Status.NOT_ENROLLED


def test_nothing_enrolled_and_reset(runtime):
    prototypes = Prototypes(runtime, 3, 2)
    embedding = np.ones(2, np.float32)
    assert prototypes.scores(embedding)[0] == Status.NOT_ENROLLED
    assert prototypes.enroll(embedding, 2) == Status.OK
    assert prototypes.counts.tolist() == [0, 0, 1]
    assert prototypes.scores(embedding)[0] == Status.OK
    assert prototypes.reset() == Status.OK
    assert not prototypes.sums.any()
    assert not prototypes.counts.any()
    assert prototypes.scores(embedding)[0] == Status.NOT_ENROLLED


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(runtime, bad):
    prototypes = Prototypes(runtime, 2, 3)
    good, poisoned = np.ones(3, np.float32), np.array([1, bad, 1], np.float32)
    prototypes.enroll(good, 0)
    before = prototypes.sums.copy()
    assert prototypes.enroll(poisoned, 0) == Status.NOT_FINITE
    np.testing.assert_array_equal(prototypes.sums, before)
    assert prototypes.counts.tolist() == [1, 0]
    assert prototypes.scores(poisoned)[0] == Status.NOT_FINITE
    assert prototypes.loss(poisoned, 0)[0] == Status.NOT_FINITE


def test_overflow_is_noticed(runtime):
    prototypes = Prototypes(runtime, 1, 2)
    huge, large = np.full(2, 3e38, np.float32), np.full(2, 1e19, np.float32)
    assert prototypes.enroll(huge, 0) == Status.NOT_FINITE  # there is no comparing anything with it
    assert prototypes.enroll(large, 0) == Status.OK
    assert prototypes.enroll(large, 0) == Status.NOT_FINITE
    assert prototypes.counts[0] == 1
    assert prototypes.scores(np.ones(2, np.float32))[0] == Status.OK
    prototypes.reset()
    prototypes.enroll(np.ones(2, np.float32), 0)
    assert prototypes.scores(huge)[0] == Status.NOT_FINITE


def test_arguments_are_checked(runtime):
    embedding = np.ones(2, np.float32)
    prototypes = Prototypes(runtime, 3, 2)
    assert prototypes.enroll(embedding, 3) == Status.LABEL_OUT_OF_RANGE
    assert prototypes.enroll(None, 0) == Status.NULL_POINTER
    assert prototypes.loss(embedding, 3)[0] == Status.LABEL_OUT_OF_RANGE
    assert prototypes.library.tt_prototypes_scores(None, address(embedding), address(embedding)) == Status.NULL_POINTER
    for name, value, status in [
        ("sums", None, Status.NULL_POINTER),
        ("counts", None, Status.NULL_POINTER),
        ("classes", 0, Status.INVALID_ARGUMENT),
        ("elements", 0, Status.INVALID_ARGUMENT),
        ("temperature", 0.0, Status.INVALID_ARGUMENT),
        ("temperature", float("nan"), Status.INVALID_ARGUMENT),
        ("temperature", float("inf"), Status.INVALID_ARGUMENT),
    ]:
        broken = Prototypes(runtime, 3, 2)
        setattr(broken.struct, name, value)
        assert broken.reset() == status
        assert broken.enroll(embedding, 0) == status
        assert broken.scores(embedding)[0] == status
        assert broken.loss(embedding, 0)[0] == status
