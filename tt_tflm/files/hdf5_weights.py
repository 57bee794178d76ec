# SPDX-License-Identifier: Apache-2.0
"""Weights in HDF5 from outside: read once in a process that may fail, before Keras reads them in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tt_tflm.errors import InputError
from tt_tflm.files.limits import HDF5_OBJECTS

_MEASURE = Path(__file__).with_name("measure_hdf5.py")
_SECONDS = 300  # the process limits its own time on the processor; this one is for a machine that stands still


def count_elements(content: bytes, expected: str) -> int:
    """Numbers in a file of weights, all of them readable and stored in the file itself.

    Args:
        content: the HDF5 file.
        expected: the beginning of every error, up to "received".

    Raises:
        InputError: the file is damaged, declares more than it stores, leads to other files, or the HDF5 library does
            not come to an end on it.
    """
    with tempfile.NamedTemporaryFile(prefix="tt-tflm-weights-", suffix=".h5") as file:
        file.write(content)
        file.flush()
        # One thread: each takes address space, which the process limits.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(_MEASURE), file.name, str(HDF5_OBJECTS)],
                capture_output=True,
                timeout=_SECONDS,
                env=environment,
                check=False,
            )
            answer = json.loads(done.stdout) if done.returncode == 0 else {}
        except (subprocess.TimeoutExpired, ValueError):
            answer = {}
    if "elements" not in answer:
        raise InputError(f"{expected} with sound weights, received {answer.get('refused', 'some that HDF5 fails on')}")
    return int(answer["elements"])
