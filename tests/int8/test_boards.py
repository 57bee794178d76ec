# SPDX-License-Identifier: Apache-2.0
"""int8 builds on boards: the host and an emulated core, a board that chooses, what is saved, and what is refused."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from oracle.boards import DEVICE_TOLERANCE, relative_error
from oracle.net_weights import randomise_weights

import tt_tflm
from tt_tflm.errors import DeviceError, InputError, UnsupportedLayerError
from tt_tflm.plan.select import plan_cost
from tt_tflm.program.dynamic import dynamic_program

kl = keras.layers
SHAPE = (8, 7, 2)
LABELS = np.arange(6) % 3


def embedding_net(activation: str = "relu6") -> keras.Model:
    image = keras.Input(SHAPE)
    x = trunk = kl.Conv2D(8, 3, 2, "same", activation=activation, name="stem")(image)
    x = kl.DepthwiseConv2D(3, padding="same", activation=activation, name="depthwise")(x)
    x = kl.Add(name="add")([trunk, kl.Conv2D(8, 1, name="project")(x)])
    x = kl.Conv2D(6, 1, activation=activation, name="last")(x)
    model = keras.Model(image, kl.GlobalAveragePooling2D(name="embedding")(x))
    randomise_weights(model, np.random.default_rng(5))
    return model


def samples(count: int) -> np.ndarray:
    return np.random.default_rng(6).standard_normal((count, *SHAPE)).astype(np.float32).clip(-1, 1)


@pytest.fixture(scope="module")
def converter() -> tt_tflm.TrainableConverter:
    """Of an int8 build that chooses on the board."""
    made = tt_tflm.TrainableConverter.from_keras_model(embedding_net())
    made.precision, made.representative_data = "int8", samples(6)
    made.loss, made.optimizer = tt_tflm.PrototypeLoss(classes=3), tt_tflm.Adam(learning_rate=0.02)
    made.mode, made.budget = "dynamic", tt_tflm.Budget(training_memory=3000)
    return made


@pytest.fixture(scope="module")
def build(converter: tt_tflm.TrainableConverter) -> tt_tflm.Build:
    converter.target = "host"
    return converter.convert()


def adapted(board, x: np.ndarray):
    """Losses, plan, scores and embeddings of a board after an adaptation."""
    result = board.adapt(x, LABELS, iterations=3)
    return result, np.stack([board.predict(v) for v in x]), np.stack([board.embedding(v) for v in x])


def test_an_emulated_core_computes_what_the_host_computes(converter, build) -> None:
    x = samples(6)
    with build.simulate("host") as host:
        before = np.stack([host.embedding(v) for v in x])
        here, scores, _ = adapted(host, x)
    converter.target = "cortex-m7"
    with converter.convert().simulate("cortex-m7") as board:
        # The forward pass is integer arithmetic: it agrees to the bit.
        assert np.array_equal(np.stack([board.embedding(v) for v in x]), before)
        there, emulated, _ = adapted(board, x)
    assert there.plan.layers == here.plan.layers
    assert relative_error(np.array(there.losses), np.array(here.losses)) <= DEVICE_TOLERANCE
    assert relative_error(emulated, scores) <= 100 * DEVICE_TOLERANCE
    assert here.losses[-1] < here.losses[0]


def test_what_was_learned_is_saved_and_the_forward_pass_with_it(build) -> None:
    x = samples(6)
    with build.simulate("host") as board:
        _, scores, embeddings = adapted(board, x)
        state = board.save()
        weights = board.weights()
        board.reset()
        assert not np.array_equal(np.stack([board.embedding(v) for v in x]), embeddings)
        board.load(state)
        assert np.array_equal(np.stack([board.predict(v) for v in x]), scores)
        assert np.array_equal(np.stack([board.embedding(v) for v in x]), embeddings)
        assert all(np.array_equal(value, weights[name]) for name, value in board.weights().items())


def test_a_state_whose_rows_fit_only_without_their_shadows_is_refused(converter, build) -> None:
    roomy = tt_tflm.TrainableConverter.from_keras_model(converter._model)
    for name in ("precision", "representative_data", "loss", "optimizer", "mode"):
        setattr(roomy, name, getattr(converter, name))
    states = {}
    with roomy.convert().simulate("host") as board:
        for count in (1, 2):
            board.choose(tt_tflm.UpdatePlan({"stem": "all", "project": list(range(count))}))
            states[count] = board.save()
    # With a gradient and two moments a row of stem takes 4 x 80 bytes and its shadow 24, one of project 160 and 16.
    assert 8 * 320 + 2 * 160 < build.simulation["choice"]["budget"]["training_memory_bytes"] < 8 * 344 + 2 * 176
    with build.simulate("host") as board:
        board.load(states[1])
        with pytest.raises(DeviceError, match="other"):
            board.load(states[2])


def test_figures_of_the_report(converter, build) -> None:
    report = build.report_data
    assert report["precision"] == "int8"
    candidates = {c["layer"]: c for c in build.simulation["choice"]["candidates"]}
    # 18, 9, 8 and 8 weights and four bytes of bias, up to a multiple of 8.
    assert [c["int8_row_bytes"] for c in candidates.values()] == [24, 16, 16, 16]
    # With each row two scales, a multiplier and a shift.
    expected = sum(c["channels"] * (c["int8_row_bytes"] + 16) for c in candidates.values())
    assert report["flash_bytes"]["weights"] == expected
    plain = tt_tflm.TrainableConverter.from_keras_model(converter._model)
    plain.loss, plain.optimizer = converter.loss, converter.optimizer
    plain.mode, plain.budget = "dynamic", converter.budget
    full = plain.convert()
    check_states_fit_both(full, build)
    assert report["arena_bytes"] < full.report_data["arena_bytes"]
    assert full.report_data["precision"] == "float32"
    assert report["fingerprint"] == full.report_data["fingerprint"]


def check_states_fit_both(full: tt_tflm.Build, build: tt_tflm.Build) -> None:
    """What a float32 board has learned is taken up by an int8 board, and rounded there."""
    x, plan = samples(6), tt_tflm.UpdatePlan({"stem": [1, 5]})
    with full.simulate("host") as board:
        board.adapt(x, LABELS, iterations=2, plan=plan)
        state, weights, scores = board.save(), board.weights(), board.predict(x[0])
    with build.simulate("host") as board:
        board.load(state)
        assert np.array_equal(board.weights()["stem/kernel"][..., [1, 5]], weights["stem/kernel"][..., [1, 5]])
        assert relative_error(board.predict(x[0]), scores) < 0.2
        assert not np.array_equal(board.predict(x[0]), scores)


def test_the_cost_table_says_what_a_static_build_costs(converter) -> None:
    """One cost model for both precisions: rows with their shadows, and what is saved as int8 or as a mask."""
    model = converter._import()
    about = (model, converter.loss, converter.optimizer, tt_tflm.Budget())
    table = dynamic_program(*about, 1, None, lambda _stage: None).choice.table
    fixed = tt_tflm.TrainableConverter.from_keras_model(converter._model)
    fixed.precision, fixed.representative_data = "int8", converter.representative_data
    # With a batch a static build keeps gradients, as a board that chooses does.
    fixed.loss, fixed.optimizer = converter.loss, tt_tflm.Adam(batch_size=2)
    for layers in ({"last": [0, 4]}, {"depthwise": [1], "last": "all"}, {"stem": [2, 3], "project": [0, 1, 7]}):
        fixed.plan = tt_tflm.UpdatePlan(layers)
        report = fixed.convert().report_data
        plan = tt_tflm.UpdatePlan(report_plan(report, layers))
        cost = plan_cost(table, plan)
        assert cost.training_memory_bytes == report["training_memory_bytes"], layers
        assert cost.backward_macs == report["backward_macs"], layers
        assert cost.updated_parameters == report["updated_parameters"], layers


def report_plan(report: dict, layers: dict) -> dict[str, list[int]]:
    """A plan with every channel named."""
    totals = {layer["name"]: layer["channels_total"] for layer in report["layers"]}
    return {name: list(range(totals[name])) if chosen == "all" else chosen for name, chosen in layers.items()}


def test_pixels_are_scaled_as_inputs_are(converter) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype(np.uint8)
    rows = []
    for data in (pixels, (pixels / 127.5 - 1).astype(np.float32)):
        other = tt_tflm.TrainableConverter.from_keras_model(converter._model)
        other.precision, other.representative_data = "int8", data
        rows.append(other._import().module["predict"])
    assert str(rows[0]) == str(rows[1])


def test_what_cannot_be_quantised_is_refused(converter, build, tmp_path: Path) -> None:
    other = tt_tflm.TrainableConverter.from_keras_model(embedding_net("tanh"))
    other.loss = tt_tflm.PrototypeLoss()
    other.precision, other.representative_data = "int8", samples(2)
    with pytest.raises(UnsupportedLayerError, match=r"precision int8: expected operations of int8 .*, received tanh"):
        other.convert()
    bounded = keras.Sequential([keras.Input((4,)), kl.Dense(3, name="dense"), kl.ReLU(3.0)])
    other = tt_tflm.TrainableConverter.from_keras_model(bounded)
    other.loss = tt_tflm.PrototypeLoss()
    other.precision, other.representative_data = "int8", np.zeros((2, 4), np.float32)
    with pytest.raises(UnsupportedLayerError, match=r"'dense', precision int8: expected a ReLU .* bounds .0.0, 3.0"):
        other.convert()
    for data, message in (
        (None, "representative_data: expected .*, received none"),
        (samples(0), "representative_data: expected .*, received an empty"),
        (samples(2)[:, :3], "representative_data: expected float32 samples"),
    ):
        other.representative_data = data
        other._model = embedding_net()
        other._imported = None
        with pytest.raises(InputError, match=message):
            other.convert()
    other.representative_data, other.backend = samples(2), "tflm"
    with pytest.raises(InputError, match="precision int8: expected backend 'c', received 'tflm'"):
        other.convert()
    other.precision = "int4"
    with pytest.raises(InputError, match="precision: expected one of float32, int8, received 'int4'"):
        other.convert()
    with build.simulate("host") as board, pytest.raises(InputError, match=r"export_tflite: .* received one of int8"):
        board.export_tflite(tmp_path / "m.tflite")
