# SPDX-License-Identifier: Apache-2.0
"""tt-tflm export --arduino: what is written, and what is refused in one line without leaving anything behind."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import tt_tflm
from tt_tflm.errors import InputError
from tt_tflm.export.arduino.library import arduino_files, export_arduino

from .arduino_builds import build
from .arduino_rules import properties


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "out"
    build("dynamic").save(folder)
    return folder


def _run(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and the one line on standard error, through the program's own main."""
    from tt_tflm.cli.main import cli

    result = CliRunner().invoke(cli, ["export", *map(str, arguments)])
    if isinstance(result.exception, InputError):
        return 2, str(result.exception)
    return result.exit_code, result.output


def test_the_zip_is_the_library_and_the_same_every_time(saved, tmp_path, library):
    assert _run(saved, "--arduino", tmp_path / "a.zip") == (0, "")
    export_arduino(tt_tflm.load_build(saved), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip"]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        assert all(entry.external_attr >> 16 == 0o644 for entry in archive.infolist())
    assert names == sorted(str(path.relative_to(library.parent)) for path in library.rglob("*") if path.is_file())
    assert "TinyTrain/src/tt_model.h" in names and not any("sim" in name for name in names)


def test_architectures_are_those_of_the_boards_it_fits(library):
    architectures = properties(library)["architectures"].split(",")
    assert architectures[0] == "mbed_nano" and "renesas_uno" in architectures
    larger = _with_ram(200_000 - 65_536)
    assert "renesas_uno" not in arduino_files(larger)["library.properties"]
    assert "mbed_nano" in arduino_files(larger)["library.properties"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("taken.zip", "does not exist yet"), ("lib.tar", "named .zip"), ("no/lib.zip", "folder that exists")],
)
def test_a_place_that_cannot_be_written_is_refused(name, reason, saved, tmp_path):
    (tmp_path / "taken.zip").write_text("mine")
    code, message = _run(saved, "--arduino", tmp_path / name)
    assert code == 2 and reason in message and "\n" not in message
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("taken.zip", "mine")]


def test_what_fails_on_the_way_leaves_nothing_behind(saved, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(InputError, match=r"can be written.*No space left"):
        export_arduino(tt_tflm.load_build(saved), tmp_path / "lib.zip")
    assert list(tmp_path.iterdir()) == []


def test_no_build_is_refused(tmp_path):
    code, message = _run(tmp_path, "--arduino", tmp_path / "lib.zip")
    assert code == 2 and "expected a folder that Build.save wrote" in message
    code, message = _run(tmp_path)
    assert code == 2 and "--arduino LIB.zip" in message


def _with_ram(ram_bytes: int) -> tt_tflm.Build:
    """The build, if it took that much RAM."""
    made = build("dynamic")
    flash = {"code": 40_000, "weights": 10_000}
    return dataclasses.replace(made, report_data={**made.report_data, "ram_bytes": ram_bytes, "flash_bytes": flash})


def test_what_does_not_fit_its_device_is_refused_with_what_would():
    with pytest.raises(InputError, match=r"fits the Nano 33 BLE .*196,608 B of RAM.*--ram \d+KB.*Portenta H7"):
        arduino_files(_with_ram(230_000))
    assert str(_refusal(900_000)).endswith("KB"), "nothing is named where no board fits"
    budget = int(str(_refusal(230_000)).split("--ram ")[1].split("KB")[0])
    arduino_files(_with_ram(budget * 1024))


def _refusal(ram_bytes: int) -> InputError:
    with pytest.raises(InputError) as caught:
        arduino_files(_with_ram(ram_bytes))
    return caught.value


def test_a_build_for_the_host_is_refused():
    made = build("dynamic")
    host = tt_tflm.devices.get_device("host").to_json()
    with pytest.raises(InputError, match="received one for the host: convert with --target nano33ble"):
        arduino_files(dataclasses.replace(made, report_data={**made.report_data, "device": host}))
