# SPDX-License-Identifier: Apache-2.0
"""Layers that are used in several places: one set of rows, which learns from all of its uses as in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from dynamic.builds import ours
from tflm.boards import run_exported

import tt_tflm
from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.plan.tail import tail_table
from tt_tflm.plan.update_plan import LayerPlan
from tt_tflm.program.static import loss_spec

from . import shared_net
from .boards import check_forward, check_untouched, check_updates
from .reference import SGD, Adam, Momentum, Optimizer, Reference
from .shared_net import LAYERS

PLAN: dict[str, LayerPlan] = {
    "conv": LayerPlan((0, 2)),
    "dense": LayerPlan((1, 3, 4), bias=False),
    "cell": LayerPlan(tuple(range(5))),
    "gate": LayerPlan((0, 4), weights=False),
    "logits": LayerPlan((1,)),
}
OPTIMIZERS = {
    "sgd": SGD(0.1),
    "momentum": Momentum(0.05, 0.8),
    "adam": Adam(0.02, epsilon=1e-4),
    "sgd_batch": SGD(0.1, batch_size=2),
}
SAMPLES = [(x, i % 3) for i, x in enumerate(np.random.default_rng(5).normal(0, 1, (6, 6, 4, 3)).astype(np.float32))]
VALUES = shared_net.weights()


class SharedReference(Reference):
    """The net in TensorFlow, in float64."""

    def __init__(self, rule: Optimizer, chosen: Mapping[str, np.ndarray]) -> None:
        self.optimizer, self.dtype, self.chosen = rule, "float64", chosen
        self.variables = {name: tf.Variable(value, dtype=tf.float64) for name, value in VALUES.items()}
        self._base = self.weights()
        self.reset()

    def gradients(self, x: np.ndarray, label: int) -> tuple[float, dict[str, np.ndarray]]:
        loss, gradients = shared_net.gradients(self.weights(), x, label)
        return loss, {key: np.where(mask, gradients[key], 0) for key, mask in self.chosen.items()}


def chosen_of(plan: Mapping[str, LayerPlan]) -> dict[str, np.ndarray]:
    """True where an entry of a kernel or a bias is trained."""
    chosen = {}
    for name, entry in plan.items():
        for key, trained in (("kernel", entry.weights), ("bias", entry.bias)):
            mask = np.zeros(VALUES[f"{name}/{key}"].shape, bool)
            mask[..., list(entry.channels)] = trained
            chosen[f"{name}/{key}"] = mask
    return chosen


def check_training(board, rule: Optimizer, plan: Mapping[str, LayerPlan]) -> None:
    reference = SharedReference(rule, chosen_of(plan))
    before = board.weights()
    losses = [[each.train_step(*sample) for each in (board, reference)] for sample in SAMPLES]
    after = board.weights()
    for received, expected in losses:
        assert received == pytest.approx(expected, rel=1e-4, abs=1e-5)
    check_untouched(before, after, reference.chosen)
    expected = {key: reference.weights()[key] - before[key] for key in reference.chosen}
    assert all(np.any(change) for key, change in expected.items() if reference.chosen[key].any())
    check_updates({key: after[key] - before[key] for key in expected}, expected, before)


def converter_of(rule: Optimizer, backend: str = "c") -> tt_tflm.TrainableConverter:
    converter = shared_net.converter(VALUES)
    converter.optimizer, converter.backend = ours(rule), backend
    return converter


@pytest.mark.parametrize(
    ("name", "backend"), [*((name, "c") for name in OPTIMIZERS), ("sgd", "tflm"), ("momentum", "tflm")]
)
def test_one_set_of_rows_learns_from_all_uses(name: str, backend: str) -> None:
    rule = OPTIMIZERS[name]
    converter = converter_of(rule, backend)
    converter.plan = tt_tflm.UpdatePlan(PLAN)
    x = SAMPLES[0][0]
    with converter.convert().simulate() as board:
        assert {name: board.weights()[name].tolist() for name in VALUES} == {n: v.tolist() for n, v in VALUES.items()}
        check_forward(board.predict(x), shared_net.outputs(VALUES, x))
        check_training(board, rule, PLAN)
        for scores in run_exported(board.export_tflite(), x).values():
            np.testing.assert_allclose(scores, board.predict(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["c", "tflm"])
def test_boards_inspect_and_choose_layers_of_several_uses(backend: str) -> None:
    rule = SGD(0.1)
    converter = converter_of(rule, backend)
    converter.mode = "dynamic"
    plan = {name: LayerPlan(entry.channels) for name, entry in PLAN.items() if name != "gate"}
    with converter.convert().simulate() as board:
        for x, label in SAMPLES[:2]:
            board.fisher_accumulate(x, label)
        expected = [shared_net.potentials(VALUES, x, label) for x, label in SAMPLES[:2]]
        for name, potentials in board.fisher().items():
            mean = np.mean([of_sample[name] for of_sample in expected], 0)
            np.testing.assert_allclose(potentials, mean, rtol=1e-3, atol=1e-4 * mean.max(), err_msg=name)
        board.choose(tt_tflm.UpdatePlan(plan))
        check_training(board, rule, plan)


@pytest.mark.parametrize(
    ("rule", "copies"),
    # Of a layer of several uses and of the one of one use: rows, moments, gradients.
    [(SGD(), (2, 1)), (Momentum(), (3, 3)), (SGD(batch_size=2), (2, 2))],
    ids=["sgd", "momentum", "sgd_batch"],
)
def test_memory_counts_rows_once_and_compute_every_use(rule: Optimizer, copies: tuple[int, int]) -> None:
    converter = converter_of(rule)
    layers = {layer.name: layer for layer in converter.layers}
    assert {name: layer.forward_macs for name, layer in layers.items()} == {n: macs for n, (*_, macs) in LAYERS.items()}
    model = converter._import()
    everything = {name: LayerPlan(tuple(range(layer.channels))) for name, layer in layers.items()}
    full = model.cost(everything, converter.loss, converter.optimizer)
    assert full.updated_parameters == sum(layer.parameters for layer in layers.values())
    table = tail_table(
        model.module,
        loss_spec(model, converter.loss),
        model.layers,
        range(len(layers)),
        converter.optimizer.spec(at_run_time=True),
        0,
        full.backward_macs,
    )
    # A weight gradient takes as many multiplications as the forward pass of all uses.
    for number, (name, (*_, macs)) in enumerate(LAYERS.items()):
        biases = everything | {name: replace(everything[name], weights=False)}
        less = model.cost(biases, converter.loss, converter.optimizer)
        assert full.backward_macs - less.backward_macs == macs
        cost = model.cost({name: LayerPlan((0, 2))}, converter.loss, converter.optimizer)
        of_table = table.cost({number: 2})
        assert of_table.backward_macs == cost.backward_macs
        assert of_table.training_memory_bytes == cost.training_bytes
        assert of_table.updated_parameters == cost.updated_parameters
        assert table.candidates[number].row_bytes == 4 * layers[name].stride * copies[name == "logits"]


def test_int8_names_the_layer() -> None:
    converter = converter_of(SGD())
    converter.precision, converter.representative_data = "int8", np.stack([x for x, _ in SAMPLES])
    converter.input_scaling = (1.0, 0.0)
    with pytest.raises(UnsupportedLayerError, match=r"layer 'conv', precision int8: .* 2 uses; use precision float32"):
        converter.convert()
