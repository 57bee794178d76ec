# SPDX-License-Identifier: Apache-2.0
"""HDF5 from outside: read once in a process that may fail, before Keras reads it in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tt_tflm.errors import InputError
from tt_tflm.files.keras_config import ModelParts, StoredWeights, major_version, parse_config, parse_values
from tt_tflm.files.limits import HDF5_BYTES, HDF5_OBJECTS, JSON_BYTES
from tt_tflm.files.regular_file import read_whole

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
    return int(_measured(content, expected)["elements"])


def read_hdf5_model(path: str | os.PathLike[str]) -> ModelParts:
    """What an `.h5` file of a whole model holds, of Keras 2 or 3.

    Raises:
        InputError: as `count_elements`, or the file holds no model, or weights alone.
    """
    content = read_whole(path, "an .h5 file of a model", HDF5_BYTES)
    return parts_of(content, _measured(content, f"{path}: expected a whole model in HDF5"), path)


def parts_of(content: bytes, measured: dict[str, Any], path: str | os.PathLike[str]) -> ModelParts:
    """The parts of a file, of what `measure_hdf5` found in it; errors as for `read_hdf5_model`."""
    texts = measured["attributes"]
    if "model_config" not in texts or not measured["whole"]:
        received = "one without weights" if "model_config" in texts else "weights alone, without a model_config"
        raise InputError(
            f"{path}: expected a whole model in HDF5, received {received}; load the weights into the model that they "
            f"are of, and save that with model.save('model.keras')"
        )
    config = parse_config(texts["model_config"], f"{path}, model_config")
    where = f"{path}, training_config"
    training = parse_values(texts["training_config"], where) if "training_config" in texts else None
    version = major_version(texts.get("keras_version"))
    return ModelParts(config, training, version, int(measured["elements"]), StoredWeights(content, ".h5"))


def _measured(content: bytes, expected: str) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(prefix="tt-tflm-weights-", suffix=".h5") as file:
        file.write(content)
        file.flush()
        # One thread: each takes address space, which the process limits.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(_MEASURE), file.name, str(HDF5_OBJECTS), str(JSON_BYTES)],
                capture_output=True,
                timeout=_SECONDS,
                env=environment,
                check=False,
            )
            answer = json.loads(done.stdout) if done.returncode == 0 else {}
        except (subprocess.TimeoutExpired, ValueError):
            answer = {}
    if "elements" not in answer:
        reason = answer.get("refused", "some that HDF5 fails on")
        raise InputError(f"{expected} with sound weights, received {reason}; save it again")
    return dict(answer)
