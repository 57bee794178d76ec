# SPDX-License-Identifier: Apache-2.0
"""Random uses of operations without weights: shapes of one to five axes, operands that broadcast, any axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import tensorflow as tf
from tvm import relax

from .primitives import BINARY, CONDITIONS, REDUCTIONS, UNARY, Body, Case, Shape, number
from .trials import normal

op, nn = relax.op, relax.op.nn


class Draw:
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

    def axes(self, shape: Shape) -> list[int]:
        """Some axes, one of more than one element among them."""
        chosen = self.rng.permutation(len(shape))[: int(self.rng.integers(0, len(shape)))]
        return sorted({int(np.argmax(shape)), *(int(axis) for axis in chosen)})

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
                shape = self.wide(self.rank())
                axes = self.axes(shape)
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
    variance = emit(op.mean(emit(op.power(centred, number(2.0))), [-1], True))
    return emit(op.multiply(centred, emit(op.rsqrt(emit(op.add(variance, number(1e-2)))))))


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
    scores = emit(op.multiply(emit(op.matmul(q, emit(op.permute_dims(k, [0, 2, 1])))), number(0.5)))
    return emit(op.matmul(emit(nn.softmax(scores, -1)), v))


def _attention_of_tensorflow(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    return tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True) * 0.5), v)
