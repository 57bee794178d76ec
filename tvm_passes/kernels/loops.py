# SPDX-License-Identifier: Apache-2.0
"""A small builder of flat loop nests in TIR, for kernels whose register blocking is laid out by hand.

Schedules derived from te.compute cannot express what these kernels need: rows that are pointers of their own, and
pairs of floats loaded at once. So the loop nest is built directly; it stays ordinary TIR.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from tvm import tirx
from tvm.ir import PrimType

# A tirx expression or an int; TVM has no types of its own that a checker could follow.
Expr: TypeAlias = Any


class LoopNest:
    """Collects statements; loops and conditions are context managers."""

    def __init__(self) -> None:
        self._scopes: list[list[tirx.Stmt]] = [[]]

    def add(self, statement: tirx.Stmt) -> None:
        """Append a statement to the innermost scope."""
        self._scopes[-1].append(statement)

    def body(self) -> tirx.Stmt:
        """Everything collected so far, as one statement."""
        return self._seal(self._scopes[0])

    @staticmethod
    def _seal(statements: list[tirx.Stmt]) -> tirx.Stmt:
        if not statements:
            return tirx.Evaluate(0)
        return statements[0] if len(statements) == 1 else tirx.SeqStmt(statements)

    @contextmanager
    def loop(self, name: str, stop: Expr, start: Expr = 0) -> Iterator[Expr]:
        """A serial loop over ``start <= i < stop``; a loop of one known iteration is not emitted."""
        if isinstance(start, int) and isinstance(stop, int):
            if stop <= start:
                self._scopes.append([])
                yield start
                self._scopes.pop()
                return
            if stop == start + 1:
                yield start
                return
        var = tirx.Var(name, "int32")
        self._scopes.append([])
        yield var
        body = self._seal(self._scopes.pop())
        self.add(tirx.For(var, start, stop - start, tirx.ForKind.SERIAL, body))

    @contextmanager
    def when(self, condition: tirx.Var) -> Iterator[None]:
        """Statements that run only if ``condition`` holds."""
        self._scopes.append([])
        yield
        self.add(tirx.IfThenElse(condition, self._seal(self._scopes.pop()), None))

    def let(self, name: str, value: Expr, dtype: str = "int32") -> Expr:
        """Bind a value to a name; Python numbers stay Python numbers."""
        if isinstance(value, int):
            return value
        var = tirx.Var(name, dtype)
        self.add(tirx.Bind(var, value))
        return var

    def local(self, name: str, value: tirx.Var, dtype: str = "float32") -> tirx.Var:
        """A mutable scalar; read it as ``v[0]``."""
        buffer = tirx.decl_buffer((1,), dtype, name)
        self.add(tirx.AllocBuffer(buffer))
        self.store(buffer, 0, value)
        return buffer

    def store(self, buffer: tirx.Var, index: Expr, value: tirx.Var) -> None:
        """``buffer[index] = value``."""
        self.add(tirx.BufferStore(buffer, value, [index]))

    def store_pair(self, buffer: tirx.Var, index: Expr, values: Sequence[tirx.Var]) -> None:
        """Store two neighbours at an even index at once."""
        self.add(tirx.BufferStore(buffer, tirx.Shuffle(list(values), [0, 1]), [tirx.Ramp(index, 1, 2)]))

    def load_pair(self, name: str, buffer: tirx.Var, index: Expr) -> tuple[tirx.Var, tirx.Var]:
        """Load two neighbours from an even index at once; on Cortex-M that is one instruction."""
        var = tirx.Var(name, "float32x2")
        self.add(tirx.Bind(var, buffer[tirx.Ramp(index, 1, 2)]))
        return tirx.Shuffle([var], [0]), tirx.Shuffle([var], [1])

    def load(self, name: str, buffer: tirx.Var, index: Expr, width: int) -> tuple[tirx.Var, ...]:
        """Load ``width`` (1 or 2) neighbours."""
        if width == 2:
            return self.load_pair(name, buffer, index)
        return (self.let(name, buffer[index], "float32"),)

    def load_real(self, name: str, buffer: tirx.Var, index: Expr, width: int, zero: int = 0) -> tuple[tirx.Var, ...]:
        """The same as float32; of an int8 buffer the codes minus ``zero``, not yet scaled."""
        if dtype_of(buffer) == "float32":
            return self.load(name, buffer, index, width)
        lanes = [code(buffer[index + lane], zero, "float32") for lane in range(width)]
        return tuple(self.let(f"{name}{lane}", value, "float32") for lane, value in enumerate(lanes))

    def save(self, buffer: tirx.Var, index: Expr, values: Sequence[tirx.Var]) -> None:
        """Store one value, or two neighbours at once."""
        if len(values) == 2:
            self.store_pair(buffer, index, values)
        else:
            self.store(buffer, index, values[0])

    def mac(self, accumulator: tirx.Var, a: tirx.Var, b: tirx.Var) -> None:
        """``accumulator += a * b``, counted by instrumented builds."""
        self.store(accumulator, 0, mac(accumulator[0], a, b, dtype_of(accumulator)))

    def call(self, name: str, *args: tirx.Var) -> None:
        """Call a C function for its effect."""
        self.add(tirx.Evaluate(tirx.call_extern("int32", name, *args)))


def mac(accumulator: tirx.Var, a: tirx.Var, b: tirx.Var, dtype: str = "float32") -> tirx.Var:
    """The value ``accumulator + a * b``, marked as one multiply-accumulate."""
    return tirx.call_pure_extern(dtype, "TT_MAC", accumulator, a, b)


def dtype_of(buffer: tirx.Var) -> str:
    """What a buffer holds."""
    return str(buffer.ty.dtype)


def code(value: tirx.Var, zero: int = 0, dtype: str = "int32") -> tirx.Var:
    """An int8 code minus the code of zero."""
    wide = tirx.Cast("int32", value) - zero if zero else tirx.Cast("int32", value)
    return wide if dtype == "int32" else tirx.Cast(dtype, wide)


def maximum(a: Expr, b: Expr) -> Expr:
    """max that folds Python ints."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else tirx.max(a, b)


def minimum(a: Expr, b: Expr) -> Expr:
    """min that folds Python ints."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else tirx.min(a, b)


def truncated_quotient(a: Expr, b: int) -> Expr:
    """C's ``a / b`` (towards zero)."""
    if b == 1:
        return a
    return int(a / b) if isinstance(a, int) else tirx.truncdiv(a, b)


def constant(value: float) -> tirx.FloatImm:
    """A float32 literal."""
    return tirx.const(float(value), "float32")


def c_call(name: str, *values: tirx.Var) -> tirx.Var:
    """What a function of C gives for float32 scalars."""
    return tirx.call_pure_extern("float32", name, *values)


def clipped(value: tirx.Var, low: float | None, high: float | None) -> tirx.Var:
    """``min(max(value, low), high)``, either bound left out where it is None."""
    if low is not None:
        value = tirx.max(value, constant(low))
    if high is not None:
        value = tirx.min(value, constant(high))
    return value


def offset_pointer(buffer: tirx.Var, index: Expr) -> tirx.Var:
    """The address ``buffer + index``, as an argument of a call."""
    return tirx.address_of(buffer[index])


def prim_func(params: Sequence[tirx.Var], nest: LoopNest, **attrs: object) -> tirx.PrimFunc:
    """A PrimFunc over buffers and scalars with that body."""
    func = tirx.PrimFunc(list(params), nest.body(), PrimType("void"))
    for key, value in attrs.items():
        func = func.with_attr(key, value)
    return func
