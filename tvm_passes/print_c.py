# SPDX-License-Identifier: Apache-2.0
"""Print lowered TIR as C99.

TVM's own C code generator caches min and max operands by their text and can reuse a stale load; it also knows neither
``const`` nor ``restrict``. This printer covers just what ``kernels`` builds: flat buffers, serial loops, scalars,
pairs of floats, and the small structures that int8 kernels pass by value.

Before::

    for i in range(64):
        y[i] = T.max(x[i], T.float32(0.0))

After::

    for (int32_t i = 0; i < 64; ++i) {
      y[i] = tt_max(x[i], 0.0f);
    }
"""

from __future__ import annotations

import re
from collections.abc import Callable

import tvm
from tvm import tirx
from tvm.ir import PointerType

C_TYPES = {
    "float32": "float",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "uint16": "uint16_t",
    "int8": "int8_t",
    "bool": "bool",
    # Vectors stand for small structures of ops/include/tt_int8.h that are passed by value.
    "int8x4": "tt_quad_t",
    "int16x2": "tt_zeros_t",
    "int32x4": "tt_requantizer_t",
}
_BINARY = {
    tirx.Add: "+",
    tirx.Sub: "-",
    tirx.Mul: "*",
    tirx.Div: "/",
    tirx.Mod: "%",
    tirx.LT: "<",
    tirx.LE: "<=",
    tirx.GT: ">",
    tirx.GE: ">=",
    tirx.EQ: "==",
    tirx.NE: "!=",
    tirx.And: "&&",
    tirx.Or: "||",
}
_PRECEDENCE = {
    "*": 5,
    "/": 5,
    "%": 5,
    "+": 4,
    "-": 4,
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "==": 2,
    "!=": 2,
    "&&": 1,
    "||": 0,
}
INTRINSICS = {
    "tirx.exp": "expf",
    "tirx.log": "logf",
    "tirx.tanh": "tanhf",
    "tirx.fabs": "fabsf",
    "tirx.sqrt": "sqrtf",
    "tirx.sigmoid": "tt_sigmoid",
}
_OPAQUE = {"rows": "tt_rows_t", "int8_rows": "tt_int8_rows_t", "prototypes": "tt_prototypes_t"}
_BITS = {"BitwiseOr": "|", "BitwiseAnd": "&", "LShift": "<<", "RShift": ">>"}


def print_c(func: tirx.PrimFunc, name: str, *, static: bool = True) -> tuple[str, str]:
    """The C declaration and definition of one lowered PrimFunc with pointer parameters.

    Attributes read: ``tt.opaque`` (parameters that are structures of the runtime), ``tt.alias`` (parameters that may
    share memory, so no ``restrict``), ``tt.targets`` (parameters that a called function writes, so no ``const``).

    Raises:
        ValueError: the body holds a TIR node that no kernel of this package builds.
    """
    return _Printer(func).print(name, static)


class _Printer:
    def __init__(self, func: tirx.PrimFunc) -> None:
        self._func = func
        self._names: dict[tirx.Var, str] = {}
        self._taken: set[str] = set()
        self._scalars: set[tirx.Var] = set()
        self._lines: list[str] = []
        attrs = func.attrs or {}
        self._alias, self._written = (
            {str(name) for name in attrs[key]} if key in attrs else set() for key in ("tt.alias", "tt.targets")
        )
        self._opaque = {str(k): _OPAQUE[str(v)] for k, v in attrs["tt.opaque"].items()} if "tt.opaque" in attrs else {}
        self._statements: dict[type, Callable[[tirx.Stmt, int], None]] = {
            tirx.SeqStmt: self._sequence,
            tirx.Bind: self._bind,
            tirx.DeclBuffer: self._declare,
            tirx.AllocBuffer: lambda s, _d: self._scalars.add(s.buffer),
            tirx.For: self._for,
            tirx.BufferStore: self._store,
            tirx.IfThenElse: self._if,
            tirx.Evaluate: self._evaluate,
        }
        self._declared: set[tirx.Var] = set()
        self._bound: list[tuple[str, int]] = []  # name and line
        self._used: set[str] = set()

    def print(self, name: str, static: bool) -> tuple[str, str]:
        params = [self._name(v) for v in self._func.params]
        self._statement(self._func.body, 1)
        self._discard_unused(params)
        declared = [self._param(v, n) for v, n in zip(self._func.params, params, strict=True)]
        head = f"void {name}({', '.join(declared)})"
        linkage = "static TT_NOINLINE " if static else ""
        return f"{head};\n", f"{linkage}{head} {{\n" + "\n".join(self._lines) + "\n}\n"

    def _discard_unused(self, params: list[str]) -> None:
        # Where windows lie on padding alone, pointers and loads are left that nothing reads; compilers would warn.
        for name, line in self._bound:
            if name not in self._used:
                self._lines[line] += f" (void){name};"
        self._lines[:0] = [f"    (void){name};" for name in params if name not in self._used]

    def _param(self, var: tirx.Var, name: str) -> str:
        if name in self._opaque:
            return f"const {self._opaque[name]} *{name}"
        if not isinstance(var.ty, PointerType):
            return f"{C_TYPES[str(var.ty.dtype)]} {name}"
        const = "" if name in self._written else "const "
        restrict = "" if name in self._alias else "restrict "
        return f"{const}{C_TYPES[str(var.ty.element_type.dtype)]} *{restrict}{name}"

    def _name(self, var: tirx.Var) -> str:
        if var not in self._names:
            base = re.sub(r"\W", "_", str(var.name)).removesuffix("_p")
            name, count = base, 1
            while name in self._taken:
                name, count = f"{base}_{count}", count + 1
            self._names[var] = name
            self._taken.add(name)
        return self._names[var]

    def _line(self, text: str, depth: int) -> None:
        self._lines.append("    " * depth + text)

    def _statement(self, statement: tirx.Stmt, depth: int) -> None:
        handler = self._statements.get(type(statement))
        if handler is None:
            raise ValueError(
                f"expected a statement that kernels build, received {type(statement).__name__}: {statement}"
            )
        handler(statement, depth)

    def _bind(self, statement: tirx.Bind, depth: int) -> None:
        name, dtype = self._name(statement.var), str(statement.var.ty.dtype)
        self._bound.append((name, len(self._lines)))
        if dtype == "float32x2":
            load = statement.value
            pair = f"&{self._buffer(load.source)}[{self._expr(load.indices[0].base)}]"
            self._line(f"const tt_pair_t {name} = TT_LOAD_PAIR({pair});", depth)
        else:
            self._line(f"const {C_TYPES[dtype]} {name} = {self._expr(statement.value)};", depth)

    def _declare(self, statement: tirx.DeclBuffer, _depth: int) -> None:
        self._names[statement.buffer] = self._name(statement.data)

    def _sequence(self, statement: tirx.SeqStmt, depth: int) -> None:
        for part in statement.seq:
            self._statement(part, depth)

    def _for(self, statement: tirx.For, depth: int) -> None:
        var = self._name(statement.loop_var)
        start, extent = statement.min, statement.extent
        if isinstance(extent, tirx.Sub) and extent.b.same_as(start):
            stop = self._expr(extent.a)
        elif isinstance(start, tirx.IntImm) and int(start.value) == 0:
            stop = self._expr(extent)
        else:
            stop = self._expr(start + extent)
        self._line(f"for (int32_t {var} = {self._expr(start)}; {var} < {stop}; ++{var}) {{", depth)
        self._statement(statement.body, depth + 1)
        self._line("}", depth)

    def _store(self, statement: tirx.BufferStore, depth: int) -> None:
        buffer, index = statement.buffer, statement.indices[0]
        value = statement.value
        if buffer in self._scalars:
            name = self._name(buffer)
            prefix = "" if buffer in self._declared else C_TYPES[str(buffer.ty.dtype)] + " "
            self._declared.add(buffer)
            self._line(f"{prefix}{name} = {self._expr(value)};", depth)
            return
        name = self._buffer(buffer)
        self._written.add(name)
        if isinstance(index, tirx.Ramp):
            first, second = (self._expr(v) for v in value.vectors)
            self._line(f"TT_STORE_PAIR(&{name}[{self._expr(index.base)}], {first}, {second});", depth)
        else:
            self._line(f"{name}[{self._expr(index)}] = {self._expr(value)};", depth)

    def _if(self, statement: tirx.IfThenElse, depth: int) -> None:
        self._line(f"if ({self._expr(statement.condition)}) {{", depth)
        self._statement(statement.then_case, depth + 1)
        if statement.else_case is not None:
            self._line("} else {", depth)
            self._statement(statement.else_case, depth + 1)
        self._line("}", depth)

    def _evaluate(self, statement: tirx.Evaluate, depth: int) -> None:
        if isinstance(statement.value, tvm.ir.Call):
            self._line(f"{self._call(statement.value)};", depth)

    def _buffer(self, buffer: tirx.Var) -> str:
        name = self._names[buffer] if buffer in self._names else self._name(buffer)
        self._used.add(name)
        return name

    def _expr(self, expr: tirx.Var, outer: int = -1) -> str:
        kind = type(expr)
        if kind in _BINARY:
            operator = _BINARY[kind]
            level = _PRECEDENCE[operator]
            text = f"{self._expr(expr.a, level)} {operator} {self._expr(expr.b, level + 1)}"
            return f"({text})" if level < outer or operator in ("&&", "||") else text
        if kind.__name__ in _BITS:
            return f"({self._expr(expr.a, 6)} {_BITS[kind.__name__]} {self._expr(expr.b, 6)})"
        if kind in (tirx.Max, tirx.Min):
            scalar = "float" if str(expr.ty.dtype) == "float32" else "int"
            function = ("tt_max" if kind is tirx.Max else "tt_min") + ("" if scalar == "float" else "_i32")
            return f"{function}({self._expr(expr.a)}, {self._expr(expr.b)})"
        if isinstance(expr, tirx.IntImm):
            value = int(expr.value)
            if str(expr.ty.dtype).startswith("uint"):
                return f"{value}u"
            return f"{value}" if value >= 0 else f"({value})"
        if isinstance(expr, tirx.FloatImm):
            return _literal(float(expr.value))
        if kind is tirx.Cast:
            return f"(({C_TYPES[str(expr.ty.dtype)]})({self._expr(expr.value)}))"
        if kind is tirx.Select:
            return f"({self._expr(expr.condition)} ? {self._expr(expr.true_value)} : {self._expr(expr.false_value)})"
        if kind is tirx.Shuffle:
            return f"{self._buffer(expr.vectors[0])}.f[{int(expr.indices[0].value)}]"
        if isinstance(expr, tvm.ir.expr.TensorLoad):
            if expr.source in self._scalars:
                return self._name(expr.source)
            return f"{self._buffer(expr.source)}[{self._expr(expr.indices[0])}]"
        if isinstance(expr, tvm.ir.Var):
            return self._buffer(expr)
        if isinstance(expr, tvm.ir.Call):
            return self._call(expr)
        raise ValueError(f"expected an expression that kernels build, received {kind.__name__}: {expr}")

    def _call(self, call: tvm.ir.Call) -> str:
        op = str(call.op.name)
        if op == "tirx.buffer_data":
            return self._buffer(call.args[0])
        if op == "tirx.address_of":
            load = call.args[0]
            name, index = self._buffer(load.source), self._expr(load.indices[0], 4)
            return name if index == "0" else f"{name} + {index}"
        if op in ("tirx.call_extern", "tirx.call_pure_extern"):
            return f"{call.args[0].value}({', '.join(self._expr(a) for a in call.args[1:])})"
        if op in INTRINSICS:
            return f"{INTRINSICS[op]}({self._expr(call.args[0])})"
        raise ValueError(f"expected an intrinsic that kernels use, received {op}")


def _literal(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"expected a finite constant, received {value}")
    text = f"{value:.9g}"
    return (text if any(c in text for c in ".e") else text + ".0") + "f"
