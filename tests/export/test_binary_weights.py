# SPDX-License-Identifier: Apache-2.0
"""Exports of a build whose weights are a binary file: plain C for Arduino, the file itself for Zephyr."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from emit.workshop import WARNINGS, need, run_quietly

import tt_tflm
from tt_tflm.export.arduino.library import arduino_files
from tt_tflm.export.zephyr.module import export_zephyr, zephyr_files

from . import zephyr_host
from .arduino_builds import build


@pytest.fixture(scope="module")
def binary(tmp_path_factory) -> tt_tflm.Build:
    """Saved and loaded, as `tt-tflm export` has it."""
    folder: Path = tmp_path_factory.mktemp("binary") / "out"
    build("dynamic", "binary").save(folder)
    return tt_tflm.load_build(folder)


def test_arduino_has_them_as_c(binary):
    files, plain = arduino_files(binary), arduino_files(build("dynamic"))
    assert files.keys() == plain.keys()
    assert files["src/tt_model_weights.c"] == plain["src/tt_model_weights.c"]


def test_zephyr_assembles_them(binary, tmp_path):
    need("gcc")
    module = tmp_path / "module"
    export_zephyr(binary, module)
    assert (module / "src/tt_model_weights.bin").read_bytes() == b"".join(binary.binary.content())
    sources = zephyr_host.sources_of(module, zephyr_host.configure(module, TINYTRAIN="y"))
    (assembly,) = [source for source in sources if source.suffix == ".S"]
    assert not [source for source in sources if source.name == "tt_model_weights.c"]
    text = (module / "zephyr/CMakeLists.txt").read_text().replace("${TINYTRAIN_DIR}", str(module))
    folder, needed = re.search(
        rf"{assembly} PROPERTIES\s+INCLUDE_DIRECTORIES (\S+)\s+OBJECT_DEPENDS (\S+)\)", text
    ).groups()
    assert Path(needed).is_file()
    run_quietly("gcc", *WARNINGS, f"-I{folder}", "-c", assembly, "-o", tmp_path / "weights.o")


def test_what_zephyr_has_of_other_builds_stays_as_it_is():
    files = zephyr_files(build("dynamic"))
    assert "src/tt_model_weights.c" in files and "OBJECT_DEPENDS" not in files["zephyr/CMakeLists.txt"]
