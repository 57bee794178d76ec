# SPDX-License-Identifier: Apache-2.0
"""Both kinds of board, with a hand-written build: numbers, errors and what they leave behind."""

from dataclasses import replace

import numpy as np
import pytest

from tt_tflm.boards.simulated import open_board
from tt_tflm.boards.simulated.protocol import Command
from tt_tflm.devices import core_names
from tt_tflm.errors import DeviceError, InputError

CORES = [name for name in core_names() if name != "host"]
DEVICES = ["host", *(pytest.param(name, marks=pytest.mark.qemu) for name in CORES)]
ONE_OF_EACH = ["host", pytest.param("cortex-m4", marks=pytest.mark.qemu)]
CLASSES, PROTOTYPE_CLASSES = 5, 3
DIVERGE = 4e30


@pytest.fixture(params=DEVICES)
def softmax_board(request, softmax_files):
    with open_board(softmax_files, request.param) as board:
        yield board


@pytest.fixture(params=DEVICES)
def prototype_board(request, prototype_files):
    with open_board(prototype_files, request.param) as board:
        yield board


def dense(weights, x):
    return x.reshape(-1).astype(np.float64) @ weights["head/kernel"] + weights["head/bias"]


def softmax(logits):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def test_softmax_training(softmax_board, softmax_files, sample):
    board = softmax_board
    before = board.weights()
    rows = softmax_files.base_rows["head"]
    np.testing.assert_array_equal(before["head/kernel"], rows[:, :12].T)
    np.testing.assert_array_equal(before["head/bias"], rows[:, 12])
    logits = dense(before, sample)
    scores = board.predict(sample)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, logits, rtol=1e-5)

    loss = board.train_step(sample, 3)
    assert isinstance(loss, float)
    np.testing.assert_allclose(loss, -np.log(softmax(logits)[3]), rtol=1e-5)
    gradient = softmax(logits) - np.eye(CLASSES)[3]
    after = board.weights()
    trained = softmax_files.description["rows"][0]["channels"]
    frozen = sorted(set(range(CLASSES)) - set(trained))
    expected = before["head/kernel"] - 0.1 * np.outer(sample.reshape(-1), gradient)
    np.testing.assert_allclose(after["head/kernel"][:, trained], expected[:, trained], rtol=1e-5)
    np.testing.assert_allclose(after["head/bias"][trained], (before["head/bias"] - 0.1 * gradient)[trained], rtol=1e-5)
    np.testing.assert_array_equal(after["head/kernel"][:, frozen], before["head/kernel"][:, frozen])
    np.testing.assert_array_equal(after["head/bias"][frozen], before["head/bias"][frozen])
    np.testing.assert_allclose(board.predict(sample), dense(after, sample), rtol=1e-5)

    board.reset()
    for name, array in board.weights().items():
        np.testing.assert_array_equal(array, before[name])


def test_learning_rate(softmax_board, sample):
    weights = softmax_board.weights()
    before, logits = weights["head/kernel"], dense(weights, sample)
    softmax_board.set_learning_rate(0.0)
    softmax_board.train_step(sample, 1)
    np.testing.assert_array_equal(softmax_board.weights()["head/kernel"], before)
    softmax_board.set_learning_rate(0.5)
    softmax_board.train_step(sample, 1)
    moved = softmax_board.weights()["head/kernel"]
    gradient = softmax(logits) - np.eye(CLASSES)[1]
    np.testing.assert_allclose(moved[:, 1], before[:, 1] - 0.5 * gradient[1] * sample.reshape(-1), rtol=1e-5)


def test_prototype_training(prototype_board, sample):
    board = prototype_board
    weights = board.weights()
    random = np.random.default_rng(5)
    samples = {label: [random.normal(size=sample.shape).astype(np.float32) for _ in range(2)] for label in (0, 2)}
    with pytest.raises(DeviceError, match=r"predict on .*: the class has no enrolled sample: call enroll"):
        board.predict(sample)
    for label, all_x in samples.items():
        for x in all_x:
            board.enroll(x, label)
    embedding = board.embedding(sample)
    assert embedding.shape == (5,)
    np.testing.assert_allclose(embedding, dense(weights, sample), rtol=1e-5)
    scores = board.predict(sample)
    assert scores[1] == np.finfo(np.float32).min
    for label, all_x in samples.items():
        prototype = np.mean([dense(weights, x) for x in all_x], axis=0)
        cosine = prototype @ embedding / np.linalg.norm(prototype) / np.linalg.norm(embedding)
        np.testing.assert_allclose(scores[label], 10 * cosine, rtol=1e-5)
    losses = [board.train_step(sample, 2) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    with pytest.raises(DeviceError, match=r"train_step on .*: the class has no enrolled sample"):
        board.train_step(sample, 1)
    board.reset()
    with pytest.raises(DeviceError, match="no enrolled sample"):
        board.predict(sample)


@pytest.mark.qemu
@pytest.mark.parametrize("device", CORES)
def test_cores_agree_with_the_host(device, prototype_files, sample):
    results = []
    for name in ("host", device):
        with open_board(prototype_files, name) as board:
            for label in range(PROTOTYPE_CLASSES):
                board.enroll(np.roll(sample, label), label)
            losses = [board.train_step(sample, 1) for _ in range(10)]
            results.append([np.array(losses), board.predict(sample), board.weights()["head/kernel"]])
    for host, core in zip(*results, strict=True):
        np.testing.assert_allclose(core, host, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", ONE_OF_EACH)
def test_x_is_checked(device, softmax_files, sample):
    with open_board(softmax_files, device) as board:
        for call in (board.predict, lambda x: board.train_step(x, 0)):
            for shape in [(1, 2, 3, 2), (12,), (3, 2, 2), ()]:
                with pytest.raises(InputError, match=r"expected x of shape \(2, 3, 2\), received \("):
                    call(np.zeros(shape, np.float32))
            for kind in (np.float64, np.uint8, np.int32, ">f4"):
                with pytest.raises(InputError, match="expected x of dtype float32, received"):
                    call(sample.astype(kind))
            for bad in (np.nan, np.inf, -np.inf):
                x = sample.copy()
                x[1, 2, 0] = bad
                message = r"expected finite values in x, received -?(nan|inf) at \(1, 2, 0\)"
                with pytest.raises(InputError, match=message):
                    call(x)


@pytest.mark.parametrize("device", ONE_OF_EACH)
def test_any_layout_in_memory_will_do(device, softmax_files, sample):
    with open_board(softmax_files, device) as board:
        expected = board.predict(sample)
        np.testing.assert_array_equal(board.predict(np.asfortranarray(sample)), expected)
        np.testing.assert_array_equal(board.predict(np.repeat(sample, 2, axis=0)[::2]), expected)


@pytest.mark.parametrize("device", ONE_OF_EACH)
def test_labels_are_checked(device, softmax_files, sample):
    with open_board(softmax_files, device) as board:
        for label in (-1, 5, 1.0, "1", None, True, np.float32(1), 2**40):
            with pytest.raises(InputError, match=r"expected a label in 0\.\.4, received"):
                board.train_step(sample, label)
        board.train_step(sample, np.int64(4))


@pytest.mark.parametrize("device", ONE_OF_EACH)
def test_learning_rates_are_checked(device, softmax_files):
    with open_board(softmax_files, device) as board:
        for rate in (-0.1, float("nan"), float("inf"), 1e39, "fast", None):
            with pytest.raises(InputError, match="expected a learning rate that is finite and not below 0"):
                board.set_learning_rate(rate)


@pytest.mark.parametrize("device", ONE_OF_EACH)
def test_prototype_calls_need_prototypes(device, softmax_files, sample):
    with open_board(softmax_files, device) as board:
        with pytest.raises(InputError, match=r"expected a build with prototype loss for enroll, .* softmax loss"):
            board.enroll(sample, 0)
        with pytest.raises(InputError, match="expected a build with prototype loss for embedding"):
            board.embedding(sample)


@pytest.mark.parametrize("device", ONE_OF_EACH)
def test_device_status_becomes_an_error_and_the_board_lives_on(device, softmax_files, sample):
    with open_board(softmax_files, device) as board:
        poisoned = sample.copy()
        poisoned[0, 0, 0] = DIVERGE
        with pytest.raises(DeviceError, match=f"train_step on {device}: a value is NaN or infinite: .*learning rate"):
            board.train_step(poisoned, 0)
        with pytest.raises(DeviceError, match="the label is out of range"):
            board._call(Command.TRAIN_STEP, 77, sample)
        assert np.isfinite(board.predict(sample)).all()


@pytest.mark.parametrize("device", ONE_OF_EACH)
def test_a_closed_board_says_so(device, softmax_files, sample):
    board = open_board(softmax_files, device)
    board.close()
    board.close()
    for call in (lambda: board.predict(sample), board.reset, board.weights):
        with pytest.raises(DeviceError, match="expected an open board, received one that is closed"):
            call()


@pytest.mark.parametrize("device", ONE_OF_EACH)
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("classes", 7, "expected classes 7, received 5"),
        ("input_shape", [4, 4, 1], "expected input_elements 16, received 12"),
        ("arena_bytes", 4096, "expected arena_bytes 4096, received 64"),
        ("regions_bytes", 16, "expected regions_bytes 16, received 112"),
        ("prototypes", {"sums_offset": 0, "counts_offset": 0}, "expected embedding_elements 5, received 0"),
        ("label", "vector", "expected label_elements 1, received 0"),
    ],
)
def test_a_description_of_another_build_is_refused(device, name, value, message, softmax_files):
    changed = {**softmax_files.description, name: value}
    if name == "prototypes":
        changed["embedding_elements"] = 5
    with pytest.raises(InputError, match=f"simulation.json does not belong to the build's sources: {message}"):
        open_board(replace(softmax_files, description=changed), device)


def test_unknown_device(softmax_files):
    with pytest.raises(InputError, match=r"expected a target of host, .* received 'cortex-m99'"):
        open_board(softmax_files, "cortex-m99")
