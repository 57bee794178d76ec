# SPDX-License-Identifier: Apache-2.0
"""Saved states outlive cuts of power at every byte and faults at every read, and damage to them is noticed."""

import ctypes
import re
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from .test_compile import COMPILERS, OPS, RUNTIME, WARNINGS, compile_quietly

HERE = Path(__file__).parent
TRIALS, CORRUPTIONS, ROUNDS = 60, 10_000, 2


def counts(line: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", line)}


def compile_and_run(name: str, compiler: str, folder: Path, *arguments: str) -> list[dict[str, int]]:
    """What a program counts, line by line, under both sanitisers."""
    sources = (HERE / f"{name}.c", HERE / "storage_medium.c", HERE / "storage_session.c")
    flags = (
        "-g",
        "-O1",
        *WARNINGS,
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        f"-I{OPS / 'include'}",
    )
    compile_quietly((compiler,), *flags, *sources, *RUNTIME, "-lm", "-o", folder / name)
    result = subprocess.run([folder / name, *arguments], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    print(result.stdout)
    return [counts(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module", params=[c.values[0][0] for c in COMPILERS])
def cut_counts(request, tmp_path_factory) -> list[dict[str, int]]:
    """What happened to cuts, to corruptions and to what is to be refused."""
    folder = tmp_path_factory.mktemp("cuts")
    return compile_and_run("storage_cuts", request.param, folder, "7", str(TRIALS), str(CORRUPTIONS))


@pytest.mark.parametrize("compiler", [c.values[0][0] for c in COMPILERS])
def test_a_fault_gives_the_old_or_the_new_state_or_is_told(compiler, tmp_path):
    (faults,) = compile_and_run("storage_faults", compiler, tmp_path, "7", str(ROUNDS))
    # Every read of saves and loads of 20 storages a round, and bits of it.
    assert min(faults["loads"], faults["saves"]) > 5000 * ROUNDS
    assert faults["writes"] > 500 * ROUNDS and faults["bursts"] == 20 * 200 * ROUNDS
    # Neither outcome is that of all: what is not saved has had the old state looked for.
    assert min(faults["saved"], faults["unsaved"]) > 1000 * ROUNDS
    assert faults["poisoned"] > 10 * ROUNDS
    assert min(faults["broken"], faults["restored"], faults["cuts"]) > 10 * ROUNDS


def test_a_cut_at_any_byte_leaves_the_old_or_the_new_state(cut_counts):
    cuts = cut_counts[0]
    assert cuts["cuts"] >= 10_000
    assert cuts["old"] + cuts["new"] + cuts["none"] == cuts["cuts"]
    assert min(cuts["in_erase"], cuts["old"], cuts["new"], cuts["none"], cuts["repaired"]) > 100


def test_a_damaged_state_is_never_taken_for_one_that_was_saved(cut_counts):
    corruptions = cut_counts[1]
    manners = [corruptions[name] for name in ("flipped", "truncated", "swapped", "overwritten")]
    assert sum(manners) == corruptions["forged"] == CORRUPTIONS
    assert corruptions["refused"] + corruptions["older"] + corruptions["newest"] == CORRUPTIONS
    assert min(*manners, corruptions["refused"], corruptions["older"]) > 1000


def test_what_is_refused_leaves_the_storage_alone(cut_counts):
    refusals = cut_counts[2]
    assert refusals["foreign"] == refusals["small"] == TRIALS
    assert min(refusals["diverged"], refusals["crowded"]) > TRIALS // 4


@pytest.mark.parametrize("size", [0, 1, 9, 1000])
def test_the_checksum_is_that_of_zlib_in_pieces_too(runtime, size):
    runtime.library.tt_crc32.restype = ctypes.c_uint32
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()

    def crc(start: int, piece: bytes) -> int:
        return runtime.library.tt_crc32(ctypes.c_uint32(start), piece, ctypes.c_size_t(len(piece)))

    assert crc(0, data) == zlib.crc32(data)
    assert crc(crc(0, data[: size // 3]), data[size // 3 :]) == zlib.crc32(data)
    assert crc(0, b"123456789") == 0xCBF43926
