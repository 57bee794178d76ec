# SPDX-License-Identifier: Apache-2.0
"""A net whose layers are used in several places, said once and read twice: as an imported Relax graph, by TensorFlow.

A convolution on two image sizes, a Dense on many positions and on one, and a gated cell unrolled five times.
"""

from __future__ import annotations

import unittest.mock
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tvm
from passes.imported import conv2d, imported
from tvm import relax

import tt_tflm
from tt_tflm.frontend.layers import Layer
from tt_tflm.program import static

INPUT_SHAPE = (6, 4, 3)
CLASSES = 3
STEPS = 5
# In the order of their first use: kind, shape of the Keras kernel, multiply-accumulates of all uses.
LAYERS = {
    "conv": ("conv2d", (3, 3, 3, 4), (24 + 6) * 4 * 27),
    "dense": ("dense", (4, 5), (6 + 1) * 20),
    "gate": ("dense", (5, 5), STEPS * 25),
    "cell": ("dense", (5, 5), STEPS * 25),
    "logits": ("dense", (5, 3), 15),
}
Weights = Mapping[str, np.ndarray]


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """float32 kernels and biases, by the names that boards give them."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, (_, shape, _) in LAYERS.items():
        made[f"{name}/kernel"] = rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape).astype(np.float32)
        made[f"{name}/bias"] = rng.normal(0, 0.3, shape[-1]).astype(np.float32)
    return made


def _net(ops: Any, x: Any, inspect: Any = lambda _layer, value: value) -> Any:
    large = inspect("conv", ops.relu6(ops.conv("conv", x)))
    small = inspect("conv", ops.relu6(ops.conv("conv", ops.pool(x))))
    many = inspect("dense", ops.dense("dense", ops.reshape(small, (1, 6, 4))))
    one = inspect("dense", ops.dense("dense", ops.mean(large)))
    h = ops.tanh(ops.add(ops.mean(ops.reshape(many, (1, 3, 2, 5))), one))
    for _ in range(STEPS):
        gate = inspect("gate", ops.sigmoid(ops.dense("gate", h)))
        h = ops.multiply(gate, inspect("cell", ops.tanh(ops.dense("cell", h))))
    return inspect("logits", ops.dense("logits", h))


class _Relax:
    def __init__(self, emit: Any, values: Weights) -> None:
        self.emit = emit
        self.constants = {name: relax.const(value) for name, value in values.items()}

    def conv(self, layer: str, x: relax.Expr) -> relax.Var:
        y = self.emit(conv2d(x, self.constants[f"{layer}/kernel"], padding=[1, 1, 1, 1]))
        return self.emit(relax.op.add(y, self.constants[f"{layer}/bias"]))

    def dense(self, layer: str, x: relax.Expr) -> relax.Var:
        y = self.emit(relax.op.matmul(x, self.constants[f"{layer}/kernel"]))
        return self.emit(relax.op.add(y, self.constants[f"{layer}/bias"]))

    def pool(self, x: relax.Expr) -> relax.Var:
        return self.emit(relax.op.nn.avg_pool2d(x, (2, 2), (2, 2), layout="NHWC"))

    def mean(self, x: relax.Expr) -> relax.Var:
        return self.emit(relax.op.mean(x, [1, 2]))

    def reshape(self, x: relax.Expr, shape: tuple[int, ...]) -> relax.Var:
        return self.emit(relax.op.reshape(x, shape))

    def relu6(self, x: relax.Expr) -> relax.Var:
        return self.emit(relax.op.clip(x, 0.0, 6.0))

    def tanh(self, x: relax.Expr) -> relax.Var:
        return self.emit(relax.op.tanh(x))

    def sigmoid(self, x: relax.Expr) -> relax.Var:
        return self.emit(relax.op.sigmoid(x))

    def add(self, a: relax.Expr, b: relax.Expr) -> relax.Var:
        return self.emit(relax.op.add(a, b))

    def multiply(self, a: relax.Expr, b: relax.Expr) -> relax.Var:
        return self.emit(relax.op.multiply(a, b))


class _TensorFlow:
    relu6, tanh, sigmoid, add, multiply, reshape = (
        staticmethod(f) for f in (tf.nn.relu6, tf.tanh, tf.sigmoid, tf.add, tf.multiply, tf.reshape)
    )

    def __init__(self, variables: Mapping[str, tf.Tensor]) -> None:
        self.variables = variables

    def conv(self, layer: str, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(x, self.variables[f"{layer}/kernel"], 1, "SAME") + self.variables[f"{layer}/bias"]

    def dense(self, layer: str, x: tf.Tensor) -> tf.Tensor:
        return tf.tensordot(x, self.variables[f"{layer}/kernel"], 1) + self.variables[f"{layer}/bias"]

    def pool(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(x, 2, 2, "VALID")

    def mean(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(x, (1, 2))


def graph(values: Weights) -> tvm.IRModule:
    """The net as a front end gives it: every use of a layer reads the same constants."""
    return imported((1, *INPUT_SHAPE), lambda emit, x: _net(_Relax(emit, values), x))


def outputs(values: Weights, x: np.ndarray) -> np.ndarray:
    """The logits of one sample."""
    constants = {name: tf.constant(value, tf.float64) for name, value in values.items()}
    return _net(_TensorFlow(constants), tf.constant(x[None], tf.float64)).numpy()[0]


def gradients(values: Weights, x: np.ndarray, label: int) -> tuple[float, dict[str, np.ndarray]]:
    """The softmax loss of one sample and its gradients, in float64."""
    variables = {name: tf.Variable(value, dtype=tf.float64) for name, value in values.items()}
    with tf.GradientTape() as tape:
        loss = -tf.nn.log_softmax(_net(_TensorFlow(variables), tf.constant(x[None], tf.float64)))[0, label]
    return float(loss), {name: g.numpy() for name, g in tape.gradient(loss, variables).items()}


def potentials(values: Weights, x: np.ndarray, label: int) -> dict[str, np.ndarray]:
    """Half of (sum over the positions of all uses of a * g)^2: layer -> (channels,)."""
    taken: list[tuple[str, tf.Tensor]] = []

    def inspect(layer: str, value: tf.Tensor) -> tf.Tensor:
        tape.watch(value)
        taken.append((layer, value))
        return value

    with tf.GradientTape() as tape:
        constants = {name: tf.constant(value, tf.float64) for name, value in values.items()}
        output = _net(_TensorFlow(constants), tf.constant(x[None], tf.float64), inspect)
        loss = -tf.nn.log_softmax(output)[0, label]
    sums: dict[str, Any] = dict.fromkeys(LAYERS, 0.0)
    for (layer, a), g in zip(taken, tape.gradient(loss, [a for _, a in taken]), strict=True):
        sums[layer] += (a * g).numpy().reshape(-1, a.shape[-1]).sum(0)
    return {layer: total**2 / 2 for layer, total in sums.items()}


def converter(values: Weights) -> tt_tflm.TrainableConverter:
    """A converter that takes the net for what the front end has made of its model."""
    model = keras.Sequential([keras.Input(INPUT_SHAPE), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])
    made = tt_tflm.TrainableConverter.from_keras_model(model)
    layers = [Layer.of(name, kind, shape, True, (), ()) for name, (kind, shape, _) in LAYERS.items()]
    with (
        unittest.mock.patch.object(static, "to_relax", lambda _model: graph(values)),
        unittest.mock.patch.object(static, "name_layers", lambda _model, _operators: layers),
    ):
        made._imported = static.import_model(model)
    made.loss = tt_tflm.SoftmaxLoss()
    made.target = "host"
    return made
