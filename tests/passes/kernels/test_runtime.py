# SPDX-License-Identifier: Apache-2.0
"""Kernels that are calls of the device runtime: losses and the Fisher potential against TensorFlow, optimisers against
Keras' own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tvm_passes.attach_loss import PROTOTYPES
from tvm_passes.kernel import INOUT, LOSS, OUT, ROWS, UPDATE, Kernel, Param
from tvm_passes.kernels.geometry import row_stride

from ..compiled import PrototypesStruct, Rows
from ..trials import Draw, Trial, check_op, normal, rng_of, some_channels

EXAMPLES = 12


@st.composite
def softmax_cross_entropy_trials(draw: Draw) -> Trial:
    classes = draw(st.integers(2, 12))
    logits, label = 2 * normal(rng_of(draw), classes), draw(st.integers(0, classes - 1))
    loss, g = _loss_and_gradient(logits, lambda v: v, label)
    params = (
        Param("output", classes),
        Param("label", 1, dtype="uint32"),
        Param("loss", 1, INOUT),
        Param("g", classes, OUT),
    )
    arguments = {"output": logits, "label": np.uint32([label]), "loss": np.zeros(1)}
    return Trial(
        Kernel(LOSS, params, _attrs("softmax", "tt_softmax_cross_entropy"), ("output",)),
        arguments,
        {"loss": loss, "g": g},
    )


@st.composite
def prototype_loss_trials(draw: Draw) -> Trial:
    classes, elements, rng = draw(st.integers(2, 6)), draw(st.integers(2, 9)), rng_of(draw)
    embedding, sums = normal(rng, elements), normal(rng, classes, elements)
    counts, temperature = rng.integers(1, 5, classes).astype(np.uint32), draw(st.sampled_from((1.0, 10.0)))
    label = draw(st.integers(0, classes - 1))
    prototypes = tf.constant(sums / counts[:, None], tf.float64)

    def scores(vector: tf.Tensor) -> tf.Tensor:
        lengths = tf.norm(prototypes, axis=1) * tf.norm(vector)
        return temperature * tf.linalg.matvec(prototypes, vector) / lengths

    loss, g = _loss_and_gradient(embedding, scores, label)
    _, g_scores = _loss_and_gradient(scores(tf.constant(embedding, tf.float64)).numpy(), lambda v: v, label)
    params = (
        Param("output", elements),
        Param("label", 1, dtype="uint32"),
        Param("prototypes", 1, PROTOTYPES),
        Param("loss", 1, INOUT),
        Param("scores", classes, INOUT),
        Param("g", elements, OUT),
    )
    struct = PrototypesStruct(sums.ctypes.data, counts.ctypes.data, classes, elements, temperature)
    struct.keep = (sums, counts)
    arguments = {
        "output": embedding,
        "label": np.uint32([label]),
        "prototypes": struct,
        "loss": np.zeros(1),
        "scores": np.full(classes, np.nan),
    }
    return Trial(
        Kernel(LOSS, params, _attrs("prototype", "tt_prototypes_loss")),
        arguments,
        {"loss": loss, "scores": g_scores, "g": g},
    )


def _loss_and_gradient(values: np.ndarray, scores, label: int) -> tuple[np.ndarray, np.ndarray]:
    source = tf.constant(values, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(source)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], scores(source)[None])
    return loss.numpy(), tape.gradient(loss, source).numpy()


def optimizer_trials(op: str) -> st.SearchStrategy[Trial]:
    """Two steps of the Keras optimiser; the kernel does the second."""

    @st.composite
    def trials(draw: Draw) -> Trial:
        length, channels, rng = draw(st.integers(1, 9)), draw(st.integers(1, 6)), rng_of(draw)
        trained = some_channels(draw, channels, least=1)
        rows = Rows(normal(rng, channels, row_stride(length)), length, trained)
        n = len(trained) * rows.values.shape[1]
        weights, first, g = normal(rng, n), normal(rng, n), normal(rng, n)
        rate = draw(st.sampled_from((0.01, 0.3)))
        optimizer, constants, moments = _keras(op, rate, draw)
        variable = keras.Variable(weights)
        optimizer.build([variable])
        optimizer.apply([first], [variable])
        state = [v.numpy().copy() for v in optimizer.variables if tuple(v.shape) == (n,)]
        before = variable.numpy().copy()
        optimizer.apply([g], [variable])
        after = [v.numpy() for v in optimizer.variables if tuple(v.shape) == (n,)]
        hyper = np.float32([rate, *constants])
        params = (
            Param("g", n),
            Param("rows", rows.values.size, ROWS),
            Param("hyper", len(hyper)),
            *(Param(name, n, INOUT) for name in moments),
            Param("pool", n, INOUT),
        )
        arguments = {"g": g, "rows": rows, "hyper": hyper, "pool": before, **dict(zip(moments, state, strict=True))}
        expected = {"pool": variable.numpy(), **dict(zip(moments, after, strict=True))}
        return Trial(Kernel(UPDATE, params, {"kind": op, "function": f"tt_{op}_update"}), arguments, expected)

    return trials()


def _keras(op: str, rate: float, draw: Draw) -> tuple[keras.Optimizer, tuple[float, ...], tuple[str, ...]]:
    """The optimiser, its numbers behind the learning rate at the second step, and its moments."""
    if op == "adam":
        adam = keras.optimizers.Adam(rate)
        b1, b2 = adam.beta_1, adam.beta_2
        return adam, (b1, b2, adam.epsilon, b1**2, b2**2), ("first_moment", "second_moment")
    if op == "momentum":
        momentum = draw(st.sampled_from((0.5, 0.9)))
        return keras.optimizers.SGD(rate, momentum), (momentum,), ("velocity",)
    return keras.optimizers.SGD(rate), (), ()


def _attrs(kind: str, function: str) -> dict[str, str]:
    return {"kind": kind, "function": function, "label": "class"}


@st.composite
def fisher_potential_trials(draw: Draw) -> Trial:
    positions, channels, rng = draw(st.integers(1, 20)), draw(st.integers(1, 7)), rng_of(draw)
    a, g, so_far = normal(rng, positions, channels), normal(rng, positions, channels), rng.random(channels)
    potential = so_far + np.square((a.astype(np.float64) * g).sum(axis=0))
    params = (Param("a", a.size), Param("g", g.size), Param("potential", channels, INOUT))
    return Trial(Kernel("fisher_potential", params), {"a": a, "g": g, "potential": so_far}, {"potential": potential})


CASES = {
    LOSS: softmax_cross_entropy_trials() | prototype_loss_trials(),
    UPDATE: st.one_of([optimizer_trials(kind) for kind in ("sgd", "momentum", "adam")]),
    "fisher_potential": fisher_potential_trials(),
}


@pytest.mark.parametrize("op", CASES)
def test_runtime(op: str) -> None:
    check_op(CASES[op], EXAMPLES)
