# SPDX-License-Identifier: Apache-2.0
"""Scalar expressions of elementwise operations, outside the C backend: as a short program for the custom op
TT_EXPRESSION (ops/kernels/include/tt_expression.h), and as TFLite's own operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import tvm
from tvm import tirx

from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.tflite.graph import TfliteGraph, Value
from tvm_passes.kernel import OUT, Kernel
from tvm_passes.ops import OPS

MAX_STEPS, MAX_CONSTANTS, MAX_OPERANDS, MAX_DEPTH = 32, 8, 4, 8
OPERAND, CONSTANT = 64, 128


class Instruction(IntEnum):
    """``tt_expression_code_t``: takes its operands off a stack and puts its result there."""

    ADD = 0
    SUBTRACT = 1
    MULTIPLY = 2
    DIVIDE = 3
    MAXIMUM = 4
    MINIMUM = 5
    GREATER = 6
    GREATER_EQUAL = 7
    LESS = 8
    LESS_EQUAL = 9
    SELECT = 10
    ABSOLUTE = 11
    EXPONENTIAL = 12
    LOGARITHM = 13
    SQUARE_ROOT = 14
    TANH = 15
    SIGMOID = 16


_NODES = {
    tirx.Add: Instruction.ADD,
    tirx.Sub: Instruction.SUBTRACT,
    tirx.Mul: Instruction.MULTIPLY,
    tirx.Div: Instruction.DIVIDE,
    tirx.Max: Instruction.MAXIMUM,
    tirx.Min: Instruction.MINIMUM,
    tirx.GT: Instruction.GREATER,
    tirx.GE: Instruction.GREATER_EQUAL,
    tirx.LT: Instruction.LESS,
    tirx.LE: Instruction.LESS_EQUAL,
}
# Intrinsics of TIR, and the C functions that kernels call.
FUNCTIONS = {
    "tirx.fabs": Instruction.ABSOLUTE,
    "tirx.exp": Instruction.EXPONENTIAL,
    "tirx.log": Instruction.LOGARITHM,
    "tirx.sqrt": Instruction.SQUARE_ROOT,
    "tirx.tanh": Instruction.TANH,
    "tanhf": Instruction.TANH,
    "tirx.sigmoid": Instruction.SIGMOID,
    "tt_sigmoid": Instruction.SIGMOID,
}
_OPERATORS = {
    Instruction.ADD: ("ADD", "AddOptions"),
    Instruction.SUBTRACT: ("SUB", "SubOptions"),
    Instruction.MULTIPLY: ("MUL", "MulOptions"),
    Instruction.DIVIDE: ("DIV", "DivOptions"),
    Instruction.MAXIMUM: ("MAXIMUM", "MaximumMinimumOptions"),
    Instruction.MINIMUM: ("MINIMUM", "MaximumMinimumOptions"),
    Instruction.GREATER: ("GREATER", None),
    Instruction.GREATER_EQUAL: ("GREATER_EQUAL", None),
    Instruction.LESS: ("LESS", None),
    Instruction.LESS_EQUAL: ("LESS_EQUAL", None),
    Instruction.SELECT: ("SELECT_V2", None),
    Instruction.ABSOLUTE: ("ABS", None),
    Instruction.EXPONENTIAL: ("EXP", None),
    Instruction.LOGARITHM: ("LOG", None),
    Instruction.SQUARE_ROOT: ("SQRT", None),
    Instruction.TANH: ("TANH", None),
    Instruction.SIGMOID: ("LOGISTIC", None),
}
_CONDITIONS = (Instruction.GREATER, Instruction.GREATER_EQUAL, Instruction.LESS, Instruction.LESS_EQUAL)


@dataclass(frozen=True)
class _Node:
    """An instruction and its operands; without one, the kernel's operand of that number, or a constant."""

    instruction: Instruction | None
    args: tuple[_Node, ...] = ()
    operand: int = -1
    constant: float = 0.0


@dataclass(frozen=True)
class Program:
    """An expression as TT_EXPRESSION takes it: the instructions in postfix order, ``OPERAND + i`` and ``CONSTANT + i``
    among them, and the constants."""

    operands: int
    code: bytes
    constants: tuple[float, ...]


def program(kernel: Kernel) -> Program:
    """The program of an elementwise kernel.

    Raises:
        UnsupportedLayerError: it is not elementwise, or its expression is larger than the op takes or holds something
            that the op does not know.
    """
    root = _parsed(kernel)
    code, constants = bytearray(), list[float]()
    _assemble(root, code, constants)
    operands = sum(p.role != OUT for p in kernel.params)
    sizes = (len(code), len(constants), operands, _depth(root))
    if any(size > most for size, most in zip(sizes, (MAX_STEPS, MAX_CONSTANTS, MAX_OPERANDS, MAX_DEPTH), strict=True)):
        raise _refused(
            kernel,
            f"an expression of at most {MAX_STEPS} steps, {MAX_CONSTANTS} constants, {MAX_OPERANDS} operands and "
            f"{MAX_DEPTH} values at once",
            f"one of {sizes[0]}, {sizes[1]}, {sizes[2]} and {sizes[3]}",
        )
    return Program(operands, bytes(code), tuple(constants))


def as_operators(
    graph: TfliteGraph, kernel: Kernel, operands: Sequence[Value], new: Callable[[Sequence[int]], Value]
) -> Value:
    """Add an elementwise kernel to a graph as operators of TFLite.

    Args:
        graph: to add to.
        kernel: what.
        operands: its inputs, in order, of one shape.
        new: makes the output, of a given shape.

    Raises:
        UnsupportedLayerError: as of ``program``.
    """
    shape = operands[0].shape

    def value(node: _Node) -> Value:
        if node.instruction is None:
            if node.operand >= 0:
                return operands[node.operand]
            return graph.constant("constant", np.full((1,), node.constant, np.float32))
        inputs = [value(argument) for argument in node.args]
        operator, options = _OPERATORS[node.instruction]
        dtype = "bool" if node.instruction in _CONDITIONS else "float32"
        output = new(shape) if node is root else graph.tensor(operator.lower(), shape, dtype)
        return graph.builtin(operator, inputs, output, options)

    root = _parsed(kernel)
    if root.instruction is None:
        raise _refused(kernel, "an expression that computes something", "a constant or an operand")
    return value(root)


def _parsed(kernel: Kernel) -> _Node:
    scalar = OPS[kernel.op].scalar
    if scalar is None:
        raise _refused(kernel, "an operator of its own or a scalar expression", "an operation of the C backend alone")
    operands = [tirx.Var(p.name, "float32") for p in kernel.params if p.role != OUT]

    def node(expr: tirx.Var) -> _Node:
        if isinstance(expr, tirx.FloatImm):
            return _Node(None, constant=float(expr.value))
        for index, operand in enumerate(operands):
            if expr.same_as(operand):
                return _Node(None, operand=index)
        if type(expr) in _NODES:
            return _Node(_NODES[type(expr)], (node(expr.a), node(expr.b)))
        if isinstance(expr, tirx.Select):
            parts = (expr.condition, expr.true_value, expr.false_value)
            return _Node(Instruction.SELECT, tuple(node(part) for part in parts))
        name, args = _call(expr)
        if name not in FUNCTIONS:
            raise _refused(kernel, f"sums, products, choices and {', '.join(FUNCTIONS)}", name)
        return _Node(FUNCTIONS[name], tuple(node(argument) for argument in args))

    return node(scalar(kernel, *operands))


def _call(expr: tirx.Var) -> tuple[str, list[tirx.Var]]:
    """Name and arguments of a call; the name of the node for any other expression."""
    if not isinstance(expr, tvm.ir.Call):
        return type(expr).__name__, []
    name = str(expr.op.name)
    if name in ("tirx.call_extern", "tirx.call_pure_extern"):
        return str(expr.args[0].value), list(expr.args[1:])
    return name, list(expr.args)


def _assemble(node: _Node, code: bytearray, constants: list[float]) -> None:
    for argument in node.args:
        _assemble(argument, code, constants)
    if node.instruction is not None:
        code.append(node.instruction)
    elif node.operand >= 0:
        code.append(OPERAND + node.operand)
    else:
        if node.constant not in constants:
            constants.append(node.constant)
        # What is too long is refused when all of it is known.
        code.append(CONSTANT + min(constants.index(node.constant), MAX_CONSTANTS))


def _depth(node: _Node) -> int:
    return max((i + _depth(argument) for i, argument in enumerate(node.args)), default=1)


def _refused(kernel: Kernel, expected: str, received: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"operation '{kernel.op}' in TensorFlow Lite: expected {expected}, received {received}; use backend 'c' for "
        "builds that hold it"
    )
