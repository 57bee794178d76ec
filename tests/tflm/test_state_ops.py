# SPDX-License-Identifier: Apache-2.0
"""TT_START and TT_FINISH: what a run trains, what persists between runs, what is refused."""

import numpy as np
import pytest

from tt_tflm.errors import DeviceError
from tt_tflm.tflite.op_params import Command, Control, Flag, Op, pack

from .one_op import OneOp, choice_words, ints

CLASSES = 3
COPIES = 2
BASES = (
    np.arange(12, dtype=np.float32).reshape(3, 4),
    np.arange(100, 110, dtype=np.float32).reshape(5, 2),
)
# Candidate 0: rows 0 and 2, 2 copies of 8 floats; candidate 1: row 4, 2 copies of 2 floats.
CHOICE = choice_words([((0, 2), 2), ((4,), 18)])
POOL = np.full(24, np.nan, np.float32)


def start(
    label: int,
    command: int,
    choice: np.ndarray = CHOICE,
    control: tuple[int, ...] = (0, 7, 7),
    pool: np.ndarray = POOL,
    flag: Flag = Flag.NONE,
) -> OneOp:
    params = pack(Op.START, flag, candidates=2, copies=COPIES, classes=CLASSES, batch_size=3)
    inputs = (np.int32([label]), np.int32([command]), choice, np.int32(control), pool, *BASES)
    return OneOp(Op.START, params, inputs, (ints(2), ints(2)), frozenset({5, 6}))


def test_the_first_run_copies_the_chosen_rows_and_clears_the_rest():
    result = start(0, Command.PREDICT).run()
    pool = result.inputs[4]
    assert pool[2:18].tolist() == [0, 1, 2, 3, 8, 9, 10, 11, *[0] * 8]
    assert pool[18:22].tolist() == [108, 109, 0, 0]
    assert np.isnan(pool[[0, 1, 22, 23]]).all()
    assert result.inputs[3].tolist() == [1, 0, 0]


def test_later_runs_leave_pool_and_counters_alone():
    pool = np.linspace(0, 1, 24, dtype=np.float32)
    result = start(0, Command.TRAIN, control=(1, 5, 2), pool=pool).run(times=2)
    assert np.array_equal(result.inputs[4], pool)
    assert result.inputs[3].tolist() == [1, 5, 2]


@pytest.mark.parametrize(
    ("command", "flag", "choice", "active"),
    [
        (Command.PREDICT, Flag.NONE, CHOICE, 0b00),
        (Command.ENROLL, Flag.NONE, CHOICE, 0b00),
        (Command.TRAIN, Flag.NONE, CHOICE, 0b11),
        (Command.TRAIN, Flag.NONE, choice_words([((), 0), ((0, 1), 0)]), 0b10),
        (Command.TRAIN, Flag.NONE, choice_words([((1,), 0), ((), 0)]), 0b01),
        (Command.TRAIN, Flag.NONE, choice_words([((), 0), ((), 0)]), 0b00),
        (Command.FISHER, Flag.FISHER, choice_words([((), 0), ((), 0)]), 0b11),
        (Command.PREDICT, Flag.FISHER, CHOICE, 0b00),
        (Command.TRAIN, Flag.SEED, CHOICE, 0b11),
        (Command.ACCUMULATE, Flag.SEED, choice_words([((), 0), ((0, 1), 0)]), 0b10),
        (Command.UPDATE, Flag.SEED, CHOICE, 0b00),
    ],
)
def test_active_names_the_candidates_whose_gradients_the_command_wants(command, flag, choice, active):
    result = start(1, command, choice=choice, flag=flag).run()
    assert result.outputs[0].tolist() == [active, 0]


@pytest.mark.parametrize(
    ("command", "samples", "choice", "updating"),
    [
        (Command.TRAIN, 0, CHOICE, 0b00),
        (Command.TRAIN, 1, CHOICE, 0b00),
        (Command.TRAIN, 2, CHOICE, 0b11),
        (Command.ACCUMULATE, 2, CHOICE, 0b00),
        (Command.PREDICT, 2, CHOICE, 0b00),
        (Command.UPDATE, 0, CHOICE, 0b11),
        (Command.UPDATE, 0, choice_words([((1,), 0), ((), 0)]), 0b01),
    ],
)
def test_updating_names_the_candidates_that_this_run_updates(command, samples, choice, updating):
    result = start(-1 if command is Command.UPDATE else 1, command, choice, (1, 0, samples), flag=Flag.SEED).run()
    assert result.outputs[1].tolist() == [updating, 0]


def test_the_first_sample_of_all_completes_no_batch():
    assert start(1, Command.TRAIN, control=(0, 7, 7)).run().outputs[1].tolist() == [0, 0]


def test_sixty_four_candidates_fill_both_words():
    bases = tuple(np.zeros((2, 2), np.float32) for _ in range(64))
    params = pack(Op.START, candidates=64, copies=1, classes=2, batch_size=1)
    chosen = {0, 31, 32, 63}
    choice = choice_words([((1,), 2 * i) if i in chosen else ((), 0) for i in range(64)])
    inputs = (np.int32([1]), np.int32([1]), choice, np.zeros(3, np.int32), np.zeros(128, np.float32), *bases)
    result = OneOp(Op.START, params, inputs, (ints(2), ints(2)), frozenset(range(5, 69))).run()
    for words in result.outputs:
        assert words.view(np.uint32).tolist() == [1 | 1 << 31, 1 | 1 << 31]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": 3, "command": 1}, "TT_START: expected a label from 0 to 2, received 3"),
        ({"label": -1, "command": 2}, "TT_START: expected a label from 0 to 2, received -1"),
        ({"label": 0, "command": 4}, "TT_START: expected a command of 0, 1 or 2, received 4"),
        ({"label": 0, "command": 5}, "TT_START: expected a command of 0, 1 or 2, received 5"),
        ({"label": 0, "command": 3}, "TT_START: expected a command of 0, 1 or 2, received 3"),
        ({"label": 0, "command": 1, "flag": Flag.FISHER}, "TT_START: expected a command of 0, 2 or 3, received 1"),
        ({"label": 0, "command": 4, "flag": Flag.FISHER}, "TT_START: expected a command of 0, 2 or 3, received 4"),
        ({"label": 0, "command": 3, "flag": Flag.SEED}, "TT_START: expected a command of 0, 1, 2, 4 or 5, received 3"),
        ({"label": 0, "command": 6, "flag": Flag.SEED}, "TT_START: expected a command of 0, 1, 2, 4 or 5, received 6"),
        (
            {"label": 0, "command": 1, "choice": choice_words([((0, 1, 2, 2), 0), ((), 0)])},
            "TT_START: expected choice to name 0 to 3 channels of candidate 0, received 4",
        ),
        (
            {"label": 0, "command": 1, "choice": choice_words([((0, 3), 0), ((), 0)])},
            "TT_START: expected ascending channels below 3 for candidate 0, received 3 after 0",
        ),
        (
            {"label": 0, "command": 1, "choice": choice_words([((1, 0), 0), ((), 0)])},
            "TT_START: expected ascending channels below 3 for candidate 0, received 0 after 1",
        ),
        (
            {"label": 0, "command": 1, "choice": choice_words([((-1,), 0), ((), 0)])},
            "TT_START: expected ascending channels below 3 for candidate 0, received -1 after -1",
        ),
        (
            {"label": 0, "command": 1, "choice": choice_words([((0,), 18), ((), 0)])},
            "TT_START: expected an even offset that keeps the rows of candidate 0 inside the pool, received 18",
        ),
        (
            {"label": 0, "command": 1, "choice": choice_words([((0,), 3), ((), 0)])},
            "TT_START: expected an even offset that keeps the rows of candidate 0 inside the pool, received 3",
        ),
        (
            {"label": 0, "command": 1, "choice": choice_words([((0,), 0), ((1,), 6)])},
            "TT_START: expected the rows of candidate 1 at 8 or after it, received 6",
        ),
        (
            {"label": 0, "command": 1, "choice": np.int32([1, 0, 7, 0, 0, 0, 1])},
            "TT_START: expected the channels of candidate 0 inside choice, received a list at 7",
        ),
    ],
)
def test_what_may_change_between_runs_is_checked_in_every_run(arguments, message):
    with pytest.raises(DeviceError, match=message):
        start(**arguments).run()


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        (Command.TRAIN, (1, 4, 0), (1, 4, 1)),
        (Command.TRAIN, (1, 4, 2), (1, 5, 0)),
        (Command.TRAIN, (1, 2**31 - 1, 9), (1, 2**31 - 1, 0)),
        (Command.PREDICT, (1, 4, 2), (1, 4, 2)),
        (Command.ENROLL, (1, 4, 2), (1, 4, 2)),
        (Command.ACCUMULATE, (1, 4, 2), (1, 4, 2)),
        (Command.UPDATE, (1, 4, 1), (1, 5, 0)),
    ],
)
def test_finish_counts_samples_and_updates(command, before, after):
    params = pack(Op.FINISH, batch_size=3)
    result = OneOp(Op.FINISH, params, (np.int32([command]), np.int32(before))).run()
    assert tuple(result.inputs[1]) == after
    assert [Control.INITIALISED, Control.STEPS, Control.SAMPLES] == [0, 1, 2]
