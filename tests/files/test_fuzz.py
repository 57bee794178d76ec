# SPDX-License-Identifier: Apache-2.0
"""A few hundred spoilt files of every kind: each is read, or refused in one line. tests/fuzz/files.py reads more."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz.kinds import KINDS, SLOW, run_case

# The process of its own that each takes costs more than all the rest.
_CASES = {"weights": 60, "hdf5": 30}


@pytest.mark.parametrize("name", [name for name in KINDS if name not in SLOW])
def test_spoilt_files_are_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    cases = _CASES.get(name, 300)
    refused = sum(run_case(KINDS[name], seed, tmp_path) for seed in range(cases))
    assert cases // 2 < refused < cases


@pytest.mark.parametrize("name", KINDS)
def test_specimens_are_read(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    for specimen in kind.specimens:
        path = tmp_path / f"case{kind.suffix}"
        path.write_bytes(specimen)
        kind.read(path)
