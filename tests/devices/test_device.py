# SPDX-License-Identifier: Apache-2.0
"""Profiles in TOML: what they become, and what is refused."""

from pathlib import Path

import pytest

from tt_tflm.devices import RamRegion, device_from_json, get_device, read_device
from tt_tflm.errors import InputError

PROFILE = {
    "name": '"my-board"',
    "title": '"My board, rev. B"',
    "core": '"cortex-m7"',
    "fpu": '"double"',
    "dsp": "true",
    "mve": "false",
    "flash_bytes": "1_048_576",
}
REGION = {"name": '"sram"', "origin": "0x2000_0000", "bytes": "262_144"}


def write(folder: Path, *regions: dict[str, str], **changes: str | None) -> Path:
    """A profile with some keys changed, or left out where None."""
    lines = [f"{key} = {value}" for key, value in {**PROFILE, **changes}.items() if value is not None]
    for region in regions or (REGION,):
        lines += ["[[ram]]", *(f"{key} = {value}" for key, value in region.items())]
    path = folder / "my-board.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_profile_of_the_user(tmp_path):
    second = {"name": '"sdram"', "origin": "0xc000_0000", "bytes": "0x80_0000", "external": "true"}
    path = write(tmp_path, REGION, second, qemu_machine='"my-machine"')
    device = get_device(str(path))
    assert (device.name, device.title, device.core) == ("my-board", "My board, rev. B", "cortex-m7")
    assert (device.features, device.flash_bytes) == ({"fpu": "double", "dsp": True, "mve": False}, 1 << 20)
    assert device.ram == (RamRegion("sram", 0x20000000, 1 << 18), RamRegion("sdram", 0xC0000000, 8 << 20, True))
    assert device.qemu_machine == "my-machine"
    assert device_from_json(device.to_json()) == device


@pytest.mark.parametrize(
    ("core", "fpu", "dsp", "mve", "flags"),
    [
        ("cortex-m3", "none", "false", "false", ("-mcpu=cortex-m3", "-mfloat-abi=soft")),
        ("cortex-m4", "none", "true", "false", ("-mcpu=cortex-m4", "-mfloat-abi=soft")),
        ("cortex-m4", "single", "true", "false", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
        ("cortex-m7", "single", "true", "false", ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")),
        ("cortex-m7", "double", "true", "false", ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16")),
        ("cortex-m33", "none", "false", "false", ("-mcpu=cortex-m33+nodsp", "-mfloat-abi=soft")),
        ("cortex-m33", "single", "true", "false", ("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")),
        ("cortex-m55", "double", "true", "true", ("-mcpu=cortex-m55", "-mfloat-abi=hard")),
        ("cortex-m55", "double", "true", "false", ("-mcpu=cortex-m55+nomve", "-mfloat-abi=hard")),
    ],
)
def test_the_compiler_is_told_what_the_core_has(tmp_path, core, fpu, dsp, mve, flags):
    device = read_device(write(tmp_path, core=f'"{core}"', fpu=f'"{fpu}"', dsp=dsp, mve=mve))
    assert device.profile.cpu_flags == (flags[0], "-mthumb", *flags[1:])
    assert device.profile.board == get_device(core).profile.board


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"core": None}, "expected the key core, received none"),
        ({"ram_bytes": "1"}, "expected no keys but name, .*, received ram_bytes"),
        ({"name": '"My board"'}, "name: expected lower-case letters, .*, received 'My board'"),
        ({"title": '""'}, "title: expected a line of text, received ''"),
        ({"core": '"cortex-m0"'}, "core: expected one of cortex-m3, .*, received 'cortex-m0'"),
        ({"fpu": '"quad"'}, "fpu: expected 'single' or 'double' or 'none' for cortex-m7, received 'quad'"),
        ({"dsp": "false"}, "dsp: expected true for cortex-m7, received false"),
        ({"dsp": "1"}, "dsp: expected true for cortex-m7, received 1"),
        ({"mve": "true"}, "mve: expected false for cortex-m7, received true"),
        ({"flash_bytes": "0"}, "flash_bytes: expected a whole number of 1 to 4,294,967,295, received 0"),
        ({"flash_bytes": "true"}, "flash_bytes: expected a whole number .*, received true"),
        ({"flash_bytes": '"1MB"'}, "flash_bytes: expected a whole number .*, received '1MB'"),
        ({"qemu_machine": '""'}, "qemu_machine: expected the name of a QEMU machine, received ''"),
    ],
)
def test_bad_keys(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(InputError, match=f"^{path}: {message}$"):
        read_device(path)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({"bytes": None}, r"expected the key ram\[1\].bytes, received none"),
        ({"size": "1"}, r"expected no keys but name, origin, bytes, external, received ram\[1\].size"),
        ({"name": '"sram"'}, r"ram\[1\].name: expected a name of its own for each region, received 'sram'"),
        ({"origin": "0x2003_ffff"}, r"ram\[1\].origin: expected a region that does not overlap 'sram', .*"),
        ({"origin": "-1"}, r"ram\[1\].origin: expected a whole number of 0 to .*, received -1"),
        ({"bytes": "0"}, r"ram\[1\].bytes: expected a whole number of 1 to .*, received 0"),
        ({"bytes": "0x6000_0001"}, r"ram\[1\].bytes: expected at most 1,610,612,736 B above 0xa0000000, .*"),
        ({"external": "1"}, r"ram\[1\].external: expected true or false, received 1"),
    ],
)
def test_bad_regions(tmp_path, region, message):
    second = {"name": '"sdram"', "origin": "0xa000_0000", "bytes": "1024", **region}
    path = write(tmp_path, REGION, {key: value for key, value in second.items() if value is not None})
    with pytest.raises(InputError, match=f"^{path}: {message}$"):
        read_device(path)


def test_no_regions(tmp_path):
    path = tmp_path / "none.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in PROFILE.items()) + "\nram = []\n")
    with pytest.raises(InputError, match=r"ram: expected at least one \[\[ram\]\] table, received \[\]$"):
        read_device(path)


@pytest.mark.parametrize("content", ["name = ", "\xff"])
def test_no_toml(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=f"^expected a device profile in TOML, received '{path}': "):
        read_device(path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"^expected a device profile in TOML, received '.*none.toml': "):
        get_device(str(tmp_path / "none.toml"))
