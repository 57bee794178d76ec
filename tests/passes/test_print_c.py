# SPDX-License-Identifier: Apache-2.0
"""C text of lowered TIR, and its value: every expression compiled and compared with Python's."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import tirx
from tvm.ir import PrimType

from tvm_passes.kernels.loops import LoopNest, constant, offset_pointer, prim_func
from tvm_passes.print_c import print_c
from tvm_passes.unpacked_api import unpacked_api

from .compiled import HEAD, compile_library

ROW, COLUMN = tirx.Var("i", "int32"), tirx.Var("j", "int32")


def _buffers(*names: str, dtype: str = "float32") -> list[tirx.Var]:
    return [tirx.decl_buffer((8,), dtype, name) for name in names]


def _text(function: tirx.PrimFunc, **options: bool) -> tuple[str, str]:
    return print_c(unpacked_api(tvm.IRModule({"f": function}))["f"], "f", **options)


def _body(nest: LoopNest, *params: tirx.Var, **attrs: object) -> list[str]:
    return _text(prim_func(params, nest, **attrs))[1].splitlines()[1:-1]


def _assigned(value: tirx.Var, *params: tirx.Var) -> str:
    """The text of a float or int expression."""
    (y,) = _buffers("y", dtype=str(value.ty.dtype))
    nest = LoopNest()
    nest.store(y, 0, value)
    line = next(line for line in _body(nest, *params, y) if "y[0]" in line)
    return line.strip().removeprefix("y[0] = ").removesuffix(";")


# -------------------------------------------------------------- functions


def test_a_function_has_a_declaration_and_a_definition():
    x, y = _buffers("x", "y")
    nest = LoopNest()
    with nest.loop("i", 8) as i:
        nest.store(y, i, tirx.max(x[i], constant(0)))
    declaration, definition = _text(prim_func([x, y], nest), static=False)
    assert declaration == "void f(const float *restrict x, float *restrict y);\n"
    assert definition == (
        "void f(const float *restrict x, float *restrict y) {\n"
        "    for (int32_t i = 0; i < 8; ++i) {\n"
        "        y[i] = tt_max(x[i], 0.0f);\n"
        "    }\n"
        "}\n"
    )


def test_helpers_are_static_and_not_inlined():
    (y,) = _buffers("y")
    nest = LoopNest()
    nest.store(y, 0, constant(1))
    assert _text(prim_func([y], nest))[1].startswith("static TT_NOINLINE void f(float *restrict y) {\n")


def test_what_may_share_memory_is_not_restrict_and_what_callees_write_is_not_const():
    x, y, z = _buffers("x", "y", "z")
    nest = LoopNest()
    nest.call("callee", x, y, z)
    function = prim_func([x, y, z], nest, **{"tt.alias": ["x", "y"], "tt.targets": ["y"]})
    assert _text(function)[0] == "void f(const float *x, float *y, const float *restrict z);\n"


def test_structures_and_scalars_are_parameters_too():
    rows, label = _buffers("rows")[0], _buffers("label", dtype="uint32")[0]
    scale = tirx.Var("scale", "float32")
    nest = LoopNest()
    nest.call("callee", rows, label[0], scale)
    declaration, definition = _text(prim_func([rows, label, scale], nest, **{"tt.opaque": {"rows": "rows"}}))
    assert declaration == "void f(const tt_rows_t *rows, const uint32_t *restrict label, float scale);\n"
    assert "    callee(rows, label[0], scale);" in definition


def test_names_are_made_unique_and_valid():
    x, y = _buffers("x", "y")
    nest = LoopNest()
    for _ in range(2):
        with nest.loop("x", 4) as i:
            nest.store(y, i, x[nest.let("a.b", i + 1)])
    assert [line.strip() for line in _body(nest, x, y)] == [
        "for (int32_t x_1 = 0; x_1 < 4; ++x_1) {",
        "const int32_t a_b = x_1 + 1;",
        "y[x_1] = x[a_b];",
        "}",
        "for (int32_t x_2 = 0; x_2 < 4; ++x_2) {",
        "const int32_t a_b_1 = x_2 + 1;",
        "y[x_2] = x[a_b_1];",
        "}",
    ]


# -------------------------------------------------------------- statements


def test_loops_end_before_their_stop():
    (y,) = _buffers("y")
    first, last = tirx.Var("first", "int32"), tirx.Var("last", "int32")
    nest = LoopNest()
    with nest.loop("i", last, first) as i:
        nest.store(y, i, constant(1))
    assert _body(nest, first, last, y)[0].strip() == "for (int32_t i = first; i < last; ++i) {"


def test_locals_are_declared_at_their_first_store():
    x, y = _buffers("x", "y")
    nest = LoopNest()
    total = nest.local("total", constant(0))
    nest.mac(total, x[0], x[1])
    nest.store(y, 0, total[0])
    assert [line.strip() for line in _body(nest, x, y)] == [
        "float total = 0.0f;",
        "total = TT_MAC(total, x[0], x[1]);",
        "y[0] = total;",
    ]


def test_pairs_are_loaded_and_stored_at_once():
    x, y = _buffers("x", "y")
    nest = LoopNest()
    first, second = nest.load_pair("p", x, 2)
    nest.store_pair(y, 4, [second, first])
    assert [line.strip() for line in _body(nest, x, y)] == [
        "const tt_pair_t p = TT_LOAD_PAIR(&x[2]);",
        "TT_STORE_PAIR(&y[4], p.f[1], p.f[0]);",
    ]


def test_conditions_have_both_branches():
    (y,) = _buffers("y")
    then, otherwise = (tirx.BufferStore(y, constant(value), [0]) for value in (1, 2))
    body = tirx.SeqStmt([tirx.IfThenElse(ROW < 3, then, otherwise), tirx.IfThenElse(ROW > 5, then, None)])
    function = tirx.PrimFunc([ROW, y], body, PrimType("void"))
    assert [line.strip() for line in _text(function)[1].splitlines()[1:-1]] == [
        *("if (i < 3) {", "y[0] = 1.0f;", "} else {", "y[0] = 2.0f;", "}"),
        *("if (i > 5) {", "y[0] = 1.0f;", "}"),
    ]


def test_what_nothing_reads_is_no_warning():
    x, y, z = _buffers("x", "y", "z")
    nest = LoopNest()
    nest.let("unused", x[0], "float32")
    nest.store(y, 0, constant(0))
    lines = [line.strip() for line in _body(nest, x, y, z)]
    assert lines == ["(void)z;", "const float unused = x[0]; (void)unused;", "y[0] = 0.0f;"]


def test_addresses_are_sums():
    (x,) = _buffers("x")
    nest = LoopNest()
    nest.call("callee", offset_pointer(x, 0), offset_pointer(x, 4), offset_pointer(x, ROW * 2))
    assert _body(nest, x, ROW)[-1].strip() == "callee(x, x + 4, x + i * 2);"


# -------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ROW - (COLUMN - 1), "i - (j - 1)"),
        (ROW - COLUMN - 1, "i - j - 1"),
        ((ROW + COLUMN) * 2, "(i + j) * 2"),
        (ROW + COLUMN * 2, "i + j * 2"),
        (tirx.truncdiv(ROW, tirx.truncdiv(COLUMN, 2)), "i / (j / 2)"),
        (tirx.truncdiv(ROW * COLUMN, 2), "i * j / 2"),
        (ROW * tirx.truncdiv(COLUMN, 2), "i * (j / 2)"),
        (tirx.truncmod(ROW, 3), "i % 3"),
        (ROW + -1, "i + (-1)"),
        (tirx.max(ROW, COLUMN), "tt_max_i32(i, j)"),
        (tirx.min(ROW, 0), "tt_min_i32(i, 0)"),
        (tirx.Select(tirx.all(ROW < COLUMN, ROW > 0), ROW, COLUMN), "((i < j && i > 0) ? i : j)"),
        (tirx.Select(tirx.any(tirx.EQ(ROW, COLUMN), ROW >= 2), ROW, COLUMN), "((i == j || i >= 2) ? i : j)"),
        (tirx.Cast("float32", ROW + 1), "((float)(i + 1))"),
        (tirx.const(7, "uint32"), "7u"),
        (constant(0.1), "0.1f"),
        (constant(1e-7), "1e-07f"),
        (constant(-3), "-3.0f"),
        (constant(2**24), "16777216.0f"),
        (constant(1 / 3), "0.333333333f"),
        (tirx.exp(constant(2) * tirx.Cast("float32", ROW)), "expf(2.0f * ((float)(i)))"),
    ],
)
def test_expressions_need_no_more_brackets_than_c_does(value, text):
    assert _assigned(value, ROW, COLUMN) == text


def test_bits_are_always_in_brackets():
    a = tirx.Var("a", "uint32")
    value = tirx.bitwise_or(tirx.bitwise_and(tirx.shift_right(a, tirx.const(3, "uint32")), tirx.const(1, "uint32")), a)
    assert _assigned(value, a) == "(((a >> 3u) & 1u) | a)"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_constants_must_be_finite(value):
    with pytest.raises(ValueError, match=r"^expected a finite constant, received -?(nan|inf)$"):
        _assigned(tirx.const(value, "float32"))


def test_what_no_kernel_builds_is_refused():
    (y,) = _buffers("y")
    loop = tirx.While(tirx.const(1, "bool"), tirx.BufferStore(y, constant(1), [0]))
    with pytest.raises(ValueError, match=r"^expected a statement that kernels build, received While: "):
        _text(tirx.PrimFunc([y], loop, PrimType("void")))
    with pytest.raises(ValueError, match=r"^expected an intrinsic that kernels use, received tirx\.erf$"):
        _assigned(tirx.erf(tirx.Cast("float32", ROW)), ROW)


# -------------------------------------------------------------- values

_EXPRESSIONS = 300
_ARGUMENTS = [(i, j) for i in (-7, -1, 0, 1, 5, 12) for j in (-4, -1, 0, 2, 9)]


def _truncated(a: int, b: int) -> int:
    return int(a / b)


def _random(rng: np.random.Generator, depth: int) -> tuple[tirx.Var, Callable[[int, int], int]]:
    """An expression of i and j, and what it means."""
    if depth == 0 or rng.random() < 0.1:
        n = int(rng.integers(-9, 10))
        return [
            (tirx.const(n, "int32"), lambda _i, _j: n),
            (ROW, lambda i, _j: i),
            (COLUMN, lambda _i, j: j),
        ][rng.integers(3)]
    (a, f), (b, g) = _random(rng, depth - 1), _random(rng, depth - 1)
    n = int(rng.integers(1, 7))
    return [
        lambda: (a + b, lambda i, j: f(i, j) + g(i, j)),
        lambda: (a - b, lambda i, j: f(i, j) - g(i, j)),
        lambda: (a * b, lambda i, j: f(i, j) * g(i, j)),
        lambda: (tirx.truncdiv(a, n), lambda i, j: _truncated(f(i, j), n)),
        lambda: (tirx.truncmod(a, n), lambda i, j: f(i, j) - n * _truncated(f(i, j), n)),
        lambda: (tirx.max(a, b), lambda i, j: max(f(i, j), g(i, j))),
        lambda: (tirx.min(a, b), lambda i, j: min(f(i, j), g(i, j))),
        lambda: (tirx.Select(a < b, a, b + n), lambda i, j: f(i, j) if f(i, j) < g(i, j) else g(i, j) + n),
    ][rng.integers(8)]()


def test_expressions_have_the_value_that_tir_gives_them():
    rng = np.random.default_rng(0)
    pairs = [_random(rng, 4) for _ in range(_EXPRESSIONS)]
    (y,) = _buffers("y", dtype="int32")
    nest = LoopNest()
    for index, (expression, _) in enumerate(pairs):
        nest.store(y, index, expression)
    source = HEAD + "".join(_text(prim_func([ROW, COLUMN, y], nest), static=False))
    library = ctypes.CDLL(str(compile_library(source, "-Wno-tautological-compare")))
    for i, j in _ARGUMENTS:
        actual = np.zeros(_EXPRESSIONS, np.int32)
        library.f(ctypes.c_int32(i), ctypes.c_int32(j), ctypes.c_void_p(actual.ctypes.data))
        assert actual.tolist() == [meaning(i, j) for _, meaning in pairs], (i, j)
