# SPDX-License-Identifier: Apache-2.0
"""What is peculiar to emulated boards: instruction counts, and an emulator that dies, hangs or faults."""

import gc
import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.boards.simulated import QemuBoard, open_board
from tt_tflm.boards.simulated.qemu import build_elf
from tt_tflm.devices import core_names
from tt_tflm.errors import DeviceError, InputError

pytestmark = pytest.mark.qemu

CORES = [name for name in core_names() if name != "host"]
HANG, CRASH, OVERFLOW_STACK, DIVERGE = 1e30, 2e30, 3e30, 4e30


def with_first(sample: np.ndarray, value: float) -> np.ndarray:
    changed = sample.copy()
    changed[0, 0, 0] = value
    return changed


def process_of(board: QemuBoard):
    return board._emulator._process


def folder_of(board: QemuBoard) -> Path:
    return board._emulator._errors.parent


def is_gone(board: QemuBoard) -> bool:
    return process_of(board).poll() is not None and not folder_of(board).exists()


@pytest.mark.parametrize("device", CORES)
def test_instruction_counts_are_repeatable(device, prototype_files, sample):
    counts = []
    for _ in range(2):
        with open_board(prototype_files, device) as board:
            assert board.instructions == {}
            board.enroll(sample, 0)
            board.enroll(-sample, 1)
            board.embedding(sample)
            board.predict(sample)
            first = board.instructions["predict"]
            board.predict(sample)
            assert board.instructions["predict"] == first
            board.train_step(sample, 0)
            board.reset()
            counts.append(board.instructions)
    assert counts[0] == counts[1]
    assert list(counts[0]) == ["enroll", "embedding", "predict", "train_step", "reset"]
    assert counts[0]["embedding"] < counts[0]["predict"] < counts[0]["train_step"]


def test_a_refused_call_is_not_counted(softmax_files, sample):
    with open_board(softmax_files, "cortex-m7") as board:
        with pytest.raises(DeviceError):
            board.predict(with_first(sample, DIVERGE))
        assert board.instructions == {}


def test_the_host_counts_nothing(softmax_files, sample):
    with open_board(softmax_files, "host") as board:
        board.predict(sample)
        assert board.instructions == {}


@pytest.mark.parametrize("device", CORES)
def test_a_hard_fault_is_told_with_its_cause(device, softmax_files, sample):
    message = rf"predict on {device}: the emulator stopped \(exit status 1\): hard fault: undefined instruction \(pc 0x"
    with open_board(softmax_files, device) as board, pytest.raises(DeviceError, match=message) as error:
        board.predict(with_first(sample, CRASH))
    assert "\n" not in str(error.value)
    assert is_gone(board)


@pytest.mark.parametrize("device", CORES)
def test_a_stack_overflow_ends_the_emulator(device, softmax_files, sample):
    with (
        open_board(softmax_files, device) as board,
        pytest.raises(DeviceError, match=r"the emulator stopped \(.*\): (qemu: fatal: Lockup|hard fault: )"),
    ):
        board.predict(with_first(sample, OVERFLOW_STACK))
    assert is_gone(board)


def test_a_hung_program_is_ended(softmax_files, sample):
    with QemuBoard(softmax_files, "cortex-m4", timeout_s=1.0) as board:
        with pytest.raises(DeviceError, match="predict on cortex-m4: the emulator did not answer in time"):
            board.predict(with_first(sample, HANG))
        assert is_gone(board)
        with pytest.raises(DeviceError, match="received one that is closed"):
            board.predict(sample)


def test_an_emulator_that_was_killed_is_noticed(softmax_files, sample):
    with open_board(softmax_files, "cortex-m4") as board:
        board.predict(sample)
        os.kill(process_of(board).pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match=r"predict on cortex-m4: the emulator stopped \(signal 9\)"):
            board.predict(sample)
        assert is_gone(board)


def test_an_emulator_that_does_not_start_is_told_with_its_reason(softmax_files, monkeypatch, tmp_path):
    fake = tmp_path / "qemu-system-arm"
    fake.write_text("#!/bin/sh\necho 'unsupported machine type' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr("tt_tflm.boards.simulated.qemu.find_emulator", lambda _profile: str(fake))
    # A folder of its own: tests that run beside this one have emulators, too.
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(DeviceError, match=r"the emulator stopped \(exit status 3\): unsupported machine type"):
        open_board(softmax_files, "cortex-m4")
    assert not list(temporary.glob("tt-tflm-qemu-*"))


def test_an_interrupt_closes_the_board(softmax_files, sample, monkeypatch):
    with open_board(softmax_files, "cortex-m4") as board:

        def interrupt(size, deadline):
            raise KeyboardInterrupt

        monkeypatch.setattr(board._emulator, "receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            board.predict(sample)
        assert is_gone(board)


def test_a_forgotten_board_is_cleaned_up(softmax_files):
    board = open_board(softmax_files, "cortex-m4")
    process, folder = process_of(board), folder_of(board)
    assert folder.exists()
    del board
    gc.collect()
    assert process.poll() is not None
    assert not folder.exists()


def test_the_host_is_no_emulated_board(softmax_files):
    with pytest.raises(InputError, match="expected a target that is emulated, received 'host'"):
        build_elf(softmax_files, "host")
