# SPDX-License-Identifier: Apache-2.0
"""The recipe of an optimiser: a class and a C source, here of another package. It has everything that one may have:
constants, two moments and a number that it counts on."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from oracle.boards import check_untouched, check_updates
from oracle.net_weights import randomise_weights
from oracle.reference import Reference, SoftmaxLoss

import tt_tflm
from recipes import outside
from tt_tflm.errors import InputError
from tt_tflm.export import export
from tt_tflm.optimizers import OPTIMIZERS

ADAMAX = '''
from dataclasses import dataclass
from pathlib import Path

from tt_tflm.errors import expect_positive, expect_share
from tt_tflm.optimizers import Optimizer, register_optimizer

@register_optimizer
@dataclass(frozen=True)
class Adamax(Optimizer):
    """Adam by the largest gradient so far (Kingma & Ba, 2015), as Keras writes it."""

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    batch_size: int = 1
    name = "adamax"
    moments = ("mean", "largest")
    counters = (1.0,)
    sources = (Path(__file__).with_name("tt_adamax_update.c"),)

    def __post_init__(self):
        super().__post_init__()
        expect_share("Adamax", "beta_1", self.beta_1)
        expect_share("Adamax", "beta_2", self.beta_2)
        expect_positive("Adamax", "epsilon", self.epsilon)
'''
SOURCE = """\
#include <math.h>

#include "tt_optimizer.h"

enum { RATE, BETA_1, BETA_2, EPSILON, BETA_1_POWER, ELEMENTS };

void tt_adamax_update(float *row, float *mean, float *largest, const float *gradient, uint32_t count,
                      const float *hyper);

void tt_adamax_update(float *row, float *mean, float *largest, const float *gradient, uint32_t count,
                      const float *hyper) {
    const float rate = hyper[RATE] / (1.0f - hyper[BETA_1_POWER]);
    for (uint32_t i = 0; i < count; ++i) {
        mean[i] += (gradient[i] - mean[i]) * (1.0f - hyper[BETA_1]);
        largest[i] = fmaxf(hyper[BETA_2] * largest[i], fabsf(gradient[i]));
        row[i] -= rate * mean[i] / (largest[i] + hyper[EPSILON]);
    }
}

static void restart(float *hyper) {
    hyper[BETA_1_POWER] = 1.0f;
}

static void next_step(float *hyper) {
    hyper[BETA_1_POWER] *= hyper[BETA_1];
}

const tt_optimizer_t tt_optimizer_adamax = {"adamax", ELEMENTS, restart, next_step};
"""
INPUT_SHAPE, CLASSES, STEPS = (6, 5, 2), 3, 8
# An epsilon that rounding is small beside: a step goes by the sign of a gradient nearly alone.
SETTINGS = {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.01}
PLAN = {"stem": [0, 2], "logits": "all"}


class KerasReference(Reference):
    """Reference with an optimiser of Keras' for each tensor."""

    def reset(self):
        super().reset()
        self._rules = {key: keras.optimizers.Adamax(**SETTINGS) for key in self.chosen}

    def _update(self, key, gradient):
        self._rules[key].apply([keras.ops.convert_to_tensor(gradient)], [self.variables[key]])


@pytest.fixture(scope="module")
def model():
    layers = [
        keras.Input(INPUT_SHAPE),
        kl.Conv2D(4, 3, padding="same", activation="tanh", name="stem"),
        kl.GlobalAveragePooling2D(name="mean"),
        kl.Dense(CLASSES, name="logits"),
    ]
    model = keras.Sequential(layers, name="net")
    randomise_weights(model, np.random.default_rng(3))
    return model


@pytest.fixture(scope="module")
def adamax(tmp_path_factory):
    """The class, from a package that the registry has to find."""
    with pytest.MonkeyPatch.context() as patch:
        site = tmp_path_factory.mktemp("package") / "site"
        outside.install(patch, site, OPTIMIZERS, "tt_tflm.optimizers", "someones_optimizer", ADAMAX)
        (site / "tt_adamax_update.c").write_text(SOURCE)
        yield OPTIMIZERS["adamax"]


@pytest.fixture(scope="module")
def converter(adamax, model):
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.loss = tt_tflm.SoftmaxLoss()
    return converter


def samples() -> list[tuple[np.ndarray, int]]:
    images = np.random.default_rng(0).standard_normal((STEPS, *INPUT_SHAPE)).astype(np.float32)
    return [(x, i % CLASSES) for i, x in enumerate(images)]


def check_training(board, reference) -> list[float]:
    """Step by step the losses and weights of Keras; the losses."""
    losses = []
    for x, label in samples():
        before, weights = board.weights(), reference.weights()
        losses.append(board.train_step(x, label))
        assert losses[-1] == pytest.approx(reference.train_step(x, label), rel=1e-4)
        after, expected = board.weights(), reference.weights()
        check_untouched(before, after, reference.chosen)
        changes = {key: expected[key] - weights[key] for key in reference.chosen}
        check_updates({key: after[key] - before[key] for key in changes}, changes, before)
    return losses


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_fixed_plan_is_trained_as_keras_does(converter, adamax, model, batch_size):
    converter.mode, converter.plan = "static", tt_tflm.UpdatePlan(layers=PLAN)
    converter.optimizer = adamax(**SETTINGS, batch_size=batch_size)
    reference = KerasReference(model, SoftmaxLoss(), converter.optimizer, PLAN)
    with converter.convert().simulate() as board:
        losses = check_training(board, reference)
        assert any(np.any(reference.weights()[key] != value) for key, value in reference._base.items())
        for anew in (board, reference):
            anew.reset()
        assert check_training(board, reference) == losses, "what it counts starts anew"


def test_a_board_chooses_and_trains(converter, adamax, model):
    converter.mode, converter.plan, converter.optimizer = "dynamic", None, adamax(**SETTINGS)
    with converter.convert().simulate() as board:
        for x, label in samples():
            board.fisher_accumulate(x, label)
        chosen = {layer: list(entry[0]) for layer, entry in board.select().layers.items()}
        check_training(board, KerasReference(model, SoftmaxLoss(), converter.optimizer, chosen))


def test_memory_follows_from_the_state_that_it_declares(converter, adamax):
    converter.mode, converter.plan = "static", tt_tflm.UpdatePlan(layers=PLAN)
    spent = {}
    for optimizer in (tt_tflm.SGD(), adamax(), tt_tflm.Adam()):
        converter.optimizer = optimizer
        build = converter.convert()
        spent[optimizer.name] = build.report_data["training_memory_bytes"]
        rows = sum(4 * len(entry["channels"]) * entry["stride"] for entry in build.simulation["rows"])
    assert spent["adamax"] == spent["adam"] >= spent["sgd"] + 2 * rows


def test_it_is_converted_by_name_and_exported(adamax, model, tmp_path, capfd):
    model.save(tmp_path / "m.keras")
    options = ("--loss", "softmax", "--optimizer", "adamax", "--learning-rate", "0.05", "--batch-size", "2")
    code, _, err = outside.tt_tflm(capfd, "convert", tmp_path / "m.keras", *options, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    build = tt_tflm.load_build(tmp_path / "out")
    assert (build.report_data["optimizer"], build.files["src/tt_adamax_update.c"]) == ("adamax", SOURCE)
    export(build, "zephyr", tmp_path / "module", {})
    (source,) = (tmp_path / "module").rglob("tt_adamax_update.c")
    assert source.read_text() == SOURCE
    assert any(source.name in path.read_text() for path in (tmp_path / "module").rglob("CMakeLists.txt"))


def test_tflm_has_no_op_for_it(converter, adamax):
    converter.mode, converter.plan, converter.optimizer = "static", tt_tflm.UpdatePlan(layers=PLAN), adamax()
    converter.backend = "tflm"
    try:
        with pytest.raises(
            InputError, match=r"^optimizer: expected one of sgd, momentum, adam with backend 'tflm', rec"
        ):
            converter.convert()
    finally:
        converter.backend = "c"


def test_half_an_optimizer_is_refused():
    with pytest.raises(
        InputError, match=r"^optimiser Half: expected a dataclass with learning_rate first .* no fields$"
    ):

        @tt_tflm.register_optimizer
        class Half(tt_tflm.Optimizer):
            name = "half"
