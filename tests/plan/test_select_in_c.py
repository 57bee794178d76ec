# SPDX-License-Identifier: Apache-2.0
"""The device's selection is the host's to the channel, on this machine, under sanitisers and on an emulated board."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from plan.random_tables import random_budget, random_fisher, random_table
from tt_tflm.boards.simulated.protocol import Status
from tt_tflm.devices import get_profile
from tt_tflm.errors import InputError
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import CostTable
from tt_tflm.plan.select import select

OPS = Path(__file__).parents[2] / "ops"
PROGRAM = Path(__file__).parent / "select_cases.c"
BOARD_SOURCES = tuple(
    OPS / "sim" / name for name in ("tt_sim_start.c", "tt_sim_clock.c", "tt_sim_timed_call.S", "tt_sim_semihost.c")
)
RUNTIME = (OPS / "src/tt_select.c", OPS / "src/tt_all_finite.c")
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FIGURES = ("training_memory_bytes", "ram_bytes", "backward_macs")


@dataclass(frozen=True)
class Case:
    """A task of selection; `fisher` is not checked here, so that it may hold what the device has to refuse."""

    table: CostTable
    fisher: dict[str, np.ndarray]
    budget: Budget
    share_256: int = 128


def random_case(seed: int) -> Case:
    generator = np.random.default_rng(seed)
    table = random_table(generator, channels=120 if seed % 10 == 0 else 24)
    share = 128 if seed % 2 else int(generator.integers(1, 257))
    return Case(table, random_fisher(generator, table), random_budget(generator, table), share)


def spoilt_cases() -> list[tuple[Case, Status]]:
    """Potentials that are refused, and by which status."""
    cases = []
    for seed, (bad, status) in enumerate(
        [
            (np.nan, Status.NOT_FINITE),
            (np.inf, Status.NOT_FINITE),
            (-np.inf, Status.NOT_FINITE),
            (-1.0, Status.INVALID_ARGUMENT),
            (-1.401298464324817e-45, Status.INVALID_ARGUMENT),
        ]
    ):
        case = random_case(1000 + seed)
        values = case.fisher[case.table.candidates[-1].layer]
        values[-1] = bad
        cases.append((case, status))
    return cases


# -------------------------------------------------------------------- what C is given


def _float(value: np.float32) -> str:
    if not np.isfinite(value):
        return {"nan": "NAN", "inf": "INFINITY", "-inf": "-INFINITY"}[str(value)]
    return f"{float(value).hex()}f"


def _array(kind: str, name: str, rows: Sequence[str]) -> str:
    return f"static const {kind} {name}[] = {{{', '.join(rows)}}};\n" if rows else ""


def _case_in_c(number: int, case: Case) -> tuple[str, str]:
    table, limits = case.table, case.budget.resolve(case.table.backward_macs_full).to_json()
    names = [f"{part}_{number}" for part in ("candidates", "tensors", "items", "potentials", "counts", "channels")]
    candidates = [
        f"{{{c.channels}u, {c.parameters}u, {c.forward_macs}u, {c.row_parameters}u, {c.row_bytes}u, {c.channel_macs}u}}"
        for c in table.candidates
    ]
    tensors = [f"{{{t.full_guard}u, {t.mask_guard}u, {t.full_bytes}u, {t.mask_bytes}u}}" for t in table.tensors]
    items = [f"{{{item.guard}u, {item.macs}u}}" for item in table.mac_items]
    potentials = [_float(value) for c in table.candidates for value in case.fisher[c.layer]]
    text = (
        _array("tt_candidate_t", names[0], candidates)
        + _array("tt_saved_tensor_t", names[1], tensors)
        + _array("tt_mac_item_t", names[2], items)
        + _array("float", names[3], potentials)
        + f"static uint16_t {names[4]}[{len(candidates)}];\nstatic uint16_t {names[5]}[{len(potentials)}];\n"
    )
    budget = ", ".join("TT_BUDGET_NONE" if limits[name] is None else f"{limits[name]}u" for name in FIGURES)
    entry = (
        f"{{{{{names[0]}, {names[1] if tensors else 'NULL'}, {names[2] if items else 'NULL'}, {len(candidates)}u, "
        f"{len(tensors)}u, {len(items)}u, {table.fixed_ram_bytes}u}}, {names[3]}, {{{budget}}}, {case.share_256}u, "
        f"{names[4]}, {names[5]}}}"
    )
    return text, entry


def write_cases(folder: Path, cases: Sequence[Case]) -> None:
    """cases.h, as select_cases.c includes it."""
    texts, entries = zip(*(_case_in_c(number, case) for number, case in enumerate(cases)), strict=True)
    listed = ",\n".join(entries)
    (folder / "cases.h").write_text(
        "#include <math.h>\n" + "".join(texts) + f"static const case_t CASES[] = {{\n{listed}}};\n"
    )


# -------------------------------------------------------------------- what came out


@dataclass(frozen=True)
class Outcome:
    """A status and, where it is OK, the channels of each layer and what they cost."""

    status: int
    channels: tuple[tuple[int, ...], ...] = ()
    cost: tuple[int, ...] = ()


def read_outcomes(path: Path, cases: Sequence[Case]) -> tuple[list[Outcome], list[int]]:
    """Outcomes and instructions of all cases."""
    data = path.read_bytes()
    at = 0

    def take(dtype: str, count: int) -> list[int]:
        nonlocal at
        values = np.frombuffer(data, dtype, count, at)
        at += values.nbytes
        return values.tolist()

    outcomes, instructions = [], []
    for case in cases:
        spent, status = take("<u4", 2)
        instructions.append(spent)
        if status != Status.OK:
            outcomes.append(Outcome(status))
            continue
        cost = tuple(take("<u8", 4))
        counts = take("<u2", len(case.table.candidates))
        outcomes.append(Outcome(status, tuple(tuple(take("<u2", count)) for count in counts), cost))
    assert at == len(data)
    return outcomes, instructions


def on_the_host(case: Case) -> Outcome:
    try:
        plan = select(case.table, case.fisher, case.budget, share=case.share_256 / 256)
    except InputError:
        return Outcome(Status.BUDGET_TOO_SMALL)
    layers = plan.to_json()["layers"]
    channels = tuple(tuple(layers[c.layer]["channels"]) if c.layer in layers else () for c in case.table.candidates)
    return Outcome(Status.OK, channels, tuple(plan.spent.values()))


def compare(outcomes: Sequence[Outcome], cases: Sequence[Case]) -> None:
    for number, (case, outcome) in enumerate(zip(cases, outcomes, strict=True)):
        assert outcome == on_the_host(case), f"case {number}"


def build(command: Sequence[str], folder: Path, *arguments: str | Path) -> Path:
    if shutil.which(command[0]) is None:
        pytest.skip(f"not installed: {command[0]}")
    program = folder / "select_cases"
    sources = (PROGRAM, *RUNTIME)
    flags = (*WARNINGS, f"-I{folder}", f"-I{OPS / 'include'}")
    result = subprocess.run([*command, *flags, *sources, *arguments, "-o", program], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    return program


def run(command: Sequence[str | Path], folder: Path) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("compiler", "flags", "count"),
    [("gcc", ("-O2",), 400), ("gcc", SANITIZERS, 120), ("clang", ("-O3",), 120), ("clang", SANITIZERS, 120)],
    ids=["gcc", "gcc sanitised", "clang", "clang sanitised"],
)
def test_device_chooses_as_the_host_does(compiler, flags, count, tmp_path):
    cases = [random_case(seed) for seed in range(count)]
    write_cases(tmp_path, cases)
    run([build((compiler, *flags), tmp_path)], tmp_path)
    outcomes, _ = read_outcomes(tmp_path / "results.bin", cases)
    compare(outcomes, cases)
    statuses = [outcome.status for outcome in outcomes]
    assert 0 < statuses.count(Status.BUDGET_TOO_SMALL) < count / 2


def test_device_refuses_bad_potentials(tmp_path):
    cases = spoilt_cases()
    write_cases(tmp_path, [case for case, _ in cases])
    run([build(("gcc", *SANITIZERS), tmp_path)], tmp_path)
    outcomes, _ = read_outcomes(tmp_path / "results.bin", [case for case, _ in cases])
    assert outcomes == [Outcome(status) for _, status in cases]


def backbone() -> Case:
    """A table of the size of a whole small network, without limits: the most that selection can have to do."""
    generator = np.random.default_rng(0)
    table = random_table(generator, count=64, channels=1)
    table = replace(table, candidates=tuple(replace(c, channels=160) for c in table.candidates))
    most = table.cost(dict.fromkeys(range(64), 80))
    fisher = {c.layer: generator.gamma(0.5, size=160).astype(np.float32) for c in table.candidates}
    return Case(table, fisher, Budget(training_memory=most.training_memory_bytes, backward_macs=most.backward_macs))


@pytest.mark.qemu
@pytest.mark.parametrize("device", ["cortex-m3", "cortex-m7"])
def test_board_chooses_as_the_host_does(device, tmp_path):
    cases = [*(random_case(seed) for seed in range(60)), backbone()]
    write_cases(tmp_path, cases)
    profile = get_profile(device)
    board = profile.board
    timer = board.timer
    addresses = {
        "tt_sim_vectors_origin": board.vectors,
        "tt_sim_code_origin": board.code.origin,
        "tt_sim_code_length": board.code.length,
        "tt_sim_data_origin": board.data.origin,
        "tt_sim_data_length": board.data.length,
    }
    program = build(
        ("arm-none-eabi-gcc", *profile.compile_flags(kernel=False)),
        tmp_path,
        *BOARD_SOURCES,
        f"-I{OPS / 'sim'}",
        f"-DTT_SIM_TIMER_CONTROL={timer.control:#x}",
        f"-DTT_SIM_TIMER_COUNT={timer.count:#x}",
        f"-DTT_SIM_TIMER_COUNTS_DOWN={int(timer.counts_down)}",
        f"-DTT_SIM_TICK_NUMERATOR={timer.tick_numerator}",
        f"-DTT_SIM_TICK_DENOMINATOR={timer.tick_denominator}",
        "-nostartfiles",
        "-Wl," + ",".join(f"--defsym={name}={value:#x}" for name, value in addresses.items()),
        "-T",
        OPS / "sim/tt_sim.ld",
    )
    emulator = ("qemu-system-arm", "-M", board.machine, "-display", "none", "-monitor", "none", "-serial", "none")
    options = ("-semihosting-config", "enable=on,target=native", "-icount", "shift=0")
    run((*emulator, *options, "-kernel", program), tmp_path)
    outcomes, instructions = read_outcomes(tmp_path / "results.bin", cases)
    compare(outcomes, cases)
    # A fraction of one train step, of which an adaptation makes a thousand.
    channels = sum(c.channels for c in cases[-1].table.candidates)
    assert instructions[-1] < 450 * channels
