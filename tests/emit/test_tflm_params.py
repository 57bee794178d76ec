# SPDX-License-Identifier: Apache-2.0
"""The parameters of the TFLM ops are the structures of the C header, byte for byte."""

import ctypes
import subprocess

import pytest

from tt_tflm.boards.simulated.toolchain import find_compiler
from tt_tflm.devices import get_profile
from tt_tflm.files.ops_path import ops_path
from tt_tflm.tflite import expression, op_codes
from tt_tflm.tflite import op_params as tflm_params
from tt_tflm.tflite.expression import Instruction
from tt_tflm.tflite.op_params import (
    STRUCTURES,
    WINDOW_FIELDS,
    Command,
    Control,
    ExpressionFields,
    Flag,
    Header,
    Op,
    WindowFields,
    pack,
)

NAMES = {
    "tt_op_header_t": Header,
    "tt_window_t": WindowFields,
    "tt_expression_t": ExpressionFields,
    **{s.__name__: s for s in STRUCTURES.values()},
}


def constants() -> dict[str, int]:
    """What the header names, as Python has it."""
    return {
        "TT_OP_MAGIC": tflm_params.MAGIC,
        "TT_OP_VERSION": tflm_params.VERSION,
        "TT_OP_FROZEN": tflm_params.FROZEN,
        "TT_OP_NO_BLOCK": tflm_params.NO_BLOCK,
        "TT_OP_CANDIDATES": tflm_params.MAX_CANDIDATES,
        "TT_CONTROL_WORDS": tflm_params.CONTROL_WORDS,
        "TT_OPS": len(Op),
        "TT_EXPRESSION_STEPS": expression.MAX_STEPS,
        "TT_EXPRESSION_CONSTANTS": expression.MAX_CONSTANTS,
        "TT_EXPRESSION_OPERANDS": expression.MAX_OPERANDS,
        "TT_EXPRESSION_DEPTH": expression.MAX_DEPTH,
        "TT_EXPRESSION_OPERAND": expression.OPERAND,
        "TT_EXPRESSION_CONSTANT": expression.CONSTANT,
        "TT_EXPRESSION_CODES": len(Instruction),
        **{f"TT_EXPRESSION_{instruction.name}": instruction for instruction in Instruction},
        **{f"TT_OP_{op.name}": op for op in Op},
        **{f"TT_OP_FLAG_{flag.name}": flag for flag in Flag if flag},
        **{f"TT_COMMAND_{command.name}": command for command in Command},
        **{f"TT_CONTROL_{word.name}": word for word in Control},
    }


@pytest.fixture(scope="module")
def told_by_c(tmp_path_factory) -> dict[str, int]:
    lines = [f'    printf("{name} %ld\\n", (long)({name}));' for name in constants()]
    for name, structure in NAMES.items():
        lines.append(f'    printf("{name} %ld\\n", (long)sizeof({name}));')
        for field, _ in structure._fields_:
            lines.append(f'    printf("{name}.{field} %ld\\n", (long)offsetof({name}, {field}));')
    folder = tmp_path_factory.mktemp("params")
    source = folder / "print.c"
    text = '#include <stddef.h>\n#include <stdio.h>\n#include "tt_op_params.h"\nint main(void) {\n'
    source.write_text(text + "\n".join(lines) + "\n    return 0;\n}\n")
    ops = ops_path()
    includes = [f"-I{ops / folder}" for folder in ("include", "kernels/include", "tflm")]
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", *includes)
    subprocess.run([find_compiler(get_profile("host")), *flags, source, "-o", folder / "print"], check=True)
    output = subprocess.run([folder / "print"], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def test_constants_are_those_of_the_header(told_by_c):
    assert {name: told_by_c[name] for name in constants()} == constants()


def test_the_header_of_codes_is_what_the_command_writes():
    assert (ops_path() / op_codes.HEADER).read_text(encoding="utf-8") == op_codes.header()


def test_the_header_names_no_other_flags():
    header = (ops_path() / "tflm/tt_op_params.h").read_text(encoding="utf-8")
    listed = {line.split()[0] for line in header.splitlines() if line.startswith("    TT_OP_FLAG_") and " = " in line}
    assert listed == {f"TT_OP_FLAG_{flag.name}" for flag in Flag if flag}


@pytest.mark.parametrize("name", NAMES)
def test_structure_is_laid_out_as_in_c(name, told_by_c):
    structure = NAMES[name]
    assert ctypes.sizeof(structure) == told_by_c[name]
    for field, _ in structure._fields_:
        assert getattr(structure, field).offset == told_by_c[f"{name}.{field}"], field


def test_pack_writes_little_endian_words():
    window = dict(zip(WINDOW_FIELDS, range(1, 13), strict=True))
    params = pack(Op.CROP2D, guard=(5 << 32) | 6, window=window)
    words = [int.from_bytes(params[i : i + 4], "little") for i in range(0, len(params), 4)]
    assert words == [0x504F5454, 2 | Op.CROP2D << 16, 6, 5, 0, *range(1, 13)]
    assert params[:4] == b"TTOP"


def test_every_candidate_is_guarded_by_default():
    assert pack(Op.COPY)[8:16] == b"\xff" * 8


@pytest.mark.parametrize("fields", [{}, {"alpha": 1.0, "classes": 2}, {"beta": 1.0}])
def test_missing_and_unknown_fields_are_refused(fields):
    with pytest.raises(TypeError, match=r"TT_LEAKY_RELU_GRAD: expected the fields \['alpha'\], received"):
        pack(Op.LEAKY_RELU_GRAD, **fields)
