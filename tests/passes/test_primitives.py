# SPDX-License-Identifier: Apache-2.0
"""Operations without weights, of random shapes of one to five axes: what a program of them all computes and every
gradient of it, against TensorFlow."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf
import tvm
from tvm import relax

from tt_tflm.optimizers import SGD
from tvm_passes import macs
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.canonicalize import Canonicalize
from tvm_passes.choice import Trained
from tvm_passes.imported_graph import UnsupportedGraphError
from tvm_passes.kernel import OUT, Kernel, Param, steps_of
from tvm_passes.kernels.space import Place, Space
from tvm_passes.kernels.tiling import HOST, Tiling
from tvm_passes.pipeline import training_program
from tvm_passes.sparse_gradient import SparseGradient, unreached_layers
from tvm_passes.specs import VECTOR, LossSpec

from .imported import imported
from .planned import Program, TrainedRows
from .primitives import Case, number
from .random_primitives import Draw
from .trials import Trial, check_close, check_trial, normal

op = relax.op
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
    draw = Draw(1)
    check_cases(getattr(draw, family)(), draw.rng, HOST)


@functools.cache
def called() -> frozenset[str]:
    """The operations that those programs call, forward and backward."""
    cases = [case for family in FAMILIES for case in getattr(Draw(1), family)()]
    inputs = _inputs(cases, np.random.default_rng(1))
    module = _program(cases, inputs)
    module = SparseGradient(_trained(inputs))(AttachLoss(_loss(module))(module))
    return frozenset(step.kernel.op for step in steps_of(module, "train_step")[0])


CUT = {
    "rounding": lambda emit, x: emit(op.floor(x)),
    "a comparison": lambda emit, x: emit(op.astype(emit(op.greater(x, number(0.0))), "float32")),
    "a choice": lambda emit, x: emit(op.where(emit(op.less(x, number(0.0))), number(1.0), number(2.0))),
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


def test_a_product_counts_its_multiply_accumulates():
    a, b = (normal(np.random.default_rng(0), *shape) for shape in ((2, 3), (3, 4)))
    places = (Place((3, 0, 1)), Place((0, 1, 4)), Place((4, 1, 0)))
    params = (Param("a", 6), Param("b", 12), Param("y", 8, OUT))
    kernel = Kernel("matmul", params, Space((2, 4, 3), places).attrs())
    check_trial(Trial(kernel, {"a": a.ravel(), "b": b.ravel()}, {"y": a @ b}, macs=24))
    assert macs.nominal(kernel) == macs.executed(kernel) == 24
