# SPDX-License-Identifier: Apache-2.0
"""The adaptation loop: which calls it makes, in which order, and what it makes of the answers."""

import numpy as np
import pytest

from tt_tflm.boards.adaptation import INSTRUCTIONS, adapt, adapt_on_board, augment_for, check_classes
from tt_tflm.boards.episode import Episode
from tt_tflm.boards.input_range import InputRange
from tt_tflm.boards.simulated.task import Adaptation, Augment
from tt_tflm.errors import InputError
from tt_tflm.plan import UpdatePlan


class RecordingBoard:
    """Answers right once it has been trained, wrong before; keeps the names and samples of all calls."""

    def __init__(self, instructions: dict[str, int] | None = None) -> None:
        self.calls: list[tuple[str, float, int]] = []
        self.instructions = instructions or {}
        self.stack_bytes: dict[str, int] = {}
        self.input_range, self.calibrated = InputRange(-1, 1), None
        self._trained = 0

    def enroll(self, x: np.ndarray, label: int) -> None:
        self.calls.append(("enroll", float(x[0]), label))

    def forget_prototypes(self) -> None:
        self.calls.append(("forget", 0.0, 0))

    def train_step(self, x: np.ndarray, label: int) -> float:
        self.calls.append(("train", float(x[0]), label))
        self._trained += 1
        return 1.0 / self._trained

    def predict(self, x: np.ndarray) -> np.ndarray:
        self.calls.append(("predict", float(x[0]), 0))
        right = int(x[0]) % 2
        return np.eye(2, dtype=np.float32)[right if self._trained else 0]


@pytest.fixture
def episode() -> Episode:
    support = np.arange(6, dtype=np.float32)[:, None]
    query = np.arange(4, dtype=np.float32)[:, None]
    return Episode(support, np.arange(6) % 2, query, np.arange(4) % 2)


def names(board: RecordingBoard) -> list[str]:
    return [name for name, _, _ in board.calls]


def test_prototypes_are_enrolled_anew_after_each_iteration(episode: Episode) -> None:
    board = RecordingBoard()
    adapt(board, episode, 2, prototypes=True)
    enrol, judge, train = ["enroll"] * 6, ["predict"] * 4, ["train"] * 6
    assert names(board) == [*enrol, *judge, *train, "forget", *enrol, *train, "forget", *enrol, *judge]


def test_a_classifier_is_trained_by_labels_alone(episode: Episode) -> None:
    board = RecordingBoard()
    adapt(board, episode, 1, prototypes=False)
    assert names(board) == ["predict"] * 4 + ["train"] * 6 + ["predict"] * 4


def test_every_sample_is_shown_once_an_iteration_with_its_label(episode: Episode) -> None:
    board = RecordingBoard()
    adapt(board, episode, 3, prototypes=False)
    shown = [(x, label) for name, x, label in board.calls if name == "train"]
    passes = [shown[start : start + 6] for start in (0, 6, 12)]
    for one in passes:
        assert sorted(one) == [(float(i), i % 2) for i in range(6)]
    assert passes[0] != passes[1]


def test_the_order_is_the_same_on_every_run(episode: Episode) -> None:
    boards = [RecordingBoard(), RecordingBoard()]
    for board in boards:
        adapt(board, episode, 3, prototypes=True)
    assert boards[0].calls == boards[1].calls


def test_result(episode: Episode) -> None:
    board = RecordingBoard({"predict": 10, "train_step": 30, "enroll": 11})
    result = adapt(board, episode, 2, prototypes=True)
    assert result.accuracy_before == 0.5
    assert result.accuracy_after == 1.0
    assert result.losses == pytest.approx((sum(1 / i for i in range(1, 7)) / 6, sum(1 / i for i in range(7, 13)) / 6))
    assert result.instructions == dict.fromkeys(INSTRUCTIONS) | {"predict": 10, "train_step": 30}


def test_no_iterations(episode: Episode) -> None:
    result = adapt(RecordingBoard(), episode, 0, prototypes=True)
    assert result.accuracy_before == result.accuracy_after == 0.5
    assert result.losses == ()
    assert result.instructions == dict.fromkeys(INSTRUCTIONS)


@pytest.mark.parametrize("prototypes", [False, True])
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_progress_counts_every_call(episode: Episode, prototypes: bool, iterations: int) -> None:
    seen = []
    adapt(RecordingBoard(), episode, iterations, lambda *call: seen.append(call), prototypes=prototypes)
    total = seen[-1][2]
    assert [done for _, done, _ in seen] == list(range(1, total + 1))
    assert {call[2] for call in seen} == {total}


def test_iterations_below_zero(episode: Episode) -> None:
    with pytest.raises(InputError, match="expected iterations not below 0, received -1"):
        adapt(RecordingBoard(), episode, -1, prototypes=True)


def test_more_classes_than_the_build_knows(episode: Episode) -> None:
    check_classes(episode, 2)
    with pytest.raises(InputError, match=r"expected an episode of at most 1 classes.*received 2"):
        check_classes(episode, 1)


class ChoosingBoard(RecordingBoard):
    """Inspects, selects and adapts as well."""

    def fisher_accumulate(self, x: np.ndarray, label: int) -> None:
        self.calls.append(("inspect", float(x[0]), label))

    def select(self) -> UpdatePlan:
        self.calls.append(("select", 0.0, 0))
        return UpdatePlan({"logits": [1]})

    def adapt(self, support_x: np.ndarray, support_y: np.ndarray, iterations: int, **options: object) -> Adaptation:
        self.calls.append(("adapt", float(len(support_x)), iterations))
        self._trained += 1
        self.options = options
        return Adaptation((0.5,) * iterations, None, {"fisher": 0, "select": 0, "adapt": 900})


def test_a_board_that_chooses_inspects_and_selects_before_it_trains(episode: Episode) -> None:
    board = ChoosingBoard({"fisher_accumulate": 7, "select": 5})
    result = adapt(board, episode, 1, prototypes=False, chooses=True)
    assert names(board) == [*["predict"] * 4, *["inspect"] * 6, "select", *["train"] * 6, *["predict"] * 4]
    assert (result.instructions["fisher"], result.instructions["select"]) == (42, 5)
    assert result.plan.layers == UpdatePlan({"logits": [1]}).layers


def test_a_board_that_adapts_by_itself_is_judged_before_and_after(episode: Episode) -> None:
    board, seen = ChoosingBoard({"predict": 10}), []
    progress = lambda *call: seen.append(call)  # noqa: E731
    result = adapt_on_board(board, episode, 3, progress, gradient="constant", augment=Augment(low=0, high=5), seed=4)
    assert names(board) == [*["enroll"] * 6, *["predict"] * 4, "adapt", *["predict"] * 4]
    assert (board.options["gradient"], board.options["seed"]) == ("constant", 4)
    assert (result.accuracy_before, result.accuracy_after) == (0.5, 1.0)
    assert result.losses == (0.5,) * 3
    assert result.instructions == dict.fromkeys(INSTRUCTIONS) | {"predict": 10, "adapt": 900}
    assert seen[-1][1:] == (14, 14)


@pytest.mark.parametrize(
    ("scaling", "low", "high"), [((1 / 127.5, -1.0), -1, 1), ((1 / 255, 0.0), 0, 1), ((-1.0, 255.0), 0, 255)]
)
def test_pseudo_queries_stay_within_the_range_of_pixels(scaling, low: float, high: float) -> None:
    augment = augment_for(scaling, flip=True)
    assert (augment.low, augment.high, augment.flip) == (pytest.approx(low), pytest.approx(high), True)
