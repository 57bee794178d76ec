# SPDX-License-Identifier: Apache-2.0
"""Operations without weights, of random shapes of one to five axes: what a program of them all computes and every
gradient of it, against TensorFlow."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pytest
import tensorflow as tf
import tvm
from tvm import relax

from tt_tflm.optimizers import SGD
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.canonicalize import Canonicalize
from tvm_passes.choice import Trained
from tvm_passes.imported_graph import UnsupportedGraphError
from tvm_passes.kernel import steps_of
from tvm_passes.kernels.tiling import HOST, Tiling
from tvm_passes.pipeline import training_program
from tvm_passes.sparse_gradient import SparseGradient, unreached_layers
from tvm_passes.specs import VECTOR, LossSpec

from .imported import imported
from .planned import Program, TrainedRows
from .trials import check_close, normal

op, nn = relax.op, relax.op.nn
LOSS = """
tt_status_t weighted_sum(const float *output, uint32_t elements, const float *label, float *gradient, float *loss);
tt_status_t weighted_sum(const float *output, uint32_t elements, const float *label, float *gradient, float *loss) {
    *loss = 0.0f;
    for (uint32_t i = 0; i < elements; ++i) {
        *loss += output[i] * label[i];
        gradient[i] = label[i];
    }
    return TT_OK;
}
"""

Shape = tuple[int, ...]
Body = Callable[..., relax.Expr]


@dataclass(frozen=True)
class Case:
    """An operation on inputs of some shapes: as an imported graph has it, and TensorFlow's.

    Args:
        name: for messages.
        shapes: of the inputs.
        body: (emit, *inputs) -> output, in Relax.
        reference: (*inputs) -> output, in TensorFlow.
        domain: makes inputs of normally distributed numbers.
    """

    name: str
    shapes: tuple[Shape, ...]
    body: Body
    reference: Callable[..., tf.Tensor]
    domain: Callable[[np.ndarray], np.ndarray] = lambda x: x


def _positive(x: np.ndarray) -> np.ndarray:
    return np.abs(x) + np.float32(0.5)


def _far_from_zero(x: np.ndarray) -> np.ndarray:
    return x + np.sign(x) * np.float32(0.5)


def _one_huge(x: np.ndarray) -> np.ndarray:
    """One number has an exponential that no float32 holds."""
    x = 3 * x
    x.flat[0] = 100
    return x


def _elu(x: relax.Expr) -> relax.Expr:
    below = op.multiply(_number(-1.0), nn.relu(op.subtract(_number(1.0), op.exp(x))))
    return op.add(below, nn.relu(x))


def _gelu(x: relax.Expr) -> relax.Expr:
    share = op.multiply(op.erf(op.multiply(x, _number(0.5**0.5))), _number(0.5))
    return op.multiply(x, op.add(_number(0.5), share))


UNARY = {
    "exp": (op.exp, tf.exp),
    "log": (op.log, tf.math.log, _positive),
    "sqrt": (op.sqrt, tf.sqrt, _positive),
    "rsqrt": (op.rsqrt, tf.math.rsqrt, _positive),
    "square": (op.square, tf.square),
    "abs": (op.abs, tf.abs),
    "negative": (op.negative, tf.negative),
    "erf": (op.erf, tf.math.erf),
    "sin": (op.sin, tf.sin),
    "cos": (op.cos, tf.cos),
    "tan": (lambda x: op.tan(op.tanh(x)), lambda x: tf.tan(tf.tanh(x))),
    "elu": (_elu, tf.nn.elu, _one_huge),
    "gelu": (_gelu, tf.nn.gelu, lambda x: x * np.float32(3)),
    "softplus": (
        lambda x: op.log(op.add(op.exp(x), _number(1.0))),
        tf.nn.softplus,
        _one_huge,
    ),
    "sigmoid": (op.sigmoid, tf.sigmoid),
    "tanh": (op.tanh, tf.tanh),
    **{
        name: (lambda x, f=own: op.multiply(x, f(x)), lambda x, f=theirs: x * f(x))
        for name, own, theirs in (
            ("floor", op.floor, tf.floor),
            ("ceil", op.ceil, tf.math.ceil),
            ("round", op.round, tf.round),
            ("sign", op.sign, tf.sign),
            (
                "trunc",
                lambda x: op.astype(op.astype(x, "int32"), "float32"),
                lambda x: tf.cast(tf.cast(x, "int32"), x.dtype),
            ),
        )
    },
}
for _exponent in (2.0, 3.0, 0.5, -0.5, 1.7):
    UNARY[f"power {_exponent}"] = (
        lambda x, e=_exponent: op.power(x, _number(e)),
        lambda x, e=_exponent: x**e,
        _positive,
    )
for _name in ("maximum", "minimum", "divide", "subtract", "greater"):
    _own, _theirs = getattr(op, _name), getattr(tf, _name)
    UNARY[f"{_name} of a number"] = (
        lambda x, f=_own: op.multiply(op.astype(f(_number(0.3), x), "float32"), op.tanh(x)),
        lambda x, f=_theirs: tf.cast(f(tf.constant(0.3, x.dtype), x), x.dtype) * tf.tanh(x),
        _far_from_zero,
    )
    UNARY[f"{_name} and a number"] = (
        lambda x, f=_own: op.multiply(op.astype(f(x, _number(0.3)), "float32"), op.tanh(x)),
        lambda x, f=_theirs: tf.cast(f(x, tf.constant(0.3, x.dtype)), x.dtype) * tf.tanh(x),
        _far_from_zero,
    )

BINARY = {
    "add": (op.add, tf.add),
    "subtract": (op.subtract, tf.subtract),
    "multiply": (op.multiply, tf.multiply),
    "divide": (op.divide, tf.divide, _far_from_zero),
    "maximum": (op.maximum, tf.maximum),
    "minimum": (op.minimum, tf.minimum),
    "power": (op.power, tf.pow, _positive),
    "floor_mod": (op.floor_mod, tf.math.floormod, _far_from_zero),
    "floor_divide": (
        lambda a, b: op.multiply(op.multiply(a, b), op.floor_divide(a, b)),
        lambda a, b: a * b * tf.math.floordiv(a, b),
        _far_from_zero,
    ),
}
CONDITIONS = {
    "greater": (op.greater, tf.greater),
    "greater_equal": (op.greater_equal, tf.greater_equal),
    "less": (op.less, tf.less),
    "less_equal": (op.less_equal, tf.less_equal),
    "equal": (lambda a, b: op.equal(op.floor(a), op.floor(b)), lambda a, b: tf.equal(tf.floor(a), tf.floor(b))),
    "not_equal": (
        lambda a, b: op.not_equal(op.floor(a), op.floor(b)),
        lambda a, b: tf.not_equal(tf.floor(a), tf.floor(b)),
    ),
    "not zero": (
        lambda a, b: op.astype(op.floor(op.add(a, b)), "bool"),
        lambda a, b: tf.cast(tf.floor(a + b), "bool"),
    ),
    **{
        name: (
            lambda a, b, f=own: f(op.greater(a, _number(0.2)), op.logical_not(op.less(b, _number(-0.2)))),
            lambda a, b, f=theirs: f(a > 0.2, tf.logical_not(b < -0.2)),
        )
        for name, own, theirs in (
            ("logical_and", op.logical_and, tf.logical_and),
            ("logical_or", op.logical_or, tf.logical_or),
            ("logical_xor", op.logical_xor, tf.math.logical_xor),
        )
    },
}
REDUCTIONS = {
    "sum": (op.sum, tf.reduce_sum),
    "mean": (op.mean, tf.reduce_mean),
    "max": (op.max, tf.reduce_max),
    "min": (op.min, tf.reduce_min),
    # Equal ones share the gradient.
    "max of equals": (
        lambda x, *a: op.max(op.minimum(x, _number(0.4)), *a),
        lambda x, *a: tf.reduce_max(tf.minimum(x, tf.constant(0.4, x.dtype)), *a),
    ),
}


def _number(value: float) -> relax.Expr:
    return relax.const(np.float32(value))


class _Draw:
    """Random cases."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def shape(self, rank: int, most: int = 5) -> Shape:
        return tuple(int(n) for n in self.rng.integers(1, most + 1, rank))

    def rank(self, least: int = 1, most: int = 5) -> int:
        return int(self.rng.integers(least, most + 1))

    def broadcast(self, shape: Shape) -> Shape:
        """Another shape that broadcasts to this one, which has an axis of more than one element."""
        forced = int(self.rng.choice([axis for axis, n in enumerate(shape) if n > 1]))
        ones = tuple(1 if axis == forced or self.rng.random() < 0.3 else n for axis, n in enumerate(shape))
        return ones[forced + 1 :] if self.rng.random() < 0.3 and set(ones[: forced + 1]) == {1} else ones

    def wide(self, rank: int) -> Shape:
        """A shape with an axis of more than one element."""
        shape = list(self.shape(rank))
        shape[int(self.rng.integers(0, rank))] = int(self.rng.integers(2, 6))
        return tuple(shape)

    def axes(self, rank: int) -> list[int]:
        chosen = self.rng.permutation(rank)[: int(self.rng.integers(1, rank + 1))]
        return sorted(int(axis) for axis in chosen)

    def array(self, *shape: int) -> np.ndarray:
        return normal(self.rng, *shape)

    # -------------------------------------------------------------- families

    def elementwise(self) -> list[Case]:
        cases = [Case(name, (self.shape(self.rank()),), _emitted(f[0]), f[1], *f[2:]) for name, f in UNARY.items()]
        for name, (own, theirs, *domain) in BINARY.items():
            whole = self.wide(self.rank())
            fixed = (domain[0] if domain else np.asarray)(self.array(*self.broadcast(whole)))
            others = [
                Case(f"{name} {shapes}", shapes, _emitted(own), theirs, *domain)
                for shapes in ((whole, self.broadcast(whole)), (self.broadcast(whole), whole))
            ] + [
                Case(
                    f"{name} {whole} with a constant {fixed.shape}",
                    (whole,),
                    _emitted(lambda x, f=own, c=fixed: f(x, relax.const(c))),
                    lambda x, f=theirs, c=fixed: f(x, tf.constant(c, x.dtype)),
                    *domain,
                ),
                Case(
                    f"{name} of a constant {fixed.shape} and {whole}",
                    (whole,),
                    _emitted(lambda x, f=own, c=fixed: f(relax.const(c), x)),
                    lambda x, f=theirs, c=fixed: f(tf.constant(c, x.dtype), x),
                    *domain,
                ),
            ]
            chosen = self.rng.permutation(2)[0], 2 + self.rng.permutation(2)[0]
            cases += [Case(f"{name} {whole}", (whole, whole), _emitted(own), theirs, *domain)]
            cases += [others[int(i)] for i in chosen]
        both = self.shape(3)
        # Both are broadcast, each along an axis of its own.
        crossing = ((both[0], 1, both[2]), (both[0], both[1] + 1, 1))
        cases.append(Case("multiply across", crossing, _emitted(op.multiply), tf.multiply))
        whole, slope = self.wide(4), self.array(5)
        cases += [
            Case(
                f"prelu {whole}",
                (whole, (prod(whole),)),
                lambda emit, x, a: emit(nn.prelu(emit(op.reshape(x, (-1,))), a, 0)),
                lambda x, a: tf.where(tf.reshape(x, [-1]) > 0, tf.reshape(x, [-1]), a * tf.reshape(x, [-1])),
            ),
            Case(
                "prelu of slopes that are computed",
                ((2, 3, 4), (4,)),
                _emitted(lambda x, a: nn.prelu(x, a, 2)),
                lambda x, a: tf.where(x > 0, x, a * x),
            ),
            Case(
                "prelu of channels",
                ((30,),),
                _emitted(lambda x: nn.prelu(x, relax.const(np.tile(slope, 6)), 0)),
                lambda x: tf.where(x > 0, x, tf.constant(np.tile(slope, 6), x.dtype) * x),
            ),
        ]
        for name, (own, theirs) in CONDITIONS.items():
            whole = self.wide(self.rank())
            for shapes in ((whole,) * 3, (whole, self.broadcast(whole), self.broadcast(whole))):
                cases.append(
                    Case(
                        f"where {name} {shapes}",
                        shapes,
                        _emitted(lambda a, b, c, f=own: op.add(op.where(f(a, b), op.tanh(b), c), a)),
                        lambda a, b, c, f=theirs: tf.where(f(a, b), tf.tanh(b), c) + a,
                    )
                )
        return cases

    def reductions(self) -> list[Case]:
        cases = []
        for name, (own, theirs) in REDUCTIONS.items():
            for keep in (False, True):
                shape = self.shape(self.rank())
                axes = self.axes(len(shape))
                cases.append(
                    Case(
                        f"{name} of {axes} in {shape}",
                        (shape,),
                        _emitted(lambda x, f=own, a=axes, k=keep: f(x, a, k)),
                        lambda x, f=theirs, a=axes, k=keep: f(x, a, k),
                    )
                )
        shape = self.shape(4)
        cases.append(
            Case(
                "layer norm", (shape,), _layer_norm, lambda x: (x - _mean(x)) * tf.math.rsqrt(_mean(_centred(x)) + 1e-2)
            )
        )
        for axis in range(3):
            shape = self.shape(3)
            cases += [
                Case(
                    f"softmax along {axis} of {shape}",
                    (shape,),
                    _emitted(lambda x, a=axis: nn.softmax(x, a)),
                    lambda x, a=axis: tf.nn.softmax(x, a),
                ),
                Case(
                    f"log_softmax along {axis} of {shape}",
                    (shape,),
                    _emitted(lambda x, a=axis: nn.log_softmax(x, a)),
                    lambda x, a=axis: tf.nn.log_softmax(x, a),
                ),
            ]
        return cases

    def moves(self) -> list[Case]:
        cases = []
        for rank in range(1, 6):
            shape = self.wide(rank)
            axes = [int(a) for a in self.rng.permutation(rank)]
            begin = [int(self.rng.integers(0, n)) for n in shape]
            end = [int(self.rng.integers(b + 1, n + 1)) for b, n in zip(begin, shape, strict=True)]
            steps = [int(self.rng.integers(1, 4)) for _ in shape]
            back = [bool(self.rng.integers(0, 2)) for _ in shape]
            ranges = [slice(*v) for v in zip(begin, end, steps, strict=True)]
            reps = [int(r) for r in self.rng.integers(1, 4, rank)]
            widths = self.rng.integers(0, 3, (rank, 2)).tolist()
            flat_widths = [w for pair in widths for w in pair]
            axis = int(self.rng.integers(0, rank))
            wide = self.broadcast(shape)
            indices = self.rng.integers(0, shape[axis], int(self.rng.integers(1, 7)))
            reflected = [min(int(self.rng.integers(0, 3)), n - 1) for n in shape for _ in range(2)]
            pairs = list(zip(reflected[::2], reflected[1::2], strict=True))
            cases += [
                Case(
                    f"transpose {shape} to {axes}",
                    (shape,),
                    _emitted(lambda x, a=axes: op.permute_dims(x, a)),
                    lambda x, a=axes: tf.transpose(x, a),
                ),
                Case(
                    f"slice {ranges} of {shape}",
                    (shape,),
                    _emitted(lambda x, b=begin, e=end, s=steps: op.strided_slice(x, list(range(len(b))), b, e, s)),
                    lambda x, r=ranges: x[tuple(r)],
                ),
                Case(
                    f"slice backwards {back} of {shape}",
                    (shape,),
                    _emitted(
                        lambda x, b=back, n=shape: op.strided_slice(
                            x,
                            list(range(len(b))),
                            [m if r else 0 for r, m in zip(b, n, strict=True)],
                            [-m - 1 if r else m for r, m in zip(b, n, strict=True)],
                            [-1 if r else 1 for r in b],
                        )
                    ),
                    lambda x, b=back: tf.reverse(x, [i for i, r in enumerate(b) if r]),
                ),
                Case(
                    f"flip {axis} of {shape}",
                    (shape,),
                    _emitted(lambda x, a=axis: op.flip(x, a)),
                    lambda x, a=axis: tf.reverse(x, [a]),
                ),
                Case(
                    f"tile {shape} {reps}",
                    (shape,),
                    _emitted(lambda x, r=reps: op.tile(x, r)),
                    lambda x, r=reps: tf.tile(x, r),
                ),
                Case(
                    f"repeat {shape}",
                    (shape,),
                    _emitted(lambda x, r=reps[0], a=axis: op.repeat(x, r, a)),
                    lambda x, r=reps[0], a=axis: tf.repeat(x, r, a),
                ),
                Case(
                    f"broadcast {wide} to {shape}",
                    (wide,),
                    _emitted(lambda x, s=shape: op.broadcast_to(x, s)),
                    lambda x, s=shape: tf.broadcast_to(x, s),
                ),
                Case(
                    f"pad {shape} by {widths}",
                    (shape,),
                    _emitted(lambda x, w=flat_widths: nn.pad(x, w, pad_value=1.5)),
                    lambda x, w=widths: tf.pad(x, w, constant_values=1.5),
                ),
                Case(
                    f"reflect {shape} by {pairs}",
                    (shape,),
                    _emitted(lambda x, w=reflected: nn.pad(x, w, "reflect")),
                    lambda x, w=pairs: tf.pad(x, w, "REFLECT"),
                ),
                Case(
                    f"take {indices.tolist()} of axis {axis} in {shape}",
                    (shape,),
                    _emitted(lambda x, i=indices, a=axis: op.take(x, relax.const(i.astype(np.int32)), a, mode="fast")),
                    lambda x, i=indices, a=axis: tf.gather(x, i, axis=a),
                ),
                Case(
                    f"stack and concatenate {shape}",
                    (shape, shape),
                    _emitted(lambda a, b, axis=axis: op.concat([op.stack([a, b], axis), op.stack([b, a], axis)], axis)),
                    lambda a, b, axis=axis: tf.concat([tf.stack([a, b], axis), tf.stack([b, a], axis)], axis),
                ),
            ]
        shape = (2, 7, 3)
        cases += [
            Case("split", (shape,), _split([2, 3], 1), lambda x: tf.tanh(x[:, 2:3]) * x[:, 3:]),
            Case("split evenly", ((2, 3, 6),), _split(3, 2), lambda x: tf.tanh(x[..., 2:4]) * x[..., 4:]),
            Case(
                "concatenate with a constant",
                (shape,),
                _emitted(lambda x: op.concat([relax.const(np.ones(shape, np.float32)), x], 0)),
                lambda x: tf.concat([tf.ones_like(x), x], 0),
            ),
        ]
        return cases

    def resizes(self) -> list[Case]:
        cases = []
        for method in ("nearest_neighbor", "linear"):
            for mode in ("half_pixel", "align_corners", "asymmetric"):
                for factor in (0, 2):
                    shape = (1, *self.shape(3, 6))
                    size = [factor * n for n in shape[1:3]] if factor else [int(n) for n in self.rng.integers(1, 9, 2)]
                    rounding = "round_prefer_ceil" if (method, mode) == ("nearest_neighbor", "half_pixel") else ""
                    cases.append(
                        Case(
                            f"resize {method} {mode} {shape} to {size}",
                            (shape,),
                            _emitted(
                                lambda x, z=size, m=method, c=mode, r=rounding: op.image.resize2d(
                                    x, tuple(z), None, "NHWC", m, c, r
                                )
                            ),
                            lambda x, z=size, m=method, c=mode: _resized(x, z, m, c),
                        )
                    )
        return cases

    def products(self) -> list[Case]:
        cases = []
        for batches in (((), ()), ((3,), (3,)), ((2, 3), (3,)), ((1, 3), (2, 1)), ((), (2, 2))):
            m, k, n = self.shape(3, 6)
            shapes = ((*batches[0], m, k), (*batches[1], k, n))
            cases.append(Case(f"matmul {shapes}", shapes, _emitted(op.matmul), tf.matmul))
        fixed = self.array(5, 4)
        cases.append(
            Case(
                "matmul of a constant",
                ((2, 4, 3),),
                _emitted(lambda x: op.matmul(relax.const(fixed), x)),
                lambda x: tf.matmul(tf.constant(fixed, x.dtype), x),
            )
        )
        cases.append(Case("attention", ((2, 5, 4), (2, 3, 4), (2, 3, 6)), _attention, _attention_of_tensorflow))
        return cases


def _emitted(function: Callable[..., relax.Expr]) -> Body:
    return lambda emit, *inputs: emit(function(*inputs))


def _mean(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x, -1, keepdims=True)


def _centred(x: tf.Tensor) -> tf.Tensor:
    return tf.square(x - _mean(x))


def _layer_norm(emit, x):
    centred = emit(op.subtract(x, emit(op.mean(x, [-1], True))))
    variance = emit(op.mean(emit(op.power(centred, _number(2.0))), [-1], True))
    return emit(op.multiply(centred, emit(op.rsqrt(emit(op.add(variance, _number(1e-2)))))))


def _split(sections: int | Sequence[int], axis: int) -> Body:
    def body(emit, x):
        parts = emit(op.split(x, sections, axis))
        return emit(op.multiply(emit(op.tanh(emit(relax.TupleGetItem(parts, 1)))), emit(relax.TupleGetItem(parts, 2))))

    return body


def _resized(x: tf.Tensor, size: Sequence[int], method: str, mode: str) -> tf.Tensor:
    resize = tf.raw_ops.ResizeBilinear if method == "linear" else tf.raw_ops.ResizeNearestNeighbor
    flags = {"align_corners": mode == "align_corners", "half_pixel_centers": mode == "half_pixel"}
    return resize(images=x, size=size, **flags)


def _attention(emit, q, k, v):
    scores = emit(op.multiply(emit(op.matmul(q, emit(op.permute_dims(k, [0, 2, 1])))), _number(0.5)))
    return emit(op.matmul(emit(nn.softmax(scores, -1)), v))


def _attention_of_tensorflow(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    return tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True) * 0.5), v)


FAMILIES = ("elementwise", "reductions", "moves", "resizes", "products")


def _program(cases: Sequence[Case], inputs: list[list[np.ndarray]]) -> tvm.IRModule:
    """One graph of all cases, whose inputs are the weights of layers of one feature, and whose outputs are one."""

    def body(emit, one):
        parts = []
        for case, values in zip(cases, inputs, strict=True):
            tensors = []
            for value in values:
                weights = emit(op.matmul(one, relax.const(np.ones((1, value.size), np.float32))))
                tensors.append(emit(op.reshape(weights, value.shape)))
            parts.append(emit(op.reshape(case.body(emit, *tensors), (-1,))))
        return emit(op.concat(parts, 0))

    return Canonicalize()(imported((1, 1), body))


def _inputs(cases: Sequence[Case], rng: np.random.Generator) -> list[list[np.ndarray]]:
    return [[case.domain(normal(rng, *shape)) for shape in case.shapes] for case in cases]


def _loss(module: tvm.IRModule) -> LossSpec:
    """The sum of the outputs, each times a number of the label."""
    elements = int(module["predict"].ty.ret.shape[0])
    return LossSpec("weighted_sum", elements, "weighted_sum", VECTOR, elements)


def _trained(inputs: list[list[np.ndarray]]) -> dict[int, Trained]:
    """Every input is the weights of a layer."""
    return {i: Trained(value.size, bias=False) for i, value in enumerate(v for values in inputs for v in values)}


def check_cases(cases: Sequence[Case], rng: np.random.Generator, tiling: Tiling) -> None:
    """Compare a program of all cases with TensorFlow."""
    inputs = _inputs(cases, rng)
    flat = [value for values in inputs for value in values]
    module = _program(cases, inputs)
    loss = _loss(module)
    label = normal(rng, loss.label_elements)
    # The gradients of a batch are kept as they are, those of a single sample are part of the update.
    planned = training_program(module, loss, _trained(inputs), dataclasses.replace(SGD().spec(), batch_size=2))
    program = Program(planned, tiling, LOSS)
    weights = [np.stack([v.ravel(), np.zeros(v.size, np.float32)], 1) for v in flat]
    arguments: dict[str, object] = {"x": np.ones(1, np.float32), "label": label, "loss": np.zeros(1, np.float32)}
    arguments |= {"scale": np.ones(1, np.float32)}
    arguments |= {f"rows_{i}": TrainedRows(w, 1, tuple(range(len(w)))) for i, w in enumerate(weights)}
    sums = [np.zeros_like(w) for w in weights]
    arguments |= {f"gradient_{i}": total for i, total in enumerate(sums)}
    (output,) = program.run("predict", arguments)
    program.run("train_step", arguments)
    gradients = iter([total[:, 0] for total in sums])
    at = 0
    for case, values in zip(cases, inputs, strict=True):
        tensors = [tf.constant(value, tf.float64) for value in values]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            expected = tf.cast(case.reference(*tensors), tf.float64)
            part = label[at : at + int(tf.size(expected))]
            weighted = tf.reduce_sum(tf.reshape(expected, [-1]) * part)
        check_close(output[at : at + part.size], expected.numpy(), case.name)
        at += part.size
        wanted = tape.gradient(weighted, tensors, unconnected_gradients="zero")
        for index, gradient in enumerate(wanted):
            check_close(next(gradients), tf.convert_to_tensor(gradient).numpy(), f"gradient {index} of {case.name}")
    assert at == label.size


@pytest.mark.parametrize("family", FAMILIES)
def test_values_and_gradients_are_those_of_tensorflow(family):
    draw = _Draw(1)
    check_cases(getattr(draw, family)(), draw.rng, HOST)


@functools.cache
def called() -> frozenset[str]:
    """The operations that those programs call, forward and backward."""
    draw = _Draw(1)
    cases = [case for family in FAMILIES for case in getattr(draw, family)()]
    inputs = _inputs(cases, draw.rng)
    module = _program(cases, inputs)
    module = SparseGradient(_trained(inputs))(AttachLoss(_loss(module))(module))
    return frozenset(step.kernel.op for step in steps_of(module, "train_step")[0])


CUT = {
    "rounding": lambda emit, x: emit(op.floor(x)),
    "a comparison": lambda emit, x: emit(op.astype(emit(op.greater(x, _number(0.0))), "float32")),
    "a choice": lambda emit, x: emit(op.where(emit(op.less(x, _number(0.0))), _number(1.0), _number(2.0))),
}


@pytest.mark.parametrize("through", CUT)
def test_a_layer_that_no_gradient_reaches_is_refused_by_name(through):
    def body(emit, x):
        hidden = emit(op.matmul(x, relax.const(np.ones((4, 3), np.float32))))
        return emit(op.matmul(CUT[through](emit, hidden), relax.const(np.ones((3, 2), np.float32))))

    module = Canonicalize()(imported((1, 4), body))
    loss = LossSpec("weighted_sum", 2, "weighted_sum", VECTOR, 2)
    training_program(module, loss, {1: Trained(2)}, SGD().spec())
    with pytest.raises(UnsupportedGraphError, match=r"^expected a gradient for every trained layer, [^\n]*$") as error:
        training_program(module, loss, {0: Trained(3), 1: Trained(2)}, SGD().spec())
    assert "layer 0" in str(error.value)
    assert unreached_layers(module) == [0]
