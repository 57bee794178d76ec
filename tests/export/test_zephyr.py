# SPDX-License-Identifier: Apache-2.0
"""The exported Zephyr module: what is in it, its Kconfig, and its applications on a host."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from tt_tflm import Board, load_build
from tt_tflm.cli.main import main
from tt_tflm.errors import DeviceError, InputError
from tt_tflm.export.zephyr.module import export_zephyr, zephyr_files

from . import zephyr_host

SENSOR = Path(__file__).parent / "zephyr_sensor.c"
EXAMPLE = Path(__file__).parents[2] / "examples" / "zephyr"
FLASH_BYTES = 32768


@pytest.fixture(scope="module")
def build(small_net):
    """The build of the example."""
    return small_net.small_build()


@pytest.fixture(scope="module")
def module(build, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("zephyr") / "module"
    export_zephyr(build, folder)
    return folder


def test_every_source_is_compiled_and_exists(module):
    everything = zephyr_host.configure(module, TINYTRAIN="y", TINYTRAIN_CONSOLE="y")
    sources = zephyr_host.sources_of(module, everything)
    assert all(source.is_file() for source in sources)
    listed = {source.resolve() for source in sources}
    retained = module / "zephyr" / "src" / "tt_zephyr_storage_retained.c"
    present = {path.resolve() for folder in ("src", "console", "zephyr") for path in (module / folder).rglob("*.c")}
    assert present - listed == {retained.resolve()}


def test_kernel_flags_are_for_kernels(module):
    text = (module / "zephyr" / "CMakeLists.txt").read_text()
    before, after = text.split("set_source_files_properties(${TINYTRAIN_DIR}/src/tt_model_kernels.c PROPERTIES")
    assert "-ffast-math" not in before.replace("Never -ffast-math", "")
    assert after.split('"')[1].split(";")[:2] == ["-O3", "-ffast-math"]


@pytest.mark.parametrize(
    ("chosen", "labels", "storage"),
    [
        ("", "storage_partition", "FLASH"),
        ("", "tinytrain_partition", "FLASH"),
        ("tinytrain,retained-ram", "storage_partition", "RETAINED_RAM"),
        ("", "", "NONE"),
    ],
)
def test_where_a_personalisation_is_saved(module, chosen, labels, storage):
    config = zephyr_host.configure(module, chosen=chosen, labels=labels, TINYTRAIN="y")
    chosen_symbols = {
        name for name in ("FLASH", "RETAINED_RAM", "NONE") if config.syms[f"TINYTRAIN_STORAGE_{name}"].str_value == "y"
    }
    assert chosen_symbols == {storage}
    assert config.syms["FLASH_MAP"].str_value == ("y" if storage == "FLASH" else "n")
    assert config.syms["FPU"].str_value == "y"


def test_a_section_of_the_arena(module):
    config = zephyr_host.configure(module, TINYTRAIN="y", TINYTRAIN_ARENA_SECTION="DTCM")
    assert config.syms["TINYTRAIN_ARENA_PLACED"].str_value == "y"
    assert config.syms["TINYTRAIN_ROW_POOL_PLACED"].str_value == "n"


@pytest.mark.parametrize(("section", "of"), [("DTCM", "zephyr,sram"), ("ITCM", "zephyr,flash"), ("SDRAM1", None)])
def test_a_section_on_top_of_the_image_is_refused(module, tmp_path, section, of):
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("not installed: cmake")
    script = tmp_path / "zephyr.cmake"
    script.write_text(f"""
        function(dt_chosen result ignored property)
            set(${{result}} /${{property}} PARENT_SCOPE)
        endfunction()
        function(dt_prop result ignored path)
            set(regions_sram DTCM)
            set(regions_flash ITCM)
            string(REPLACE "/zephyr," "regions_" region ${{path}})
            set(${{result}} ${{${{region}}}} PARENT_SCOPE)
        endfunction()
        foreach(command zephyr_include_directories zephyr_library zephyr_library_sources zephyr_library_sources_ifdef
                zephyr_library_compile_definitions_ifdef zephyr_library_compile_options set_source_files_properties)
            cmake_language(EVAL CODE "function(${{command}})\nendfunction()")
        endforeach()
        set(CONFIG_TINYTRAIN y)
        set(CONFIG_TINYTRAIN_ROW_POOL_PLACED y)
        set(CONFIG_TINYTRAIN_ROW_POOL_SECTION {section})
        include({module / "zephyr" / "CMakeLists.txt"})
    """)
    result = subprocess.run([cmake, "-P", script], capture_output=True, text=True, check=False)
    said = " ".join(result.stderr.split())
    if of is None:
        assert (result.returncode, said) == (0, "")
    else:
        assert result.returncode == 1
        assert f"as CONFIG_TINYTRAIN_ROW_POOL_SECTION, received {section}, which is {of}: leave it empty" in said


def test_descriptions_for_the_build_system(module):
    about = yaml.safe_load((module / "zephyr" / "module.yml").read_text())
    assert about["name"] == "tinytrain"
    assert (module / about["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (module / about["build"]["kconfig"]).is_file()
    for folder in about["samples"] + about["tests"]:
        assert (module / folder).is_dir()
    for name in ("samples/enroll_and_adapt/sample.yaml", "tests/persistence/testcase.yaml"):
        common = yaml.safe_load((module / name).read_text())["common"]
        assert common["harness"] == "console"
        assert common["harness_config"]["regex"]
        assert common["integration_platforms"]
    readme = (module / "samples" / "enroll_and_adapt" / "README.rst").read_text().splitlines()
    titles = [line for line, rule in itertools.pairwise(readme) if set(rule) in ({"*"}, {"#"})]
    assert titles[1:] == ["Overview", "Requirements", "Building and Running", "Sample Output"]


def test_what_was_saved_is_what_is_loaded(module, tmp_path):
    config = zephyr_host.configure(module, TINYTRAIN="y")
    program = zephyr_host.build(module, "tests/persistence", config, tmp_path / "build")
    with zephyr_host.started(program, new_flash(tmp_path)) as port, open(port, "rb") as line:
        assert line.readline() == b"PASS: what was learned came back\n"


def new_flash(folder: Path) -> Path:
    """An erased flash."""
    flash = folder / "flash.bin"
    flash.write_bytes(b"\xff" * FLASH_BYTES)
    return flash


def test_a_folder_that_is_taken(build, tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(InputError, match="expected an output folder that is empty or does not exist, received"):
        export_zephyr(build, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_command(build, tmp_path, capfd):
    build.save(tmp_path / "out")
    with pytest.raises(SystemExit) as caught:
        main(["export", str(tmp_path / "out"), "--zephyr", str(tmp_path / "module")])
    assert caught.value.code == 0, capfd.readouterr().err
    found = {
        path.relative_to(tmp_path / "module").as_posix(): path.read_text()
        for path in (tmp_path / "module").rglob("*")
        if path.is_file()
    }
    assert found == zephyr_files(load_build(tmp_path / "out")) == zephyr_files(build)
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["export", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert "expected" in capfd.readouterr().err


@pytest.fixture(scope="module")
def task():
    """The task of the example."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        import enroll_and_adapt

        yield enroll_and_adapt
    finally:
        sys.path.remove(str(EXAMPLE))


def test_the_sample_learns_and_remembers(module, task, tmp_path, capsys):
    config = zephyr_host.configure(module, TINYTRAIN="y", TINYTRAIN_CONSOLE="y")
    program = zephyr_host.build(module, "samples/enroll_and_adapt", config, tmp_path / "build")
    flash = new_flash(tmp_path)
    with zephyr_host.started(program, flash) as port, Board(port) as board:
        status = board.status()
        assert (status.input_shape, status.classes, status.mode, status.samples) == ((16, 16, 1), 3, "dynamic", 0)
        assert status.storage_bytes == FLASH_BYTES
        with pytest.raises(DeviceError):
            board.load()
        saved = task.learn_and_save(board)
    shown = capsys.readouterr().out
    assert "inspecting: " in shown
    assert "adapting: " in shown
    with zephyr_host.started(program, flash) as port, Board(port) as board:
        assert board.status().samples == 0
        again = task.query(board)
    assert (saved == again).all()
    assert task.accuracy(saved) > 0.9


def test_an_application_predicts_on_what_the_console_has_learned(build, module, task, tmp_path, monkeypatch):
    """A thread of its own shares the session, also while it learns, and is given signs of life between kernels."""
    config = zephyr_host.configure(module, TINYTRAIN="y", TINYTRAIN_CONSOLE="y", TINYTRAIN_PULSES="y")
    program = zephyr_host.build(module, "samples/enroll_and_adapt", config, tmp_path / "build", beside=[SENSOR])
    x, labels = task.samples(task.SHOTS, seed=0)
    query = task.samples(1, seed=1)[0][0]
    monkeypatch.setenv("TT_SENSOR", str(tmp_path / "sensor.bin"))
    monkeypatch.setenv("TT_SEEN", str(tmp_path / "seen.bin"))
    scale, shift = map(np.float32, build.simulation["input_scaling"])
    (tmp_path / "sensor.bin").write_bytes((query.astype(np.float32) * scale + shift).astype("<f4").tobytes())
    with zephyr_host.started(program, new_flash(tmp_path)) as port, Board(port) as board:
        for sample, label in zip(x, labels, strict=True):
            board.enroll(sample, int(label))
        before = board.predict(query)
        board.adapt(20)
        after = board.predict(query)
        deadline = time.monotonic() + 30
        seen, pulses, while_learning = _seen(tmp_path / "seen.bin")
        while not (seen == after).all() and time.monotonic() < deadline:
            time.sleep(0.05)
            seen, pulses, while_learning = _seen(tmp_path / "seen.bin")
    np.testing.assert_array_equal(seen, after)
    assert (before != after).any()
    assert while_learning > 3, "the session was not shared while it learned"
    assert pulses > 20 * while_learning


def _seen(path: Path) -> tuple[np.ndarray, int, int]:
    """What zephyr_sensor.c has written last: scores, pulses, and predictions while the console learned."""
    content = path.read_bytes()
    return np.frombuffer(content[:12], "<f4"), *np.frombuffer(content[12:20], "<u4").tolist()
