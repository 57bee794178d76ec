# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

import pytest

from tt_tflm.boards.simulated import open_board, toolchain
from tt_tflm.boards.simulated.toolchain import CompileUnit, build_program, find_compiler
from tt_tflm.devices import get_profile
from tt_tflm.errors import ToolchainError

PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
EMULATOR = "qemu-system-arm"


@pytest.fixture
def program(tmp_path):
    """Builds a program that prints what two sources and a header say."""
    (tmp_path / "answer.h").write_text("int answer(void);\n#define OFFSET 0\n")
    (tmp_path / "answer.c").write_text('#include "answer.h"\nint answer(void) { return 40 + OFFSET; }\n')
    (tmp_path / "main.c").write_text('#include "answer.h"\nint main(void) { return answer(); }\n')
    units = [CompileUnit(tmp_path / name, ("-O1",)) for name in ("answer.c", "main.c")]

    def build() -> Path:
        return build_program(find_compiler(get_profile("host")), units, [tmp_path], [])

    return build


@pytest.fixture
def runs(monkeypatch):
    """What the compiler is asked for."""
    seen = []
    original = toolchain._run

    def run(command, target, what):
        seen.append(what)
        original(command, target, what)

    monkeypatch.setattr(toolchain, "_run", run)
    return seen


def test_program_is_built_once(program, runs):
    first = program()
    assert subprocess.run([first]).returncode == 40
    assert sorted(runs) == ["answer.c", "link", "main.c"]
    assert program() == first
    assert len(runs) == 3


def test_a_file_that_an_assembler_source_takes_counts_as_part_of_it(program, tmp_path):
    (tmp_path / "answer.c").unlink()
    (tmp_path / "answer.S").write_text('.section .rodata\n.globl answer\nanswer:\n    .incbin "answer.bin"\n')
    (tmp_path / "main.c").write_text("extern const char answer[];\nint main(void) { return answer[0]; }\n")
    units = [CompileUnit(tmp_path / name, ("-O1",)) for name in ("answer.S", "main.c")]
    for content in (b"\x05", b"\x06"):
        (tmp_path / "answer.bin").write_bytes(content)
        built = build_program(find_compiler(get_profile("host")), units, [tmp_path], ["-Wl,-z,noexecstack"])
        assert subprocess.run([built]).returncode == content[0]


def test_a_changed_source_is_compiled_alone_and_a_changed_header_everywhere(program, runs, tmp_path):
    program()
    runs.clear()
    (tmp_path / "answer.c").write_text('#include "answer.h"\nint answer(void) { return 41 + OFFSET; }\n')
    assert subprocess.run([program()]).returncode == 41
    assert sorted(runs) == ["answer.c", "link"]
    runs.clear()
    (tmp_path / "answer.h").write_text("int answer(void);\n#define OFFSET 2\n")
    assert subprocess.run([program()]).returncode == 43
    assert sorted(runs) == ["answer.c", "link", "main.c"]


def test_a_header_counts_where_it_is_included_by_whatever_path(program, runs, tmp_path):
    (tmp_path / "inner.h").write_text("#define INNER 0\n")
    (tmp_path / "outer.h").write_text('# include "inner.h"\n')
    (tmp_path / "answer.c").write_text("#include <outer.h>\nint answer(void) { return 40 + INNER; }\n")
    program()
    runs.clear()
    (tmp_path / "inner.h").write_text("#define INNER 3\n")
    assert subprocess.run([program()]).returncode == 43
    assert sorted(runs) == ["answer.c", "link"]


def test_a_header_that_a_macro_names_may_be_any(program, runs, tmp_path):
    (tmp_path / "inner.h").write_text("#define INNER 0\n")
    (tmp_path / "answer.c").write_text(
        '#define NAME "inner.h"\n#include NAME\nint answer(void) { return 40 + INNER; }\n'
    )
    program()
    runs.clear()
    (tmp_path / "inner.h").write_text("#define INNER 3\n")
    assert subprocess.run([program()]).returncode == 43
    assert sorted(runs) == ["answer.c", "link"]


def test_a_source_that_does_not_compile_is_named_in_one_line(program, tmp_path):
    (tmp_path / "answer.c").write_text("int answer(void) { return nothing; }\n")
    with pytest.raises(ToolchainError, match=r"failed on answer\.c: .*nothing") as error:
        program()
    assert "\n" not in str(error.value)


def test_a_function_that_is_missing_is_named(program, tmp_path):
    (tmp_path / "answer.c").write_text("int other(void) { return 1; }\n")
    with pytest.raises(ToolchainError, match=r"failed on link: .*answer"):
        program()


def test_a_source_that_is_missing_is_named(program, tmp_path):
    (tmp_path / "answer.c").unlink()
    with pytest.raises(ToolchainError, match=r"answer\.c: No such file"):
        program()


@pytest.mark.parametrize("device", ["host", "cortex-m7"])
def test_a_missing_compiler_is_told_with_its_packages(device, softmax_files, monkeypatch):
    # The emulator is found first.
    monkeypatch.setattr(toolchain.shutil, "which", lambda command: "/emulator" if command == EMULATOR else None)
    packages = "gcc" if device == "host" else PACKAGES
    with pytest.raises(ToolchainError, match=f"install the Debian packages {packages}"):
        open_board(softmax_files, device)


def test_a_missing_emulator_is_told_with_its_packages(softmax_files, monkeypatch):
    which = toolchain.shutil.which
    monkeypatch.setattr(toolchain.shutil, "which", lambda command: None if command == EMULATOR else which(command))
    with pytest.raises(ToolchainError, match=f"qemu-system-arm on PATH.*install the Debian packages {PACKAGES}"):
        open_board(softmax_files, "cortex-m7")


def test_objects_are_gone_after_the_process(tmp_path):
    code = (
        "from tt_tflm.boards.simulated import toolchain\n"
        "folder = toolchain._cache_folder()\n"
        "assert folder.is_dir()\n"
        "print(folder)\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ResourceWarning" not in result.stderr
    assert not Path(result.stdout.strip()).exists()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_alone(terminal, program, monkeypatch, tmp_path):
    # Unlike that of any other test: what was compiled before is not compiled again.
    (tmp_path / "answer.h").write_text(f"int answer(void);\n#define OFFSET {100 + terminal}\n")
    shown = []

    class Bar:
        def update(self, task, completed):
            shown.append(completed)

        def stop(self):
            shown.append("stopped")

    monkeypatch.setattr(toolchain, "_PROGRESS_AFTER_S", 0.0)
    monkeypatch.setattr(toolchain, "_start_progress", lambda label, total: (Bar(), shown.append((label, total))))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    program()
    if terminal:
        assert shown[0] == ("compiling", 2)
        assert shown[-2:] == [2, "stopped"]
    else:
        assert shown == []


def test_the_bar_itself_can_be_started():
    progress, task = toolchain._start_progress("compiling", 3)
    progress.update(task, completed=1)
    progress.stop()
