# SPDX-License-Identifier: Apache-2.0
"""One SGD step of a board against tf.GradientTape, on random nets of every kind of block and head."""

import os

import numpy as np
import pytest
from hypothesis import assume, event, given

from .boards import (
    DEVICE_TOLERANCE,
    check_forward,
    check_same_tensors,
    check_untouched,
    check_updates,
    convert,
    relative_error,
)
from .random_nets import FOCUSES, HEADS, Net, net_settings, nets
from .reference import SGD, PrototypeLoss, Reference

# For a long search of faults: TT_ORACLE_NETS=100 pytest tests/oracle/test_gradients.py
HOST_NETS_PER_FOCUS = int(os.environ.get("TT_ORACLE_NETS", "5"))
DEVICE_NETS = 3
MAX_LEARNING_RATE = 2.0**10


def usable_samples(net: Net) -> list[tuple[np.ndarray, int]]:
    samples = net.samples(2 * net.classes)
    assume(len(samples) == 2 * net.classes)
    return samples


def enroll_all_but_the_last_class(net: Net, samples: list[tuple[np.ndarray, int]], *boards) -> list[int]:
    """Enroll for a prototype loss, two samples in the first class; return the labels that may be trained."""
    if not isinstance(net.loss, PrototypeLoss):
        return list(range(net.classes))
    labels = list(range(max(2, net.classes - 1)))
    for (x, _), label in zip(samples[1:], [0, *labels], strict=False):
        for board in boards:
            board.enroll(x, label)
    return labels


def hardest(labels: list[int], scores: np.ndarray) -> int:
    """The least likely label: its gradient is not drowned by the rounding of a probability near one."""
    return min(labels, key=lambda label: scores[label])


def speaking_learning_rate(gradients: dict[str, np.ndarray]) -> float:
    """A power of two that moves weights by about one, so that subtracting weights does not round the update away."""
    largest = [float(np.max(np.abs(gradient))) for gradient in gradients.values()]
    speaking = [value for value in largest if value > 1e-6 * max(largest)]
    return float(np.clip(2.0 ** np.round(-np.log2(min(speaking, default=1.0))), 1.0, MAX_LEARNING_RATE))


def check_step_against_tensorflow(net: Net) -> None:
    samples = usable_samples(net)
    x = samples[0][0]
    single = Reference(net.model, net.loss, SGD(), net.plan)
    double = Reference(net.model, net.loss, SGD(), net.plan, "float64")
    labels = enroll_all_but_the_last_class(net, samples, single, double)
    label = hardest(labels, double.predict(x))
    loss, gradients = double.gradients(x, label)
    _, rounded = single.gradients(x, label)
    event(f"trained tensors with a gradient: {sum(bool(np.any(g)) for g in gradients.values())}")
    rate = speaking_learning_rate(gradients)

    with convert(net.model, net.loss, SGD(rate), net.plan).simulate(device="host") as board:
        before = board.weights()
        check_same_tensors(before, single.weights())
        enroll_all_but_the_last_class(net, samples, board)
        check_forward(board.predict(x), single.predict(x))
        assert board.train_step(x, label) == pytest.approx(loss, rel=1e-4, abs=1e-5)
        after = board.weights()

    check_untouched(before, after, single.chosen)
    check_updates(
        {key: after[key] - before[key] for key in gradients},
        {key: -rate * gradient for key, gradient in gradients.items()},
        before,
        {key: rate * float(np.max(np.abs(rounded[key] - gradients[key]))) for key in gradients},
    )


@pytest.mark.parametrize("focus", FOCUSES)
def test_update_equals_gradient_tape(focus: str) -> None:
    @net_settings(HOST_NETS_PER_FOCUS)
    @given(nets(focus))
    def check(net: Net) -> None:
        check_step_against_tensorflow(net)

    check()


@pytest.mark.parametrize("head", HEADS)
def test_update_equals_gradient_tape_for_head(head: str) -> None:
    @net_settings(HOST_NETS_PER_FOCUS)
    @given(nets(head=head))
    def check(net: Net) -> None:
        check_step_against_tensorflow(net)

    check()


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.parametrize("device", ["cortex-m7", "cortex-m4"])
def test_emulated_board_equals_host(device: str) -> None:
    @net_settings(DEVICE_NETS)
    @given(nets())
    def check(net: Net) -> None:
        samples = usable_samples(net)
        x = samples[0][0]
        results = []
        build = convert(net.model, net.loss, SGD(0.25), net.plan, target=device)
        for where in ("host", device):
            with build.simulate(device=where) as board:
                labels = enroll_all_but_the_last_class(net, samples, board)
                scores = board.predict(x)
                # Unlike the least likely label, a fixed one is the same on both boards.
                loss = board.train_step(x, labels[0])
                results.append((scores, loss, board.weights()))
                if where == device:
                    assert board.instructions["predict"] > 0
                    assert board.instructions["train_step"] > board.instructions["predict"]
        (scores, loss, weights), (device_scores, device_loss, device_weights) = results
        check_forward(device_scores, scores, DEVICE_TOLERANCE)
        assert device_loss == pytest.approx(loss, rel=DEVICE_TOLERANCE, abs=DEVICE_TOLERANCE)
        assert sorted(weights) == sorted(device_weights)
        for key, value in weights.items():
            assert relative_error(device_weights[key], value) <= DEVICE_TOLERANCE, key

    check()
