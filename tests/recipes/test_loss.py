# SPDX-License-Identifier: Apache-2.0
"""The recipe of a loss: a class and a C source, here of another package. Its label is a vector, as that of a regressor:
it trains on both backends, with a fixed plan and one that the board chooses, and is exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as kl
from oracle.boards import check_forward, check_untouched, check_updates
from oracle.net_weights import randomise_weights
from oracle.reference import SGD, Momentum, Reference

import tt_tflm
from recipes import outside
from tt_tflm.errors import InputError
from tt_tflm.export import export
from tt_tflm.losses import LOSSES

LOSS = '''
from dataclasses import dataclass
from pathlib import Path

from tt_tflm.losses import Loss, register_loss

@register_loss
@dataclass(frozen=True)
class MseLoss(Loss):
    """Mean of the squares of output - target."""

    name = "mse"
    label = "vector"
    sources = (Path(__file__).with_name("tt_mse_loss.c"),)
'''
SOURCE = """\
#include "tt_finite.h"
#include "tt_session.h"

tt_status_t tt_mse_loss(const float *output, uint32_t elements, const float *target, float *gradient, float *loss);

tt_status_t tt_mse_loss(const float *output, uint32_t elements, const float *target, float *gradient, float *loss) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < elements; ++i) {
        const float distance = output[i] - target[i];
        sum += distance * distance;
        gradient[i] = 2.0f * distance / (float)elements;
    }
    if (!tt_all_finite(&sum, 1u)) {
        return TT_ERROR_NOT_FINITE;
    }
    *loss = sum / (float)elements;
    return TT_OK;
}

static tt_status_t of_session(const tt_session_t *session, const float *output, float *gradient, float *scratch,
                              float *loss) {
    (void)scratch;
    return tt_mse_loss(output, session->model->output_elements, session->target, gradient, loss);
}

const tt_loss_t tt_loss_mse = {"mse", TT_LABEL_VECTOR, NULL, NULL, of_session};
"""
INPUT_SHAPE, ELEMENTS, STEPS = (6, 5, 2), 3, 6
PLAN = {"stem": [0, 2], "middle": "all", "head": "all"}
OPTIMIZERS = {"static": SGD(0.5), "dynamic": Momentum(0.1, batch_size=2)}
Both = pytest.mark.parametrize("backend", ["c", "tflm"])


class MseReference(Reference):
    """TensorFlow's mean squared error; labels are vectors."""

    def _loss(self, x, target):
        return tf.reduce_mean(tf.square(tf.reshape(self._output(x), [-1]) - target))


def net() -> keras.Model:
    layers = [
        keras.Input(INPUT_SHAPE),
        kl.Conv2D(4, 3, padding="same", activation="tanh", name="stem"),
        kl.Conv2D(3, 1, activation="sigmoid", name="middle"),
        kl.GlobalAveragePooling2D(name="mean"),
        kl.Dense(ELEMENTS, name="head"),
    ]
    model = keras.Sequential(layers, name="regressor")
    randomise_weights(model, np.random.default_rng(3))
    return model


def samples() -> list[tuple[np.ndarray, np.ndarray]]:
    draw = np.random.default_rng(0)
    sizes = ((STEPS, *INPUT_SHAPE), (STEPS, ELEMENTS))
    return list(zip(*(draw.standard_normal(size).astype(np.float32) for size in sizes), strict=True))


@pytest.fixture(scope="module")
def model():
    return net()


@pytest.fixture(scope="module")
def mse(tmp_path_factory):
    """The class, from a package that the registry has to find."""
    with pytest.MonkeyPatch.context() as patch:
        site = tmp_path_factory.mktemp("package") / "site"
        outside.install(patch, site, LOSSES, "tt_tflm.losses", "someones_loss", LOSS)
        (site / "tt_mse_loss.c").write_text(SOURCE)
        yield LOSSES["mse"]


@pytest.fixture(scope="module")
def builds(mse, model):
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.loss = mse()
    made = {}
    for mode, rule in OPTIMIZERS.items():
        converter.mode, converter.plan = mode, tt_tflm.UpdatePlan(layers=PLAN) if mode == "static" else None
        converter.optimizer = (
            tt_tflm.SGD(rule.learning_rate)
            if mode == "static"
            else tt_tflm.Momentum(rule.learning_rate, rule.momentum, rule.batch_size)
        )
        for backend in ("c", "tflm"):
            converter.backend = backend
            made[mode, backend] = converter.convert()
    return made


def check_training(board, reference) -> None:
    """Step by step the losses, outputs and weights of TensorFlow."""
    for x, target in samples():
        before, weights = board.weights(), reference.weights()
        check_forward(board.predict(x), reference.embedding(x))
        assert board.train_step(x, target) == pytest.approx(reference.train_step(x, target), rel=1e-4)
        after, expected = board.weights(), reference.weights()
        check_untouched(before, after, reference.chosen)
        changes = {key: expected[key] - weights[key] for key in reference.chosen}
        check_updates({key: after[key] - before[key] for key in changes}, changes, before)
    assert all(np.any(reference.weights()[key] != reference._base[key]) for key in reference.chosen)


@Both
def test_a_fixed_plan_is_trained_as_the_gradient_tape_says(builds, model, backend):
    with builds["static", backend].simulate() as board:
        check_training(board, MseReference(model, None, OPTIMIZERS["static"], PLAN))


@Both
def test_a_board_inspects_chooses_and_trains(builds, model, backend):
    """The potentials are those of the gradients that TensorFlow has at the outputs of the layers."""
    with builds["dynamic", backend].simulate() as board:
        for x, target in samples():
            board.fisher_accumulate(x, target)
        found, expected = board.fisher(), potentials(model)
        for layer in ("stem", "middle"):
            np.testing.assert_allclose(found[layer], expected[layer], rtol=1e-4, err_msg=layer)
        plan = board.select()
        assert plan.layers
        reference = MseReference(model, None, OPTIMIZERS["dynamic"], {k: list(v[0]) for k, v in plan.layers.items()})
        check_training(board, reference)


def potentials(model) -> dict[str, np.ndarray]:
    """Half the mean of the squared sums over positions of activation times gradient."""
    names = ("stem", "middle")
    outputs = keras.Model(model.inputs, [*(model.get_layer(name).output for name in names), *model.outputs])
    sums = dict.fromkeys(names, 0.0)
    for x, target in samples():
        with tf.GradientTape() as tape:
            *activations, result = outputs(x[None])
            loss = tf.reduce_mean(tf.square(result[0] - target))
        for name, a, g in zip(names, activations, tape.gradient(loss, activations), strict=True):
            sums[name] += np.square(np.sum(a * g, axis=(0, 1, 2)))
    return {name: value / (2 * STEPS) for name, value in sums.items()}


def test_it_trains_on_an_emulated_core(builds):
    x, target = samples()[0]
    with builds["dynamic", "c"].simulate() as host, builds["dynamic", "c"].simulate("cortex-m4") as core:
        for board in (host, core):
            board.fisher_accumulate(x, target)
            board.select()
        for x, target in samples():
            assert core.train_step(x, target) == pytest.approx(host.train_step(x, target), rel=1e-5)
        assert core.instructions["train_step"] > 0


def test_it_is_converted_by_name_saved_and_exported(mse, model, tmp_path, capfd):
    model.save(tmp_path / "m.keras")
    out = tmp_path / "out"
    code, _, err = outside.tt_tflm(capfd, "convert", tmp_path / "m.keras", "--loss", "mse", "-o", out)
    assert (code, err) == (0, "")
    build = tt_tflm.load_build(out)
    assert build.files["src/tt_mse_loss.c"] == SOURCE
    export(build, "zephyr", tmp_path / "module", {})
    (source,) = (tmp_path / "module").rglob("tt_mse_loss.c")
    assert source.read_text() == SOURCE
    assert any(source.name in path.read_text() for path in (tmp_path / "module").rglob("CMakeLists.txt"))


@pytest.mark.parametrize(
    ("label", "received"),
    [
        (1, r"int64 \(\)"),
        (np.zeros(2, np.float32), r"float32 \(2,\)"),
        (np.zeros(3), r"float64 \(3,\)"),
        (np.array([0, np.nan, 0], np.float32), "nan at 1"),
    ],
)
def test_other_labels_are_refused(builds, label, received):
    x, _ = samples()[0]
    with builds["dynamic", "c"].simulate() as board:
        before = board.weights()
        for call in (board.train_step, board.fisher_accumulate):
            with pytest.raises(InputError, match=f"^expected .* label.*, received {received}"):
                call(x, label)
        assert all(np.array_equal(before[key], value) for key, value in board.weights().items())


def test_what_takes_classes_alone_refuses_it_in_one_line(builds, mse, model, tmp_path, capfd):
    build = builds["static", "c"]
    with pytest.raises(
        InputError, match=r"^console: expected a build whose labels are classes, received one of loss 'mse'"
    ):
        build.console()
    x = np.zeros((4, *INPUT_SHAPE), np.float32)
    y = np.array([0, 0, 1, 1])
    np.savez(tmp_path / "episode.npz", support_x=x, support_y=y, query_x=x, query_y=y)
    build.save(tmp_path / "out")
    code, out, err = outside.tt_tflm(capfd, "simulate", tmp_path / "out", "--episode", tmp_path / "episode.npz")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "expected a build whose labels are classes" in err
    model.save(tmp_path / "m.keras")
    arguments = ("--episode", tmp_path / "episode.npz", "--loss", "mse", "-o", tmp_path / "plan.json")
    code, out, err = outside.tt_tflm(capfd, "plan", tmp_path / "m.keras", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "expected a loss whose labels are classes" in err
    assert not (tmp_path / "plan.json").exists()


def test_half_a_loss_is_refused():
    with pytest.raises(InputError, match=r"^loss Half: expected a label of class or vector, received 'scalar'$"):

        @tt_tflm.register_loss
        class Half(tt_tflm.Loss):
            name, label = "half", "scalar"

    with pytest.raises(InputError, match=r"^a loss: expected a name that is not taken, received 'softmax'"):

        @tt_tflm.register_loss
        class Other(tt_tflm.Loss):
            name = "softmax"
