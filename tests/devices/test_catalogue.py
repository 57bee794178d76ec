# SPDX-License-Identifier: Apache-2.0
"""The devices that come with the package."""

import subprocess
from pathlib import Path

import pytest

from tt_tflm.boards.simulated.toolchain import find_emulator
from tt_tflm.devices import core_names, device_names, devices, get_device, get_profile
from tt_tflm.errors import InputError

BOARDS = [device for device in devices() if device.name not in core_names()]
NAMED_IN_THE_DOCS = {
    "nano33ble",
    "portenta-h7",
    "stm32f746g-disco",
    "stm32h743zi",
    "nrf5340dk",
    "rp2350",
    "mps2-an386",
    "mps2-an500",
    "mps2-an521",
    "mps3-an547",
}


def test_names():
    assert device_names()[:6] == core_names()
    assert core_names() == ("host", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
    assert {device.name for device in BOARDS} == NAMED_IN_THE_DOCS
    assert [device.name for device in devices()] == list(device_names())
    assert all(get_device(name).name == name for name in device_names())


def test_the_docs_name_all():
    text = (Path(__file__).parents[2] / "docs" / "devices.md").read_text()
    assert all(f"`{name}`" in text for name in device_names())


@pytest.mark.parametrize("name", core_names())
def test_a_core_as_a_device_is_compiled_as_the_core(name):
    device = get_device(name)
    assert (device.core, device.ram, device.flash_bytes) == (name, (), None)
    assert get_profile(name) == device.profile
    assert device.profile.name == name


@pytest.mark.parametrize("device", BOARDS, ids=lambda device: device.name)
def test_boards_state_their_memories(device):
    assert device.ram
    assert device.flash_bytes
    assert device.profile.board == get_profile(device.core).board
    externals = [region.external for region in device.ram]
    assert externals == sorted(externals)


@pytest.mark.qemu
def test_qemu_knows_the_machines():
    listing = subprocess.run(
        [find_emulator(get_profile("cortex-m4")), "-machine", "help"], capture_output=True, text=True, check=True
    ).stdout
    machines = {line.split()[0] for line in listing.splitlines()[1:]}
    named = {device.qemu_machine for device in BOARDS if device.qemu_machine}
    assert len(named) == 4
    assert named <= machines


@pytest.mark.parametrize("name", ["cortex-m0", "", "Host", None, ["host"], "nano33ble.tml"])
def test_unknown_target_lists_the_known_ones(name):
    with pytest.raises(InputError) as error:
        get_device(name)
    message = str(error.value)
    assert message.startswith("expected a target of host, cortex-m3, ")
    assert "nano33ble" in message
    assert f"or the path of a profile (.toml), received {name!r}" in message
