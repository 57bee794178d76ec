# SPDX-License-Identifier: Apache-2.0
"""Operations without weights, as an imported graph has them and as TensorFlow has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tvm import relax

op, nn = relax.op, relax.op.nn

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


def positive(x: np.ndarray) -> np.ndarray:
    return np.abs(x) + np.float32(0.5)


def far_from_zero(x: np.ndarray) -> np.ndarray:
    return x + np.sign(x) * np.float32(0.5)


def one_huge(x: np.ndarray) -> np.ndarray:
    """One number has an exponential that no float32 holds."""
    x = 3 * x
    x.flat[0] = 100
    return x


def _elu(x: relax.Expr) -> relax.Expr:
    below = op.multiply(number(-1.0), nn.relu(op.subtract(number(1.0), op.exp(x))))
    return op.add(below, nn.relu(x))


def _gelu(x: relax.Expr) -> relax.Expr:
    share = op.multiply(op.erf(op.multiply(x, number(0.5**0.5))), number(0.5))
    return op.multiply(x, op.add(number(0.5), share))


UNARY = {
    "exp": (op.exp, tf.exp),
    "log": (op.log, tf.math.log, positive),
    "sqrt": (op.sqrt, tf.sqrt, positive),
    "rsqrt": (op.rsqrt, tf.math.rsqrt, positive),
    "square": (op.square, tf.square),
    "abs": (op.abs, tf.abs),
    "negative": (op.negative, tf.negative),
    "erf": (op.erf, tf.math.erf),
    "sin": (op.sin, tf.sin),
    "cos": (op.cos, tf.cos),
    "tan": (lambda x: op.tan(op.tanh(x)), lambda x: tf.tan(tf.tanh(x))),
    "elu": (_elu, tf.nn.elu, one_huge),
    "gelu": (_gelu, tf.nn.gelu, lambda x: x * np.float32(3)),
    "softplus": (
        lambda x: op.log(op.add(op.exp(x), number(1.0))),
        tf.nn.softplus,
        one_huge,
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
        lambda x, e=_exponent: op.power(x, number(e)),
        lambda x, e=_exponent: x**e,
        positive,
    )
for _name in ("maximum", "minimum", "divide", "subtract", "greater"):
    _own, _theirs = getattr(op, _name), getattr(tf, _name)
    UNARY[f"{_name} of a number"] = (
        lambda x, f=_own: op.multiply(op.astype(f(number(0.3), x), "float32"), op.tanh(x)),
        lambda x, f=_theirs: tf.cast(f(tf.constant(0.3, x.dtype), x), x.dtype) * tf.tanh(x),
        far_from_zero,
    )
    UNARY[f"{_name} and a number"] = (
        lambda x, f=_own: op.multiply(op.astype(f(x, number(0.3)), "float32"), op.tanh(x)),
        lambda x, f=_theirs: tf.cast(f(x, tf.constant(0.3, x.dtype)), x.dtype) * tf.tanh(x),
        far_from_zero,
    )

BINARY = {
    "add": (op.add, tf.add),
    "subtract": (op.subtract, tf.subtract),
    "multiply": (op.multiply, tf.multiply),
    "divide": (op.divide, tf.divide, far_from_zero),
    "maximum": (op.maximum, tf.maximum),
    "minimum": (op.minimum, tf.minimum),
    "power": (op.power, tf.pow, positive),
    "floor_mod": (op.floor_mod, tf.math.floormod, far_from_zero),
    "floor_divide": (
        lambda a, b: op.multiply(op.multiply(a, b), op.floor_divide(a, b)),
        lambda a, b: a * b * tf.math.floordiv(a, b),
        far_from_zero,
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
            lambda a, b, f=own: f(op.greater(a, number(0.2)), op.logical_not(op.less(b, number(-0.2)))),
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
        lambda x, *a: op.max(op.minimum(x, number(0.4)), *a),
        lambda x, *a: tf.reduce_max(tf.minimum(x, tf.constant(0.4, x.dtype)), *a),
    ),
}


def number(value: float) -> relax.Expr:
    return relax.const(np.float32(value))
