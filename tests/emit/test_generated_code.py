# SPDX-License-Identifier: Apache-2.0
"""Generated C to compilers and linkers: no warning anywhere, no recursion, no stack of unknown size, no state of its
own, nothing of the C library but mathematics and memory; CMake and a plain list of sources build it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .models import MATRIX, NETS
from .training_program import FIRMWARE, PROGRAM
from .workshop import COMPILERS, CORES, MODEL_SOURCES, WARNINGS, SavedBuild, need, run_quietly

EVERYWHERE = (*NETS, "softmax_sgd_1", "prototype_adam_3")
_REST = [name for name in MATRIX if name not in EVERYWHERE]
COMPILATIONS = [
    *((name, compiler) for name in EVERYWHERE for compiler in COMPILERS),
    *((name, compiler) for name in _REST for compiler in ("gcc", "clang", "cortex-m7")),
]
# What objects may want from elsewhere: the build itself, mathematics, memory, and the compiler's arithmetic.
ALLOWED = re.compile(
    r"tt_\w+|(exp|tanh|sqrt|log|log1p|floor|round)f|mem(cpy|set|move)|__aeabi_\w+|_GLOBAL_OFFSET_TABLE_"
)
FORBIDDEN = {
    *("malloc", "free", "calloc", "realloc", "printf", "fprintf", "puts", "putchar", "fopen", "fwrite", "exit"),
    *("abort", "_malloc_r", "_free_r", "_sbrk", "__sinit", "stdout", "stderr", "alloca", "longjmp"),
}
STACK_LIMIT = 2048  # bytes of one function


@pytest.mark.parametrize(("name", "compiler"), COMPILATIONS)
def test_no_compiler_has_a_warning(name, compiler, saved, tmp_path):
    build = saved(name)
    build.compile(compiler, tmp_path, *WARNINGS, "-O2", sources=build.model_sources())


@pytest.mark.parametrize("name", ["everything", "dynamic"])
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_no_warning_with_the_flags_of_kernels(name, core, saved, tmp_path):
    build = saved(name)
    flags = ("-O3", "-ffast-math", "-fno-tree-reassoc", "-fno-schedule-insns", "-ffp-contract=fast")
    kernels = [source for source in build.sources if source.name == "tt_model_kernels.c"]
    build.compile(core, tmp_path, *WARNINGS, *flags, sources=kernels)


@pytest.mark.parametrize("name", ["everything", "prototype_adam_3", "dynamic"])
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_stands_alone(name, language, saved, tmp_path):
    compiler = {"c": "gcc", "c++": "g++"}[language]
    need(compiler)
    standard = {"c": "-std=c99", "c++": "-std=c++11"}[language]
    source = tmp_path / "includes.c"
    source.write_text('#include "tt_model.h"\n#include "tt_model.h"\n')
    run_quietly(compiler, "-x", language, standard, *WARNINGS[1:], saved(name).include, "-c", source, cwd=tmp_path)


# -------------------------------------------------------------- what objects hold and want


def _symbols(nm: str, *files: Path) -> list[tuple[str, str]]:
    """(type, name) of every symbol."""
    need(nm)
    lines = run_quietly(nm, *files).splitlines()
    return [(parts[-2], parts[-1]) for line in lines if len(parts := line.split()) >= 2 and not line.endswith(":")]


@pytest.mark.parametrize("name", ["everything", "gate", "prototype_momentum_3", "softmax_sgd_1", "dynamic"])
@pytest.mark.parametrize("compiler", ["gcc", "cortex-m4", "cortex-m3"])
def test_objects_have_no_state_and_want_nothing_but_mathematics(name, compiler, saved, tmp_path):
    # Position-independent code would put constant tables of pointers among the data that a loader relocates.
    flags = ("-O2", "-fno-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-fno-math-errno")
    objects = saved(name).compile(compiler, tmp_path, "-std=c99", *flags)
    symbols = _symbols("nm" if compiler == "gcc" else "arm-none-eabi-nm", *objects)
    assert [s for s in symbols if s[0] in "bBdDcCsS"] == [], "mutable globals"
    wanted = {symbol for kind, symbol in symbols if kind == "U"}
    assert sorted(symbol for symbol in wanted if not ALLOWED.fullmatch(symbol)) == []
    defined = [symbol for kind, symbol in symbols if kind in "TRW"]
    assert all(symbol.startswith("tt_") for symbol in defined), "names that could clash"


@pytest.mark.parametrize("name", ["everything", "prototype_adam_3", "dynamic"])
def test_firmware_pulls_in_no_allocation_and_no_stdio(name, saved, tmp_path):
    build = saved(name)
    need("arm-none-eabi-gcc", "arm-none-eabi-nm")
    main = tmp_path / "main.c"
    main.write_text(FIRMWARE)
    flags = ("-std=gnu99", "-O2", "-fno-math-errno", "-nostartfiles", "-Wl,-emain", build.include)
    program = tmp_path / "firmware.elf"
    run_quietly(*COMPILERS["cortex-m7"], *flags, main, *build.sources, "-lm", "-o", program)
    names = {symbol for _, symbol in _symbols("arm-none-eabi-nm", program)}
    assert {"tt_train_step", "tt_predict", "tt_reset"} <= names
    assert names & FORBIDDEN == set()


# -------------------------------------------------------------- stack


def _calls(graph: str) -> dict[str, set[str]]:
    """Caller to callees, of a file of -fcallgraph-info."""
    edges: dict[str, set[str]] = {}
    for caller, callee in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', graph):
        edges.setdefault(caller.split(":")[-1], set()).add(callee.split(":")[-1])
    return edges


def _cycle(edges: dict[str, set[str]]) -> list[str]:
    """A chain of calls that comes back to where it began, empty if there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path, name]
        if name in done:
            return []
        for callee in sorted(edges.get(name, ())):
            found = visit(callee, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := visit(name, []))), [])


@pytest.mark.parametrize("name", ["everything", "gate", "prototype_adam_3", "dynamic"])
def test_calls_never_come_back_and_stacks_are_small_and_known(name, saved, tmp_path):
    saved(name).compile("cortex-m7", tmp_path, "-std=c99", "-O2", "-fno-inline", "-fcallgraph-info", "-fstack-usage")
    edges: dict[str, set[str]] = {}
    for graph in sorted(tmp_path.glob("*.ci")):
        for caller, callees in _calls(graph.read_text()).items():
            edges.setdefault(caller, set()).update(callees)
    assert "tt_row" in edges["tt_model_conv2d"]
    assert _cycle(edges) == []
    stacks = [line.split("\t") for path in sorted(tmp_path.glob("*.su")) for line in path.read_text().splitlines()]
    assert {kind for _, _, kind in stacks} == {"static"}
    deep = {where.split(":")[-1]: int(size) for where, size, _ in stacks if int(size) > STACK_LIMIT}
    assert deep == {}


def test_a_cycle_would_be_found():
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["a", "b", "c", "b"]
    assert _cycle({"a": {"b", "c"}, "b": {"c"}}) == []


# -------------------------------------------------------------- building it


def _cmake(source: Path, target: Path, *options: str) -> None:
    need("cmake")
    # Warnings are errors here; a deprecation by CMake itself would be one, too.
    run_quietly("cmake", "-Werror=dev", "-S", source, "-B", target, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *options)
    run_quietly("cmake", "--build", target, "--parallel", "2")


@pytest.mark.parametrize("name", ["softmax_momentum_3", "prototype_sgd_3"])
def test_cmake_builds_the_listed_sources_into_a_library_that_links(name, saved, tmp_path):
    build = saved(name)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.c").write_text(PROGRAM)
    (tmp_path / "app" / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(app C)\n"
        f"add_subdirectory({build.folder} model)\nadd_executable(app main.c)\ntarget_link_libraries(app tt_model)\n"
    )
    _cmake(tmp_path / "app", tmp_path / "out", "-DCMAKE_C_FLAGS=-Werror")
    commands = json.loads((tmp_path / "out" / "compile_commands.json").read_text())
    compiled = sorted(Path(entry["file"]) for entry in commands)
    assert compiled == sorted([*build.sources, tmp_path / "app" / "main.c"])
    lines = run_quietly(tmp_path / "out" / "app").splitlines()
    assert lines[-1].startswith("reset ")
    flags = {Path(entry["file"]).name: entry["command"].split() for entry in commands}
    assert "-ffast-math" in flags["tt_model_kernels.c"]
    assert not any("-ffast-math" in command for file, command in flags.items() if file != "tt_model_kernels.c")
    assert all("-std=c99" in command for file, command in flags.items() if file != "main.c")


def test_cmake_cross_compiles_with_the_flags_of_the_target(saved, tmp_path):
    build = saved("sequence")  # for Cortex-M4
    need("arm-none-eabi-gcc")
    options = (
        *("-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_C_COMPILER=arm-none-eabi-gcc"),
        *("-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY", f"-DCMAKE_C_FLAGS={' '.join(COMPILERS['cortex-m4'][1:])}"),
    )
    _cmake(build.folder, tmp_path / "out", *options)
    assert (tmp_path / "out" / "libtt_model.a").is_file()
    commands = json.loads((tmp_path / "out" / "compile_commands.json").read_text())
    (kernels,) = (entry["command"] for entry in commands if entry["file"].endswith("tt_model_kernels.c"))
    assert "-mcpu=cortex-m4" in kernels


@pytest.mark.parametrize("name", [*NETS, "softmax_sgd_1", "prototype_adam_3"])
def test_the_list_of_sources_is_what_lies_in_the_folder(name, saved):
    build = saved(name)
    lines = build.text("sources.txt").splitlines()
    assert lines == sorted(str(p.relative_to(build.folder)) for p in (build.folder / "src").glob("*.c"))
    assert {f"src/{source}" for source in MODEL_SOURCES} <= set(lines)


def test_only_what_simulation_needs_lies_apart(saved):
    build = saved("everything")
    assert not any("sim/" in line for line in build.text("sources.txt").splitlines())
    firmware = [p for folder in ("src", "include") for p in (build.folder / folder).iterdir()]
    assert not [p.name for p in firmware if "tt_sim" in p.name or "tt_sim" in p.read_text()]


@pytest.mark.parametrize("name", ["softmax_adam_1", "prototype_sgd_3"])
def test_the_same_model_gives_the_same_files(name, saved, tmp_path):
    from .models import build

    again = SavedBuild(tmp_path / "again")
    build(name).save(again.folder)
    for path in sorted(saved(name).folder.rglob("*")):
        if path.suffix in (".c", ".h", ".txt", ".json"):
            assert path.read_text() == (again.folder / path.relative_to(saved(name).folder)).read_text(), path.name


def test_every_core_is_compiled_for():
    assert set(COMPILERS) == {"gcc", "clang", *CORES}
    assert {"cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"} <= set(CORES)
