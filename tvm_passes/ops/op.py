# SPDX-License-Identifier: Apache-2.0
"""What the compiler knows of an operation, in one registration, and the table of all operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from tvm import relax, tirx
from tvm.relax.dpl import DFPattern

from ..choice import Trained
from ..imported_graph import ImportedGraph, Value
from ..kernel import Kernel, Step
from ..kernels.geometry import Window
from ..kernels.tiling import Tiling

T = TypeVar("T")

Schedule = Callable[[str, Kernel, Tiling], dict[str, tirx.PrimFunc]]
Scalar = Callable[..., tirx.Var]


class Lowering(Protocol):
    """What an operation may ask of ``canonicalize`` where it recognises itself in the imported graph."""

    graph: ImportedGraph

    def operand(self, argument: relax.Expr) -> Value:
        """The tensor behind an argument, zero padding in front of it not applied."""

    def constant(self, argument: relax.Expr) -> np.ndarray | None:
        """The content of an argument; None where it is no constant."""

    def plain(self, argument: relax.Expr) -> Value:
        """The same with its padding applied."""

    def pad(self, value: Value) -> Value:
        """``value`` with its padding applied."""

    def tensor(self, value: Value) -> relax.Expr:
        """``value`` as the argument of a kernel: its variable, or its content as a float32 constant."""

    def emit(self, kernel: Kernel, args: list[relax.Expr]) -> relax.Var:
        """Emit a kernel that computes something on the way to what a binding defines."""

    def next_rows(self, kind: str) -> tuple[relax.Var, np.ndarray]:
        """The rows of the weighted operator that is being lowered, float32 (channels, stride), and their parameter.
        Operators that share weights get the same ones.

        kind: of the layer: conv2d, conv2d_transpose, depthwise or dense."""

    def define(self, binding: Any, kernel: Kernel, args: list[relax.Expr], result: relax.Var | None = None) -> None:
        """Emit the kernel that computes what ``binding`` defines, or ``result`` where it covers more bindings."""

    def unary(self, binding: Any, op: str, **attrs: Any) -> None:
        """Emit the elementwise kernel of the first operand that computes what ``binding`` defines."""

    def forward(self, binding: Any, value: Value) -> None:
        """Let ``binding`` stand for a tensor that is there already."""

    def cover(self, *variables: relax.Var) -> None:
        """Leave out the bindings of these variables: a kernel computes them on the way."""


@dataclass(frozen=True)
class Lower:
    """How an operator of the imported graph becomes kernels.

    Args:
        lower: emits them and returns True, or declines with False. Of several for one operator the one registered last
            is asked first: what is special is registered after what is general.
        rows: for operators with weights: the weights, float32 (channels, row length); None where it has none.
        weights: which argument of the operator holds them; operators that are given the same constant are uses of one
            layer.
        early: constants are computed before all else, since weights may come of them.
    """

    lower: Callable[[Lowering, Any], bool]
    rows: Callable[[Lowering, Any], np.ndarray | None] | None = None
    weights: int = 1
    early: bool = False


class Tape(Protocol):
    """What a gradient rule may ask of the reverse walk."""

    def active(self, var: relax.Expr) -> bool:
        """Whether the gradient of ``var`` is needed."""

    def emit(self, kernel: Kernel, args: list[relax.Expr]) -> relax.Var:
        """Bind a kernel call."""

    def add(self, var: relax.Expr, gradient: relax.Var) -> None:
        """Add to the gradient of ``var``, if it is needed."""

    def add_into(self, var: relax.Expr, make: Callable[[relax.Var | None], relax.Var]) -> None:
        """The same for kernels that can accumulate: ``make`` gets the gradient so far (or None), in place."""

    def trained(self, step: Step) -> Trained | None:
        """What is trained of a weighted step, None when it is frozen."""

    def train(self, step: Step, gradient: relax.Var) -> None:
        """Emit the weight gradient of a trained step, added to that of the layer's other uses so far."""

    def mask(self, var: relax.Var) -> relax.Var | None:
        """The one-bit mask that the forward pass kept instead of ``var``."""


def _nothing(_tape: Tape, _step: Step) -> Iterable[relax.Expr]:
    return ()


@dataclass(frozen=True)
class Gradient:
    """The gradient of an operation.

    Args:
        rule: gets the tape, the forward step and the gradient of the loss with respect to the step's output; it adds to
            the gradient of the inputs that need one.
        saves: the forward tensors that the rule reads, so that one that nothing else needs is kept as a mask of one bit
            per element.
        blind: positions of operands whose gradient is zero everywhere, such as the condition of a choice.
        zero: whether it is zero everywhere, as of rounding: nothing behind such an operation is reached through it.
    """

    rule: Callable[[Tape, Step, relax.Var], None]
    saves: Callable[[Tape, Step], Iterable[relax.Expr]] = _nothing
    blind: tuple[int, ...] = ()
    zero: bool = False

    def passes_to(self, step: Step) -> list[relax.Expr]:
        """The operands that a gradient may reach."""
        return [] if self.zero else [a for position, a in enumerate(step.args) if position not in self.blind]


NO_GRADIENT = Gradient(lambda _tape, _step, _g: None, zero=True)
"""Of what is flat wherever it has a slope: rounding, signs, comparisons."""


class Integers(Protocol):
    """What an operation may ask of ``quantize`` for its int8 form."""

    def value(self, var: relax.Expr) -> relax.Expr:
        """The int8 tensor that stands for ``var``."""

    def grid(self, var: relax.Expr) -> Any:
        """The real numbers that its codes stand for (``quantize.Grid``)."""

    def saturating(
        self, source: relax.Expr | None, target: relax.Expr, bounds: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Grids as attributes, and the codes at which the result saturates."""

    def factor(self, source: relax.Expr, target: relax.Expr) -> dict[str, int]:
        """The attributes of a requantisation from one tensor's codes to the other's."""

    def requantized(self, source: relax.Expr, target: relax.Expr) -> relax.Expr:
        """The codes of ``source`` on the grid of ``target``."""

    def emit(self, step: Step, attrs: Mapping[str, Any], args: list[relax.Expr] | None = None) -> relax.Var:
        """The same operation on int8 tensors."""


Quantizer = Callable[[Integers, Step], relax.Var]


@dataclass(frozen=True)
class Int8:
    """The int8 form of an operation.

    Args:
        schedule: loop nests of the kernel whose output is int8.
        quantize: emits the int8 kernel of a float32 step; None for kernels that only ``quantize`` itself adds.
    """

    schedule: Schedule
    quantize: Quantizer | None = None


@dataclass(frozen=True)
class Tflm:
    """A custom op of TensorFlow Lite Micro (ops/tflm).

    Args:
        code: its number, for good: models in the field hold it.
        structure: its parameters after the header: the structure of ops/tflm/tt_op_params.h without ``tt_op_`` and
            ``_t``, and
        fields: its members, in order: name -> ``int32``, ``float32``, ``window``, ``bytes[n]`` or ``floats[n]``.
    """

    code: int
    structure: str = "plain"
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Op:
    """An operation: all that anything in the compiler knows of it.

    Args:
        name: as in ``Kernel.op``.
        schedule: loop nests of its kernel with a float32 (or mask) output; None where it has none.
        scalar: for elementwise operations ``(kernel, *operands) -> result`` on float32 scalars in TIR, from which
            kernels are made that nobody has written.
        gradient: None for kernels of the backward pass, and for what no gradient passes.
        int8: None where it has no int8 form.
        tflm: None where it is an operator of TFLite, or made from ``scalar``.
        tflite: the operator of TFLite that computes the same from tensors of one shape.
        lowers: operator of the imported graph -> how it becomes this kernel.
        pattern: of several operators that are this elementwise operation together: given the pattern of its operand,
            that of its result. It comes before ``lowers``.
        activation: whether it is an activation of the layer before it, to which it then belongs for Fisher potentials.
        activation_names: what front ends call it as an activation.
        weighted: whether it has rows that can be trained.
        transposed: whether its window moves over the output, or the output's gradient.
        macs: multiply-accumulates of its kernel for one position and one tap of the window; None for no window.
    """

    name: str
    schedule: Schedule | None = None
    scalar: Scalar | None = None
    gradient: Gradient | None = None
    int8: Int8 | None = None
    tflm: Tflm | None = None
    tflite: str | None = None
    lowers: Mapping[str, Lower] = field(default_factory=dict)
    pattern: Callable[[DFPattern], DFPattern] | None = None
    activation: bool = False
    activation_names: tuple[str, ...] = ()
    weighted: bool = False
    transposed: bool = False
    macs: Callable[[Kernel, Window], int] | None = None


class OpTable(Mapping[str, Op]):
    """All operations by name, in the order of their registration."""

    def __init__(self) -> None:
        self._ops: dict[str, Op] = {}

    def register(self, op: Op) -> Op:
        """Add an operation and return it.

        Raises:
            ValueError: the name or the TFLM code is taken.
        """
        if op.name in self._ops:
            raise ValueError(f"operation '{op.name}': expected a name of its own, received one that is registered")
        taken = {} if op.tflm is None else {o.tflm.code: o.name for o in self._ops.values() if o.tflm is not None}
        if op.tflm is not None and op.tflm.code in taken:
            raise ValueError(
                f"operation '{op.name}': expected a TFLM code of its own, received {op.tflm.code}, which is that of "
                f"'{taken[op.tflm.code]}'"
            )
        self._ops[op.name] = op
        return op

    def remove(self, name: str) -> None:
        """Take an operation back, as tests do with theirs.

        Raises:
            KeyError: there is none of that name.
        """
        del self._ops[name]

    def lowerings(self, operator: str) -> list[Lower]:
        """How an operator of the imported graph may become kernels, in the order in which they are to be asked."""
        return [op.lowers[operator] for op in reversed(self._ops.values()) if operator in op.lowers]

    def __getitem__(self, name: str) -> Op:
        return self._ops[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ops)

    def __len__(self) -> int:
        return len(self._ops)


OPS = OpTable()


class Column(Mapping[str, T]):
    """One column of the table: name -> what the operation has there, of those that have something. It follows the
    table, so that what is registered later is in it too."""

    def __init__(self, value: Callable[[Op], T | None]) -> None:
        self._value = value

    def __getitem__(self, name: str) -> T:
        value = self._value(OPS[name])
        if not value:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, op in OPS.items() if self._value(op))

    def __len__(self) -> int:
        return sum(1 for _ in self)


WEIGHTED: Column[bool] = Column(lambda op: op.weighted)
ACTIVATIONS: Column[bool] = Column(lambda op: op.activation)
KERNELS: Column[Schedule] = Column(lambda op: op.schedule)
INT8_KERNELS: Column[Schedule] = Column(lambda op: None if op.int8 is None else op.int8.schedule)
QUANTIZERS: Column[Quantizer] = Column(lambda op: None if op.int8 is None else op.int8.quantize)
GRADIENTS: Column[Gradient] = Column(lambda op: op.gradient)
