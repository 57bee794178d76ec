# SPDX-License-Identifier: Apache-2.0
"""Saved states outlive cuts of power at every byte, and damage to them is noticed."""

import ctypes
import re
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from .test_compile import COMPILERS, OPS, RUNTIME, WARNINGS, compile_quietly

PROGRAM = Path(__file__).parent / "storage_cuts.c"
TRIALS, CORRUPTIONS = 60, 10_000


def counts(line: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", line)}


@pytest.fixture(scope="module", params=[c.values[0][0] for c in COMPILERS])
def cut_counts(request, tmp_path_factory) -> tuple[dict[str, int], dict[str, int]]:
    """What happened to cuts and to corruptions, under both sanitisers."""
    program = tmp_path_factory.mktemp("cuts") / "storage_cuts"
    flags = ("-g", "-O1", *WARNINGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{OPS / 'include'}")
    compile_quietly((request.param,), *flags, PROGRAM, *RUNTIME, "-lm", "-o", program)
    command = [program, "7", str(TRIALS), str(CORRUPTIONS)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    print(result.stdout)
    cuts, corruptions = result.stdout.splitlines()
    return counts(cuts), counts(corruptions)


def test_a_cut_at_any_byte_leaves_the_old_or_the_new_state(cut_counts):
    cuts, _ = cut_counts
    assert cuts["cuts"] >= 10_000
    assert cuts["old"] + cuts["new"] + cuts["none"] == cuts["cuts"]
    assert min(cuts["in_erase"], cuts["old"], cuts["new"], cuts["none"], cuts["repaired"]) > 100


def test_a_damaged_state_is_never_taken_for_one_that_was_saved(cut_counts):
    _, corruptions = cut_counts
    manners = [corruptions[name] for name in ("flipped", "truncated", "swapped", "overwritten")]
    assert sum(manners) == corruptions["forged"] == CORRUPTIONS
    assert corruptions["refused"] + corruptions["older"] + corruptions["newest"] == CORRUPTIONS
    assert min(*manners, corruptions["refused"], corruptions["older"]) > 1000


@pytest.mark.parametrize("size", [0, 1, 9, 1000])
def test_the_checksum_is_that_of_zlib_in_pieces_too(runtime, size):
    runtime.library.tt_crc32.restype = ctypes.c_uint32
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()

    def crc(start: int, piece: bytes) -> int:
        return runtime.library.tt_crc32(ctypes.c_uint32(start), piece, ctypes.c_size_t(len(piece)))

    assert crc(0, data) == zlib.crc32(data)
    assert crc(crc(0, data[: size // 3]), data[size // 3 :]) == zlib.crc32(data)
    assert crc(0, b"123456789") == 0xCBF43926
