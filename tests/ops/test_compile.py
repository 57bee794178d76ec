# SPDX-License-Identifier: Apache-2.0
"""Runtime and simulation compile without a warning for every target, and are clean under sanitisers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tt_tflm.devices import core_names, get_profile

OPS = Path(__file__).parents[2] / "ops"
CHECKS = Path(__file__).parent / "runtime_checks.c"
RUNTIME = sorted((OPS / "src").glob("tt_*.c"))
HEADERS = sorted((OPS / "include").glob("tt_*.h"))
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
# What simulation compiles with, apart from the addresses.
TIMERS = {
    "down": ("-DTT_SIM_TIMER_COUNTS_DOWN=1", "-DTT_SIM_TICK_NUMERATOR=40", "-DTT_SIM_TICK_DENOMINATOR=1"),
    "up": ("-DTT_SIM_TIMER_COUNTS_DOWN=0", "-DTT_SIM_TICK_NUMERATOR=125", "-DTT_SIM_TICK_DENOMINATOR=4"),
}
ADDRESSES = ("-DTT_SIM_TIMER_CONTROL=0x40000000", "-DTT_SIM_TIMER_COUNT=0x40000004")
FAKE_MODEL = Path(__file__).parents[1] / "boards/simulated/fake_model"

COMPILERS = [pytest.param((compiler,), id=compiler) for compiler in ("gcc", "clang")]
CORES = [
    pytest.param((get_profile(name).toolchain.compilers[0], *get_profile(name).cpu_flags), id=name)
    for name in core_names()
    if not get_profile(name).is_host
]


def compile_quietly(command: tuple[str, ...], *arguments: str | Path, cwd: Path | None = None) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"not installed: {command[0]}")
    result = subprocess.run([*command, *arguments], cwd=cwd, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


# What a level finds does not depend on the core; what types find does.
@pytest.mark.parametrize(
    ("command", "level"),
    [pytest.param(c.values[0], level, id=f"{level}-{c.id}") for c in COMPILERS for level in ("-O0", "-O2", "-O3")]
    + [pytest.param(c.values[0], "-O2", id=f"-O2-{c.id}") for c in CORES],
)
def test_runtime_has_no_warnings(command, level, tmp_path):
    compile_quietly(command, level, *WARNINGS, f"-I{OPS / 'include'}", "-c", *RUNTIME, cwd=tmp_path)


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
@pytest.mark.parametrize("language", ["c", "c++"])
def test_headers_stand_alone(header, language, tmp_path):
    source = tmp_path / "includes.c"
    source.write_text(f'#include "{header.name}"\n#include "{header.name}"\n')
    flags = WARNINGS if language == "c" else ("-std=c++11", *WARNINGS[1:])
    compile_quietly(("gcc",), "-x", language, *flags, f"-I{OPS / 'include'}", "-c", source, "-o", tmp_path / "out.o")


@pytest.fixture(params=[0, 1], ids=["softmax", "prototype"])
def model_includes(request, tmp_path):
    (tmp_path / "tt_fake_variant.h").write_text(f"#define TT_MODEL_HAS_PROTOTYPES {request.param}\n")
    (tmp_path / "tt_sim_model.h").write_text('#include "tt_model.h"\n#define TT_SIM_MODEL tt_model\n')
    folders = (tmp_path, FAKE_MODEL, OPS / "include", OPS / "sim")
    return tuple(f"-I{folder}" for folder in folders)


@pytest.mark.parametrize("command", CORES)
@pytest.mark.parametrize("timer", TIMERS)
def test_simulation_server_has_no_warnings(command, timer, model_includes, tmp_path):
    # The console needs more of a model: it is compiled with builds, in tests/console.
    others = {OPS / "sim/tt_sim_host.c", *(OPS / "sim").glob("tt_sim_console*.c")}
    sources = set((OPS / "sim").glob("*.c")) - others
    for source in sorted(sources):
        compile_quietly(
            command,
            "-O2",
            *WARNINGS,
            *TIMERS[timer],
            *ADDRESSES,
            *model_includes,
            "-c",
            source,
            "-o",
            tmp_path / "out.o",
        )


@pytest.mark.parametrize("command", COMPILERS)
def test_host_helper_has_no_warnings(command, model_includes, tmp_path):
    source = OPS / "sim/tt_sim_host.c"
    compile_quietly(command, "-O2", *WARNINGS, *model_includes, "-c", source, "-o", tmp_path / "out.o")


@pytest.mark.parametrize("command", COMPILERS)
def test_runtime_is_clean_under_sanitisers(command, tmp_path):
    program = tmp_path / "checks"
    compile_quietly(
        command,
        "-g",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        *WARNINGS,
        f"-I{OPS / 'include'}",
        CHECKS,
        *RUNTIME,
        "-lm",
        "-o",
        program,
    )
    result = subprocess.run([program], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")


def test_firmware_pulls_in_no_allocation_and_no_stdio(tmp_path):
    program = tmp_path / "runtime.elf"
    everything = tmp_path / "main.c"
    everything.write_text(
        '#include "tt_loss.h"\n#include "tt_optimizer.h"\n#include "tt_prototype.h"\n'
        "const void *volatile used[] = {(const void *)tt_softmax_cross_entropy, (const void *)tt_sgd_update,\n"
        "(const void *)tt_momentum_update, (const void *)tt_adam_update, (const void *)tt_prototypes_loss,\n"
        "(const void *)tt_prototypes_enroll, (const void *)tt_prototypes_reset, (const void *)tt_status_text};\n"
        "int main(void) { return used[0] == 0; }\n"
    )
    command = ("arm-none-eabi-gcc", *get_profile("cortex-m7").cpu_flags)
    compile_quietly(
        command,
        "-O2",
        "-std=c99",
        f"-I{OPS / 'include'}",
        everything,
        *RUNTIME,
        "-nostartfiles",
        "-Wl,-emain",
        "-lm",
        "-o",
        program,
    )
    symbols = subprocess.run(["arm-none-eabi-nm", program], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1] for line in symbols.splitlines()}
    assert "tt_softmax_cross_entropy" in names
    assert not names & {"malloc", "_malloc_r", "free", "_free_r", "printf", "puts", "fwrite", "_sbrk", "__sinit"}
