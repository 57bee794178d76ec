# SPDX-License-Identifier: Apache-2.0
"""The recipe of an architecture and its cores: one file, here of another package; no compiler of it is needed."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

import tt_tflm
from recipes import outside
from tt_tflm.boards.simulated.qemu import build_board_program, emulator_command
from tt_tflm.boards.simulated.toolchain import find_compiler, find_emulator
from tt_tflm.devices import CORES, core_names, device_names, get_device, get_profile
from tt_tflm.errors import InputError, ToolchainError
from tvm_passes.kernels.tiling import CORTEX_M, HOST, tiling_for

RV32 = """
from tt_tflm.devices.cores import KERNEL_FLAGS, Architecture, Core, Toolchain, add_cores
from tt_tflm.devices.emulation import EmulatedBoard, Emulator, MemoryRegion, SimulationTimer

PACKAGES = "gcc-of-rv32 qemu-of-rv32"
RV32 = Architecture(
    "rv32",
    isa=frozenset({"rv32"}),
    toolchain=Toolchain(("rv32-gcc", "rv32-clang"), "rv32-size", "rv32-ar", PACKAGES),
    cpu_flags=lambda core, features: (
        f"-march={core.name}{'f' if features['fpu'] == 'single' else ''}{'_xdot' if features['dot'] else ''}",
        "-mabi=ilp32",
    ),
    kernel_flags=(*KERNEL_FLAGS, "-funroll-loops"),
    emulator=Emulator("qemu-rv32", PACKAGES, ("start_rv32.c",), ("call_rv32.S",), "rv32.ld", ("-semihosting",)),
)
BOARD = EmulatedBoard(
    "virt", 0x8000_0000, MemoryRegion(0x8000_0400, 1 << 20), MemoryRegion(0x9000_0000, 1 << 24),
    SimulationTimer(0x200_0000, 0x200_bff8, False, 1, 1), 0x1000_0000,
)
add_cores(Core("rv32imc", "any RV32IMC", RV32, {"fpu": ("none", "single"), "dot": (False, True)}, BOARD))
"""
BOARD = """
name = "my-riscv"
title = "My RISC-V board"
core = "rv32imc"
fpu = "single"
dot = true
flash_bytes = 4_194_304
[[ram]]
name = "sram"
origin = 0x8000_0000
bytes = 524_288
"""


@pytest.fixture
def rv32(monkeypatch, tmp_path):
    outside.install(monkeypatch, tmp_path / "site", CORES, "tt_tflm.cores", "someones_core", RV32)


def fake_tool(folder: Path, name: str) -> Path:
    """A compiler that writes down what it was told, and makes the file that it was asked for."""
    path, log = folder / name, folder / f"{name}.log"
    path.write_text(f'#!/bin/sh\necho "$@" >> {log}\nfor last; do :; done\ntouch "$last"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return log


def test_flags_and_instruction_sets_follow(rv32, tmp_path):
    assert (device_names()[0], core_names()[-1]) == ("host", "rv32imc")
    (tmp_path / "my-riscv.toml").write_text(BOARD)
    core, board = get_device("rv32imc"), get_device(str(tmp_path / "my-riscv.toml"))
    assert core.profile.cpu_flags == ("-march=rv32imc", "-mabi=ilp32")
    assert board.profile.cpu_flags == ("-march=rv32imcf_xdot", "-mabi=ilp32")
    assert core.profile.isa == {"scalar", "rv32"}
    assert board.profile.isa == {"scalar", "rv32", "dot"}
    assert tiling_for(board.profile.isa) == replace(HOST, isa=board.profile.isa)
    for isa in (get_profile(name).isa for name in core_names() if name.startswith("cortex")):
        assert tiling_for(isa) == replace(CORTEX_M, isa=isa)
    assert not core.profile.is_host
    assert tt_tflm.devices.device_from_json(board.to_json()) == board
    (tmp_path / "bad.toml").write_text(BOARD.replace("dot = true", "dot = 3"))
    with pytest.raises(InputError, match=r"dot: expected false or true for rv32imc, received 3$"):
        get_device(str(tmp_path / "bad.toml"))


def test_commands_of_simulation_follow(rv32, tmp_path, monkeypatch):
    profile, tools = get_profile("rv32imc"), tmp_path / "bin"
    tools.mkdir()
    with pytest.raises(ToolchainError, match=r"expected rv32-gcc or rv32-clang on PATH .*: install .* gcc-of-rv32"):
        find_compiler(profile)
    with pytest.raises(ToolchainError, match="expected qemu-rv32 on PATH to emulate a rv32imc"):
        find_emulator(profile)
    log = fake_tool(tools, "rv32-gcc")
    fake_tool(tools, "qemu-rv32")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    for name in ("main.c", "kernel.c", "start_rv32.c", "rv32.ld"):
        (tmp_path / name).write_text("")
    elf = build_board_program("rv32imc", [tmp_path / "main.c"], [tmp_path / "kernel.c"], (), tmp_path)
    commands = log.read_text().splitlines()
    compiled = {Path(line.split(" -c ")[1].split()[0]).name: line for line in commands if " -c " in line}
    assert compiled.keys() == {"main.c", "kernel.c", "start_rv32.c"}
    assert all("-march=rv32imc -mabi=ilp32" in line for line in commands)
    assert "-funroll-loops" in compiled["kernel.c"]
    assert "-funroll-loops" not in compiled["main.c"] + compiled["start_rv32.c"]
    assert f"-T {tmp_path / 'rv32.ld'}" in commands[-1]
    assert emulator_command("rv32imc", elf)[:3] == [str(tools / "qemu-rv32"), "-M", "virt"]
    assert "-semihosting" in emulator_command("rv32imc", elf)
    assert not any("mcpu" in line or "mthumb" in line for line in commands)


def test_a_build_is_made_for_it(rv32, tmp_path, capfd):
    converter = tt_tflm.TrainableConverter.from_keras_model(outside.embedding_model())
    converter.target, converter.loss = "rv32imc", tt_tflm.PrototypeLoss(3)
    build = converter.convert()
    assert "-funroll-loops" in build.files["CMakeLists.txt"]
    assert (build.report["target"], build.report["flash_bytes"]["code"]) == ("rv32imc", None)
    build.save(tmp_path / "out")
    assert tt_tflm.load_build(tmp_path / "out").device == get_device("rv32imc")
    code, table, _ = outside.tt_tflm(capfd, "devices")
    assert code == 0
    (row,) = (line for line in table.splitlines() if "any RV32IMC" in line)
    assert "rv32" in row
    assert "virt" in row


def test_nothing_else_knows_a_compiler_or_an_emulator():
    package = Path(tt_tflm.__file__).parent
    own = package / "devices" / "architectures"
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if own not in path.parents:
            assert not [word for word in ("arm-none-eabi", "qemu-system-", "-mcpu", "-mthumb") if word in text], path
