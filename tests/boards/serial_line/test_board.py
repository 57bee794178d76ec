# SPDX-License-Identifier: Apache-2.0
"""Boards at a serial line: against the same build simulated, over lines that damage, through a reboot, in QEMU."""

from __future__ import annotations

import os
import pty
import threading

import numpy as np
import pytest
from oracle.fixed_nets import CLASSES, INPUT_SHAPE

import tt_tflm
from tt_tflm.state.personalisation import Personalisation

from .noisy_line import noisy_line

ITERATIONS = 4
MOST_STACK = 4096
RELATIVE = 1e-5  # pixels are scaled in single precision on the board, in double precision here


def scaled(images: np.ndarray) -> np.ndarray:
    return (images.astype(np.float64) / 127.5 - 1).astype(np.float32)


def enroll(board, images: np.ndarray, labels: np.ndarray) -> None:
    for image, label in zip(images, labels, strict=True):
        board.enroll(image, int(label))


@pytest.fixture(scope="module")
def console(builds, tmp_path_factory):
    with builds("dynamic").console("host", tmp_path_factory.mktemp("board"), capacity=9) as process:
        yield process


@pytest.fixture
def board(console):
    with tt_tflm.Board(console.port, timeout_s=2.0) as board:
        board.reset()
        yield board


@pytest.mark.parametrize("gradient", ["exact", "constant"])
def test_it_learns_as_the_simulated_board_does(gradient, board, builds, support):
    images, labels = support
    seen = []
    with builds("dynamic").simulate() as peer:
        expected = peer.adapt(scaled(images), labels, ITERATIONS, gradient=gradient, seed=5)
        scores = np.array([peer.predict(x) for x in scaled(images)])
        state = peer.save()
    enroll(board, images, labels)
    assert board.status().samples == len(labels)
    done = board.adapt(ITERATIONS, gradient=gradient, seed=5, progress=lambda *shown: seen.append(shown))
    np.testing.assert_allclose(done.losses, expected.losses, rtol=RELATIVE)
    np.testing.assert_allclose([board.predict(image) for image in images], scores, rtol=10 * RELATIVE)
    # Floats are taken for a prediction too.
    np.testing.assert_allclose(board.predict(scaled(images)[0]), scores[0], rtol=10 * RELATIVE)
    assert seen[: len(labels)] == [("inspecting", i + 1, len(labels)) for i in range(len(labels))]
    assert seen[len(labels) :] == [("adapting", i + 1, ITERATIONS) for i in range(ITERATIONS)]
    saved = board.save()
    assert saved == board.dump() and len(saved) == len(state)
    ours, theirs = Personalisation.from_bytes(saved), Personalisation.from_bytes(state)
    assert [layer.channels for layer in ours.layers] == [layer.channels for layer in theirs.layers]


@pytest.mark.parametrize("name", ["softmax_sgd_1", "prototype_sgd_1"])
def test_builds_that_train_step_by_step(name, builds, support, tmp_path):
    images, labels = support
    with builds(name).console("host", tmp_path, pixels=False) as process, tt_tflm.Board(process.port) as board:
        about = board.status()
        assert (about.adaptable, about.pixels, about.mode) == (False, False, "static")
        enroll(board, images[:2], labels[:2])
        enroll(board, scaled(images)[2:], labels[2:])
        losses = board.adapt(20, seed=1).losses
        assert losses[-1] < losses[0] and len(losses) == 20
        with builds(name).simulate() as peer:
            peer.load(board.save())
            for x in scaled(images):
                np.testing.assert_allclose(board.predict(x), peer.predict(x), rtol=RELATIVE)
            assert board.train_step(images[0], 0) == pytest.approx(peer.train_step(scaled(images)[0], 0), rel=RELATIVE)
        with pytest.raises(tt_tflm.InputError, match="with a build that adapts by itself"):
            board.adapt(1, flip=True)


def test_an_interrupted_adaptation_is_cancelled(board, support):
    images, labels = support
    enroll(board, images, labels)

    def interrupt(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("adapting", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        board.adapt(256, progress=interrupt)
    # It is idle, holds what it has learned so far, and goes on.
    before = board.predict(images[0])
    board.save()
    board.load()
    np.testing.assert_array_equal(board.predict(images[0]), before)
    assert len(board.adapt(2).losses) == 2
    board.cancel()


def test_what_was_saved_outlives_the_board(builds, support, tmp_path):
    images, labels = support
    with builds("dynamic").console("host", tmp_path) as process, tt_tflm.Board(process.port) as board:
        with pytest.raises(tt_tflm.DeviceError, match="no complete state"):
            board.load()
        enroll(board, images, labels)
        board.adapt(2)
        board.save()
        scores = board.predict(images[0])
        board.forget_prototypes()
        assert board.status().samples == 0
        with pytest.raises(tt_tflm.DeviceError, match="no enrolled sample"):
            board.predict(images[0])
        board.load()
        np.testing.assert_array_equal(board.predict(images[0]), scores)
    with builds("dynamic").console("host", tmp_path) as process, tt_tflm.Board(process.port) as board:
        np.testing.assert_array_equal(board.predict(images[0]), scores)
        board.reset()
        with pytest.raises(tt_tflm.DeviceError, match="no enrolled sample"):
            board.predict(images[0])


def test_a_line_that_damages_changes_nothing(console, support):
    images, labels = support
    results = []
    for share in (0.0, 0.005):
        with noisy_line(console.port, share, seed=7) as (port, counts):
            with tt_tflm.Board(port, timeout_s=0.2, adapt_timeout_s=0.5, retries=30) as board:
                board.reset()
                enroll(board, images, labels)
                assert board.status().samples == len(labels)
                results.append((board.adapt(3).losses, board.predict(images[0]).tolist(), board.save()))
        if share:
            assert counts["damaged"] > 20, counts
    (losses, scores, state), (noisy_losses, noisy_scores, noisy_state) = results
    assert noisy_losses == losses and noisy_scores == scores
    first, second = Personalisation.from_bytes(state), Personalisation.from_bytes(noisy_state)
    assert (second.sequence, second.steps) == (first.sequence + 1, first.steps)


def test_refusals_come_in_one_line_and_the_board_goes_on(board, support):
    images, labels = support
    x = images[0]
    wrong = {
        "expected x of shape": lambda: board.predict(x[None]),
        "dtype uint8 or float32, received float64": lambda: board.predict(x / 2),
        "finite values in x": lambda: board.predict(np.full(INPUT_SHAPE, np.nan, np.float32)),
        r"a label in 0\.\.2, received 3": lambda: board.enroll(x, CLASSES),
        r"a label in 0\.\.2, received True": lambda: board.train_step(x, True),
        "as the board keeps pixels": lambda: board.enroll(scaled(x), 0),
        "iterations from 0 to 256, received 257": lambda: board.adapt(257),
        "seed from 0": lambda: board.adapt(1, seed=-1),
        "one of exact, constant": lambda: board.adapt(1, gradient="some"),
    }
    for message, call in wrong.items():
        with pytest.raises(tt_tflm.InputError, match=message) as refused:
            call()
        assert "\n" not in str(refused.value)
    with pytest.raises(tt_tflm.DeviceError, match=r"adapt on .*: no complete sample has been given: call enroll"):
        board.adapt(1)
    with pytest.raises(tt_tflm.DeviceError, match=r"predict on .*no enrolled sample"):
        board.predict(x)
    enroll(board, images, labels)
    with pytest.raises(tt_tflm.DeviceError, match="no room for more samples"):
        board.enroll(x, 0)
    assert board.predict(x).shape == (CLASSES,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baudrate": 0}, "baud rate above 0, received 0"),
        ({"baudrate": 2**40}, "baud rate of at most 2147483647, received 1099511627776"),
        ({"timeout_s": 0}, "timeout_s above 0 and at most 1e[+]09, received 0"),
        ({"adapt_timeout_s": float("inf")}, "adapt_timeout_s above 0"),
        ({"limit_s": 10**400}, "limit_s above 0 and at most"),
        ({"adapt_limit_s": float("nan")}, "adapt_limit_s above 0"),
        ({"retries": -1}, "retries of at least 0, received -1"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(tt_tflm.InputError, match=message):
        tt_tflm.Board("/dev/null", **options)


def test_ports_that_lead_nowhere(tmp_path):
    with pytest.raises(tt_tflm.InputError, match="name of a serial port such as"):
        tt_tflm.Board(3)
    with pytest.raises(tt_tflm.DeviceError, match=r"expected a serial port that can be opened, received .*nowhere"):
        tt_tflm.Board(str(tmp_path / "nowhere"))
    ours, theirs = pty.openpty()
    try:
        with pytest.raises(tt_tflm.DeviceError, match=r"no answer after 2 attempts, silence for 0.05 s") as silent:
            tt_tflm.Board(os.ttyname(theirs), timeout_s=0.05, retries=1)
        assert "\n" not in str(silent.value)
    finally:
        os.close(ours)
        os.close(theirs)


def test_other_protocols_are_refused():
    ours, theirs = pty.openpty()

    def answer() -> None:
        from zlib import crc32

        received = b""
        while b"status" not in received or not received.endswith(b"\n"):
            received += os.read(ours, 256)
        number = received.strip().split(b" ")[0]
        line = b"!ok " + number + b" protocol=2 chunk=10"
        os.write(ours, line + b"*%08x\r\n" % crc32(line))

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with pytest.raises(tt_tflm.DeviceError, match="console of protocol 1, received 2"):
            tt_tflm.Board(os.ttyname(theirs), timeout_s=5.0, retries=0)
    finally:
        thread.join()
        os.close(ours)
        os.close(theirs)


def test_closed_boards_say_so(console):
    board = tt_tflm.Board(console.port)
    board.close()
    board.close()
    with pytest.raises(tt_tflm.DeviceError, match="open board, received one that is closed"):
        board.status()


def test_consoles_without_place_or_device(builds, tmp_path):
    with pytest.raises(tt_tflm.InputError, match="a folder for what the board saves"):
        builds("dynamic").console("host", tmp_path / "nowhere")
    with pytest.raises(tt_tflm.InputError, match="capacity from 1 to 4096"):
        builds("dynamic").console("host", tmp_path, capacity=0)


@pytest.mark.qemu
@pytest.mark.parametrize("device", ["cortex-m4", "cortex-m7"])
def test_emulated_boards_learn_save_reboot_and_remember(device, builds, support, tmp_path):
    images, labels = support
    build = builds("dynamic")
    with build.simulate() as peer:
        expected = peer.adapt(scaled(images), labels, ITERATIONS)
        scores = np.array([peer.predict(x) for x in scaled(images)])
    with build.console(device, tmp_path) as process, tt_tflm.Board(process.port) as board:
        enroll(board, images, labels)
        np.testing.assert_allclose(board.adapt(ITERATIONS).losses, expected.losses, rtol=10 * RELATIVE)
        before = np.array([board.predict(image) for image in images])
        np.testing.assert_allclose(before, scores, rtol=100 * RELATIVE)
        state = board.save()
        assert 256 < process.stack_bytes() <= MOST_STACK
    with build.console(device, tmp_path) as process, tt_tflm.Board(process.port) as board:
        assert board.dump() == state
        np.testing.assert_array_equal([board.predict(image) for image in images], before)
