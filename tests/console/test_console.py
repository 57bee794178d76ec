# SPDX-License-Identifier: Apache-2.0
"""The console in C: what it answers to whom, under the sanitisers, and with every compiler."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from emit import models
from emit.workshop import COMPILERS, need, run_quietly
from oracle.fixed_nets import CLASSES, INPUT_SHAPE

from tt_tflm.boards.serial.frames import ConsoleError, read_answer, request
from tt_tflm.boards.simulated.protocol import Status
from tt_tflm.files.ops_path import ops_path

from .builds import SANITIZERS, WARNINGS, answers_in_turn, program_of, talk, written

OPS = ops_path()
HEADER = OPS / "console/tt_console.h"
FUZZ = Path(__file__).parent / "fuzz_console.c"
TWO_CONSOLES = Path(__file__).parent / "two_consoles.c"
ELEMENTS = int(np.prod(INPUT_SHAPE))
FRAMES = 100_000
SIZES = """
#include <stdio.h>
#include "tt_console.h"
#include "tt_model.h"
#define BYTES(n) TT_CONSOLE_WORKSPACE_BYTES(n, TT_MODEL_INPUT_ELEMENTS, TT_MODEL_CLASSES, TT_MODEL_OUTPUT_ELEMENTS, \\
                                            TT_MODEL_HAS_PROTOTYPES, TT_MODEL_ADAPTABLE)
static uint8_t arena[TT_MODEL_ARENA_BYTES] __attribute__((aligned(16)));
static uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES] __attribute__((aligned(16)));
int main(void) {
    tt_session_t session;
    if (tt_init(&session, &tt_model, arena, sizeof arena, row_pool, sizeof row_pool) != TT_OK) {
        return 2;
    }
    for (uint32_t n = 1; n < 300u; n *= 3u) {
        const size_t asked = tt_console_workspace_bytes(&session, n);
        if (BYTES(n) != (asked > 0u ? asked : 1u)) {
            return 1;
        }
    }
    puts("equal");
    return 0;
}
"""
# Every kind of build: choosing or not, adapting or step by step, with prototypes or without.
NAMES = ("dynamic", "prototype_adam_3", "prototype_sgd_1", "softmax_sgd_1", "dynamic_softmax")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: written(name, tmp_path_factory.mktemp(name)) for name in NAMES}


@pytest.fixture(scope="module")
def program(folders) -> Path:
    need("gcc")
    folder = folders["dynamic"]
    return program_of(folder, "console", folder / "sim/tt_sim_console_host.c", defines=("-DTT_SIM_CONSOLE_CAPACITY=2",))


@pytest.fixture(scope="module")
def step_by_step(folders) -> Path:
    need("gcc")
    folder = folders["softmax_sgd_1"]
    return program_of(folder, "console", folder / "sim/tt_sim_console_host.c")


def answers(program: Path, *lines: bytes | str) -> list[str]:
    """Without their checksums, which are checked, to lines that are sent one after the other."""
    frames = (line if isinstance(line, bytes) else line.encode("ascii") + b"\n" for line in lines)
    said = answers_in_turn(program, frames)
    for line in said:
        read_answer(line.encode("ascii"))  # its checksum
    return [line.rpartition("*")[0] for line in said]


def sample(first: int, value: int = 7) -> list[bytes]:
    """A sample as frames numbered from `first`: two of them."""
    pixels = base64.b64encode(bytes([value + i % 5 for i in range(ELEMENTS)])).decode("ascii")
    return [request(first, "begin", "uint8"), request(first + 1, "data", 0, pixels)]


@pytest.mark.parametrize("compiler", ["gcc", "clang", "cortex-m4"])
def test_no_compiler_warns(compiler, folders, tmp_path):
    """The console is compiled once for all builds: it knows none. The simulation's own sources are of a build."""
    need(COMPILERS[compiler][0])
    command = (*COMPILERS[compiler], *WARNINGS)
    generic = [f"-I{OPS / part}" for part in ("include", "console")]
    # Types differ between compilers and cores; what the optimiser finds is asked of one.
    depth = ("-O1", "-c") if compiler == "gcc" else ("-fsyntax-only",)
    run_quietly(*command, *depth, *generic, *sorted((OPS / "console").glob("*.c")), cwd=tmp_path)
    main = "tt_sim_console_uart.c" if compiler == "cortex-m4" else "tt_sim_console_host.c"
    for folder in folders.values():
        own = [f"-I{folder / part}" for part in ("include", "console", "sim")]
        sources = [folder / "sim" / "tt_sim_console.c", folder / "sim" / main]
        run_quietly(*command, "-DTT_SIM_UART=0x40004000", "-fsyntax-only", *own, *sources)


@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_stands_alone(language, tmp_path):
    need("gcc")
    source = tmp_path / "includes.c"
    source.write_text('#include "tt_console.h"\n#include "tt_console.h"\n')
    flags = WARNINGS if language == "c" else ("-std=c++11", *WARNINGS[1:])
    includes = [f"-I{OPS / part}" for part in ("include", "console")]
    run_quietly("gcc", "-x", language, *flags, *includes, "-fsyntax-only", source)


def test_python_knows_every_error():
    text = HEADER.read_text()
    for error in ConsoleError:
        assert f"TT_CONSOLE_{error.name} = {error.value}" in text
    listed = text.split("typedef enum {")[1].split("}")[0]
    assert listed.count(" = ") == len(ConsoleError)


@pytest.mark.parametrize("name", ["dynamic", "prototype_sgd_1", "softmax_sgd_1"])
def test_the_workspace_is_known_before(name, folders, tmp_path):
    folder = folders[name]
    main = tmp_path / "sizes.c"
    main.write_text(SIZES)
    parts = [f"-I{folder / part}" for part in ("include", "src", "console")]
    target = tmp_path / "sizes"
    sources = [*folder.glob("src/*.c"), *folder.glob("console/*.c"), main]
    run_quietly("gcc", "-std=c99", "-O0", *parts, *sources, "-lm", "-o", target)
    assert run_quietly(target) == "equal\n"


def test_a_person_may_type(program):
    said = answers(program, "status", "", "  begin   uint8 ", "reset")
    assert said[0].startswith("!ok protocol=1 fingerprint=") and " capacity=2 samples=0 " in said[0]
    assert said[1:] == [f"!ok bytes={ELEMENTS}", "!ok"]
    shown = talk(program, "help\n")
    for command in (
        "status",
        "begin",
        "data",
        "enroll",
        "predict",
        "train",
        "adapt",
        "cancel",
        "losses",
        "forget",
        "save",
        "reset",
    ):
        assert any(line.startswith(command) for line in shown), command


WRONG = {
    "unknown command": ("fly", ConsoleError.UNKNOWN),
    "case matters": ("STATUS", ConsoleError.UNKNOWN),
    "wrong checksum": ("status*00000000", ConsoleError.BAD_CHECKSUM),
    "short checksum": ("status*0000", ConsoleError.BAD_CHECKSUM),
    "long checksum": ("status*000000000", ConsoleError.BAD_CHECKSUM),
    "data without checksum": ("data 0 AAAA", ConsoleError.NO_CHECKSUM),
    "sequence without checksum": ("#1 status", ConsoleError.NO_CHECKSUM),
    "no sequence": (request("x", "status"), ConsoleError.UNREADABLE),
    "a sequence beyond 32 bits": (request(2**32, "status"), ConsoleError.UNREADABLE),
    "not printable": (b"sta\x01tus\n", ConsoleError.UNREADABLE),
    "beyond ASCII": (b"status\xff\n", ConsoleError.UNREADABLE),
    "oversized": ("x" * 256, ConsoleError.TOO_LONG),
    "very long": ("x" * 100_000, ConsoleError.TOO_LONG),
    "too many words": ("status a b c d e f g h", ConsoleError.BAD_ARGUMENT),
    "an argument too many": ("predict 1", ConsoleError.BAD_ARGUMENT),
    "no label": ("enroll", ConsoleError.BAD_ARGUMENT),
    "a label of letters": ("enroll one", ConsoleError.BAD_ARGUMENT),
    "a negative label": ("enroll -1", ConsoleError.BAD_ARGUMENT),
    "a label beyond 32 bits": ("enroll 4294967296", ConsoleError.BAD_ARGUMENT),
    "label out of range": (f"enroll {CLASSES}", Status.LABEL_OUT_OF_RANGE),
    "no sample to enroll": ("enroll 0", ConsoleError.NO_SAMPLE),
    "no sample to predict": ("predict", ConsoleError.NO_SAMPLE),
    "no sample to train": ("train 0", ConsoleError.NO_SAMPLE),
    "nothing begun": (request(1, "data", 0, "AAAA"), ConsoleError.NO_SAMPLE),
    "no such format": ("begin int8", ConsoleError.BAD_ARGUMENT),
    "nothing to adapt to": ("adapt 1", ConsoleError.NO_SAMPLE),
    "iterations out of range": ("adapt 257", ConsoleError.BAD_ARGUMENT),
    "no such option": ("adapt 1 0 backwards", ConsoleError.BAD_ARGUMENT),
    "nothing saved": ("load", Status.NO_STATE),
    "nothing to dump": ("dump 0", Status.NO_STATE),
    "losses beyond": ("losses 1", ConsoleError.BAD_ARGUMENT),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_answered_and_the_session_goes_on(case, program):
    line, code = WRONG[case]
    said = answers(program, line, "status")
    assert said[0].startswith(f"!error {int(code)} ")
    assert said[1].startswith("!ok protocol=1") and len(said) == 2


def test_data_have_an_order_and_an_end(program):
    piece = base64.b64encode(bytes(30)).decode("ascii")
    said = answers(
        program,
        request(1, "begin", "uint8"),
        request(2, "data", 3, piece),
        request(3, "data", 0, piece),
        request(4, "predict"),
        request(5, "data", 31, piece),
        request(6, "data", 40, piece),
        request(7, "data", 10, piece),
        request(8, "data", 30, piece),
        request(9, "data", 31, piece),
        request(10, "data", 0, "A==="),
        request(11, "data", 0, "AAAA$AAA"),
        request(12, "predict"),
    )
    codes = [read.code for read in (_parsed(line) for line in said)]
    order, bad = ConsoleError.OUT_OF_ORDER, ConsoleError.BAD_ARGUMENT
    assert codes == [0, order, 0, ConsoleError.NO_SAMPLE, order, order, 0, 0, bad, bad, bad, Status.NOT_ENROLLED]
    assert said[6].endswith(" bytes=40") and said[7].endswith(f" bytes={ELEMENTS}")


def _parsed(line: str):
    from zlib import crc32

    return read_answer(b"%s*%08x" % (line.encode("ascii"), crc32(line.encode("ascii"))))


def test_a_repeated_request_is_performed_once(program):
    enroll = request(3, "enroll", 1)
    said = answers(program, *sample(1), enroll, enroll, enroll, "status")
    assert said[2:5] == ["!ok #3 samples=1"] * 3 and " samples=1 " in said[5]
    # Another frame under the same number is another request.
    said = answers(program, *sample(1), enroll, *sample(4), request(3, "enroll", 2), "status")
    assert said[5] == "!ok #3 samples=2" and " samples=2 " in said[6]
    # Whatever noise comes between.
    said = answers(program, *sample(1), enroll, "noise*00000000", "fly", enroll, "status")
    assert said[2] == said[5] == "!ok #3 samples=1" and " samples=1 " in said[6]
    # An error is told twice.
    said = answers(program, request(1, "enroll", 0), request(1, "enroll", 0))
    assert said[0] == said[1] and said[0].startswith("!error 106 #1 ")


def test_a_repeated_step_is_taken_once(step_by_step):
    once, next_one = request(9, "train", 1), request(10, "train", 1)
    said = answers(step_by_step, *sample(1), once, once, next_one)
    losses = [line.split("=")[1] for line in said[2:]]
    assert losses[0] == losses[1] != losses[2]
    assert losses[2] == answers(step_by_step, *sample(1), once, next_one)[-1].split("=")[1]


def test_room_for_samples_has_an_end(program):
    frames = [frame for i in range(3) for frame in (*sample(10 * i), request(10 * i + 2, "enroll", i))]
    said = answers(program, *frames, "predict", "forget", "status")
    assert said[8].startswith("!error 108 #22 ")
    assert said[9].startswith("!ok class="), "the sample that found no room can still be classified"
    assert said[10] == "!ok" and " samples=0 " in said[11]


def test_what_a_build_lacks_is_an_error(step_by_step):
    frames = [frame for i in range(2) for frame in (*sample(10 * i, value=60 * i), request(10 * i + 2, "enroll", i))]
    said = answers(
        step_by_step, *frames, "adapt 1 0 flip", "adapt 4 1", "losses 0", "adapt 4 2", *sample(50), "predict"
    )
    assert said[6].startswith("!error 110 ")
    assert said[7].startswith("!ok iterations=4 loss=") and said[8].startswith("!ok total=4 first=0 data=")
    assert said[-1].startswith("!ok class=")


def test_floats_can_be_classified_but_not_kept_among_pixels(program):
    values = (np.arange(ELEMENTS, dtype=np.float32) / 40 - 1).tobytes()
    halves = [base64.b64encode(values[:120]).decode("ascii"), base64.b64encode(values[120:]).decode("ascii")]
    floats = [request(5, "begin", "float32"), request(6, "data", 0, halves[0]), request(7, "data", 120, halves[1])]
    said = answers(program, *sample(1), request(3, "enroll", 0), *floats, "enroll 1", "predict", "adapt 1", "predict")
    assert said[6].startswith("!error 109 ") and said[7].startswith("!ok class=0 ")
    assert said[8].startswith("!ok iterations=1 ")
    assert said[9].startswith("!error 106 "), "adapting has taken the place of the floats"
    nan = base64.b64encode(np.full(ELEMENTS, np.nan, np.float32).tobytes()[:120]).decode("ascii")
    floats[1:] = [request(6, "data", 0, nan), request(7, "data", 120, nan)]
    assert answers(program, *floats, "predict")[-1].startswith(f"!error {int(Status.NOT_FINITE)} ")


def enrolled(samples: int) -> list[bytes]:
    return [
        f for i in range(samples) for f in (*sample(10 * i, value=40 * i), request(10 * i + 3, "enroll", i % CLASSES))
    ]


def fields_of(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


@pytest.mark.parametrize("name", ["dynamic", "prototype_sgd_1", "softmax_sgd_1"])
def test_it_answers_while_it_learns(name, folders):
    """All lines have come in before the first slice is done."""
    folder = folders[name]
    program = program_of(folder, "polled", folder / "sim/tt_sim_console_host.c")
    adapt = request(100, "adapt", 9, 1)
    asked = [adapt, request(101, "status"), adapt, *sample(110, 9), request(112, "predict"), request(113, "save")]
    asked += [request(114, "begin", "float32"), request(115, "adapt", 9, 1), b"adapt 9 1\n"]
    told = [line.rpartition("*")[0] for line in talk(program, b"".join(enrolled(6) + asked)) if line.startswith("!")]
    *before, last = told[18:]
    assert [line.split("#")[-1].split()[0] for line in before[:-1]] == ["101", "110", "111", "112", "113", "114", "115"]
    status = fields_of(before[0])
    assert status["stage"] in ("inspecting", "adapting") and 0 <= int(status["done"]) < int(status["total"])
    assert before[3].startswith("!ok #112 class=")
    assert all(line.startswith("!error 113 ") for line in before[4:])
    assert last.startswith("!ok #100 iterations=9 loss="), "once, and when it is done"
    in_turn = answers(program, *enrolled(6), adapt, adapt)
    assert in_turn[-2:] == [last, last], "slices, and what comes between, change nothing"


@pytest.mark.parametrize("name", ["dynamic", "prototype_sgd_1", "softmax_sgd_1"])
def test_it_can_be_cancelled(name, folders):
    folder = folders[name]
    program = program_of(folder, "polled", folder / "sim/tt_sim_console_host.c")
    cancel = request(101, "cancel")
    asked = [*sample(90), request(100, "adapt", 256), cancel, cancel, request(102, "status")]
    told = [line for line in talk(program, b"".join(enrolled(6) + asked)) if line.startswith("!")][20:]
    assert [line.partition("*")[0] for line in told[:2]] == ["!ok #101"] * 2
    assert fields_of(told[2])["stage"] == "stopping"
    assert told[3].startswith("!error 112 #100 it was cancelled") and len(told) == 4
    said = answers(program, "cancel", "status")
    assert said[0] == "!ok" and fields_of(said[1])["stage"] == "idle"


def test_two_models_have_a_console_each(folders, tmp_path):
    """In one program, over one runtime, learning at the same time: each as alone."""
    need("gcc")
    ours = folders["dynamic"]
    models.build("softmax_sgd_1", "other")._write(tmp_path / "other")
    theirs = sorted((tmp_path / "other/src").glob("other*.c"))
    includes = [f"-I{folder / part}" for folder in (ours, tmp_path / "other") for part in ("include", "src", "console")]
    sources = [TWO_CONSOLES, *ours.glob("src/*.c"), *ours.glob("console/*.c"), *theirs]
    both = tmp_path / "both"
    run_quietly("gcc", "-std=gnu99", "-O1", *SANITIZERS, *includes, *sources, "-lm", "-o", both)
    frames = [*enrolled(6), request(100, "adapt", 9, 1)]
    told = talk(both, b"".join(letter + frame for frame in frames for letter in (b"a", b"b")))
    for letter, name in (("a", "dynamic"), ("b", "softmax_sgd_1")):
        alone = program_of(folders[name], "polled", folders[name] / "sim/tt_sim_console_host.c")
        heard = [line[1:] for line in told if line.startswith(letter)]
        assert heard == talk(alone, b"".join(frames)), name
        assert heard[-1].startswith("!ok #100 iterations=9 ")


@pytest.mark.parametrize(("name", "frames"), [("dynamic", FRAMES), ("softmax_sgd_1", FRAMES // 5)])
def test_fuzzed(name, frames, folders):
    """Frames of eight kinds in one process; the harness itself checks every answer."""
    need("gcc")
    harness = program_of(folders[name], "fuzz", FUZZ)
    *listed, last = talk(harness, "", str(frames), "1")
    figures = dict(line.rsplit(" ", 1) for line in listed)
    print(f"{name}: {last}")
    counted = {key: int(value) for key, value in figures.items()}
    kinds = {key: value for key, value in counted.items() if not key.startswith("code ")}
    assert sum(kinds.values()) == frames and len(kinds) == 8 and min(kinds.values()) > frames // 20
    words = last.split()
    assert words[0::2] == ["frames", "lines", "answers"] and words[1] == str(frames)
    assert int(words[3]) == int(words[5]) == sum(counted.values()) - frames
    assert counted["code 0"] > frames // 10
    for code in (5, 13, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 112, 113):
        assert counted[f"code {code}"] > 0, code
