# SPDX-License-Identifier: Apache-2.0
"""Builds for a device: the report tells where what goes, and what does not fit is refused with what would."""

import json
import re

import pytest
from oracle.fixed_nets import small_embedding

import tt_tflm
from tt_tflm.cli.main import main
from tt_tflm.devices import get_device
from tt_tflm.errors import InputError

PROFILE = """
name = "tiny"
title = "A board of {ram} B"
core = "cortex-m4"
fpu = "single"
dsp = true
mve = false
flash_bytes = {flash}

[[ram]]
name = "sram"
origin = 0x2000_0000
bytes = {ram}
"""


@pytest.fixture(scope="module")
def model():
    return small_embedding()


@pytest.fixture
def converter(model):
    made = tt_tflm.TrainableConverter.from_keras_model(model)
    made.loss, made.optimizer, made.mode = tt_tflm.PrototypeLoss(classes=3), tt_tflm.Adam(batch_size=4), "dynamic"
    return made


@pytest.fixture
def profile(tmp_path):
    def write(ram: int, flash: int = 1 << 20) -> str:
        path = tmp_path / "tiny.toml"
        path.write_text(PROFILE.format(ram=ram, flash=flash))
        return str(path)

    return write


def test_report_and_simulation(converter, tmp_path):
    converter.target = "stm32h743zi"
    build = converter.convert()
    build.save(tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["target"] == "stm32h743zi"
    assert report["device"] == get_device("stm32h743zi").to_json()
    assert report["placement"] == [
        {"name": name, "bytes": report[f"{name.replace(' ', '_')}_bytes"], "region": "axi"}
        for name in ("arena", "row pool", "session")
    ]
    loaded = tt_tflm.load_build(tmp_path / "out")
    assert loaded.device == get_device("stm32h743zi")


def test_a_profile_is_kept_with_the_build(converter, profile, tmp_path):
    converter.target = profile(1 << 20)
    converter.convert().save(tmp_path / "out")
    (tmp_path / "tiny.toml").unlink()
    loaded = tt_tflm.load_build(tmp_path / "out")
    assert (loaded.device.name, loaded.device.ram[0].bytes) == ("tiny", 1 << 20)
    assert loaded.report["target"] == "tiny"


def test_the_budget_of_the_refusal_fits(converter, profile):
    converter.target = "host"
    largest = converter.convert().report_data["ram_bytes"]
    converter.target = profile(largest - 2048)
    with pytest.raises(InputError, match=r"to fit the RAM of tiny|the largest contiguous RAM of tiny") as error:
        converter.convert()
    converter.budget = tt_tflm.Budget(ram=re.search(r"--ram (\d+KB)", str(error.value))[1])
    assert converter.convert().report_data["placement"]


def test_weights_beyond_the_flash(converter, profile):
    converter.target = profile(1 << 20, flash=1024)
    with pytest.raises(InputError, match=r"^expected weights of at most 1,024 B, the flash of tiny, received "):
        converter.convert()


@pytest.mark.qemu
def test_a_device_simulates_as_its_core(model):
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.loss, converter.target = tt_tflm.PrototypeLoss(classes=3), "mps2-an521"
    import numpy as np

    x = np.random.default_rng(0).random(converter.input_shape, dtype=np.float32)
    build = converter.convert()
    scores = []
    for device in ("host", "mps2-an521"):
        with build.simulate(device=device) as board:
            board.enroll(x, 0)
            scores.append(board.predict(x)[0])
    assert scores[1] == pytest.approx(scores[0], rel=1e-5)


def test_commands(capfd, tmp_path, profile):
    for arguments, content in ((["devices"], "nano33ble"), (["devices", profile(4096)], "4,096")):
        path = tmp_path / "devices.json"
        with pytest.raises(SystemExit) as caught:
            main([*arguments, "--json", str(path)])
        assert caught.value.code == 0
        assert content in capfd.readouterr().out
    assert json.loads(path.read_text())["devices"] == [get_device(str(tmp_path / "tiny.toml")).to_json()]


def test_the_command_refuses(capfd, tmp_path, profile, model):
    model.save(tmp_path / "m.keras")
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        main(["convert", str(tmp_path / "m.keras"), "-o", str(out), "--target", profile(512), "--loss", "prototype"])
    assert caught.value.code == 2
    error = capfd.readouterr().err
    assert error.startswith("tt-tflm: error: expected an arena of at most 512 B, the largest contiguous RAM of tiny")
    assert error.count("\n") == 1
    assert not out.exists()
