# SPDX-License-Identifier: Apache-2.0
"""The TFLM board: its state, what it refuses, and builds of its backend on disk."""

import dataclasses
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import tt_tflm
from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.errors import DeviceError, InputError, UnsupportedLayerError
from tt_tflm.tflite.op_params import TRAIN

PLAN = {"point": [1, 3]}
X = np.linspace(-1, 1, 5 * 5 * 2, dtype=np.float32).reshape(5, 5, 2)


def net(multiplier: int = 1) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((5, 5, 2)),
        keras.layers.DepthwiseConv2D(3, depth_multiplier=multiplier, activation="relu", name="depthwise"),
        keras.layers.Conv2D(4, 1, name="point"),
        keras.layers.GlobalAveragePooling2D(name="mean"),
    ]
    return keras.Sequential(layers, name="net")


def build_of(mode: str = "static", backend: str = "tflm", **plan: object) -> tt_tflm.Build:
    converter = tt_tflm.TrainableConverter.from_keras_model(net())
    converter.loss, converter.mode, converter.backend = tt_tflm.PrototypeLoss(3), mode, backend
    converter.plan = tt_tflm.UpdatePlan(layers=plan) if plan else None
    return converter.convert()


@pytest.fixture(scope="module")
def fixed() -> tt_tflm.Build:
    return build_of(**PLAN)


@pytest.fixture(scope="module")
def dynamic() -> tt_tflm.Build:
    return build_of("dynamic")


@pytest.fixture(scope="module")
def pairs(fixed: tt_tflm.Build, dynamic: tt_tflm.Build) -> dict[str, tuple[tt_tflm.Build, tt_tflm.Build]]:
    """Builds of the backends c and tflm, by mode."""
    return {"static": (build_of("static", "c", **PLAN), fixed), "dynamic": (build_of("dynamic", "c"), dynamic)}


def trained(board, steps: int = 3) -> dict[str, np.ndarray]:
    for label in (0, 1):
        board.enroll(X * (1 - 2 * label), label)
    for _ in range(steps):
        board.train_step(X, 1)
    return board.weights()


def test_only_the_plan_is_trained_and_reset_forgets_it(fixed: tt_tflm.Build) -> None:
    with fixed.simulate() as board:
        base = board.weights()
        after = trained(board)
        changed = np.any(after["point/kernel"] != base["point/kernel"], axis=(0, 1, 2))
        np.testing.assert_array_equal(changed, [False, True, False, True])
        np.testing.assert_array_equal(after["depthwise/kernel"], base["depthwise/kernel"])
        board.reset()
        np.testing.assert_array_equal(board.weights()["point/kernel"], base["point/kernel"])
        again = trained(board)
        np.testing.assert_array_equal(again["point/kernel"], after["point/kernel"])


def test_learning_rate_0_trains_nothing(fixed: tt_tflm.Build) -> None:
    with fixed.simulate() as board:
        base = board.weights()
        board.set_learning_rate(0.0)
        after = trained(board)
        for name, value in base.items():
            np.testing.assert_array_equal(after[name], value)


def test_classes_without_samples_are_refused(fixed: tt_tflm.Build) -> None:
    with fixed.simulate() as board:
        for call in (lambda: board.predict(X), lambda: board.train_step(X, 0), board.export_tflite):
            with pytest.raises(DeviceError, match="the class has no enrolled sample"):
                call()
        board.enroll(X, 0)
        board.predict(X)
        board.forget_prototypes()
        with pytest.raises(DeviceError, match="the class has no enrolled sample"):
            board.predict(X)


def test_what_other_boards_refuse_is_refused(fixed: tt_tflm.Build) -> None:
    with fixed.simulate() as board:
        with pytest.raises(InputError, match=r"expected a label in 0..2, received 3"):
            board.enroll(X, 3)
        with pytest.raises(InputError, match="expected x of shape"):
            board.predict(X[None])
        with pytest.raises(InputError, match="expected a build of mode 'dynamic'"):
            board.select()
        with pytest.raises(InputError, match="adapt: expected a build with PrototypeLoss and accumulated gradients"):
            board.adapt(X[None], np.array([0]))
    with pytest.raises(DeviceError, match="one that is closed"):
        board.predict(X)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_state_is_taken_up_by_either_backend(
    mode: str, pairs: dict[str, tuple[tt_tflm.Build, tt_tflm.Build]]
) -> None:
    c, tflm = pairs[mode]
    states, scores = {}, {}
    for name, build in (("c", c), ("tflm", tflm)):
        with build.simulate() as board:
            if mode == "dynamic":
                board.choose(tt_tflm.UpdatePlan(layers=PLAN))
            trained(board)
            states[name], scores[name] = board.save(), board.predict(X)
            assert len(states[name]) == len(states["c"])
            board.reset()
            board.load()
            np.testing.assert_array_equal(board.predict(X), scores[name])
    for build, name in ((c, "tflm"), (tflm, "c")):
        with build.simulate() as board:
            board.load(states[name])
            np.testing.assert_allclose(board.predict(X), scores[name], rtol=1e-5)
            assert board.save() == states[name]
            with pytest.raises(DeviceError, match="the storage holds no complete state"):
                board.load(states[name][:-1] + b"?")
            np.testing.assert_allclose(board.predict(X), scores[name], rtol=1e-5)


def outcome(call) -> str:
    """Why a board refuses a call, without the board's name and TFLM's own words; nothing where it does not."""
    try:
        call()
    except DeviceError as error:
        return re.sub(r"^\w+ on \w+: | \(TFLM: .*\)$", "", str(error))
    return ""


def learned(board) -> list[bytes]:
    """The row pool, and with TFLM every state of train.tflite."""
    given = ("x", "label", "command", "seed")
    tensors = board._models[TRAIN].tensors if board.device == "tflm" else {}
    return [board._read_row_pool(), *(tensor.tobytes() for name, tensor in tensors.items() if name not in given)]


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_what_the_c_board_refuses_is_refused_and_changes_no_state(
    mode: str, pairs: dict[str, tuple[tt_tflm.Build, tt_tflm.Build]]
) -> None:
    x = np.full_like(X, 1e20)  # finite, as is its embedding, but the embedding's norm is not
    outcomes = {}
    for build in pairs[mode]:
        with build.simulate() as board:
            calls = {
                "train_step": lambda: board.train_step(x, 1),
                "predict": lambda: board.predict(x),
                "enroll": lambda: board.enroll(x, 2),
            }
            if mode == "dynamic":
                board.choose(tt_tflm.UpdatePlan(layers=PLAN))
            trained(board)
            for name, call in calls.items():
                before = learned(board)
                outcomes[build.backend, name] = outcome(call)
                assert (learned(board) == before) == bool(outcomes[build.backend, name])
            if mode == "dynamic" and build.backend == "tflm":
                before = learned(board)
                assert outcome(lambda: board.fisher_accumulate(x, 1)) == outcomes["tflm", "train_step"]
                assert learned(board) == before
    assert {name: outcomes["tflm", name] for name in calls} == {name: outcomes["c", name] for name in calls}
    assert "a value is NaN or infinite: check the input" in outcomes["c", "train_step"]


def test_boards_of_one_build_know_nothing_of_each_other(fixed: tt_tflm.Build) -> None:
    with fixed.simulate() as one, fixed.simulate() as other:
        base = other.weights()
        after = trained(one)
        assert all(np.array_equal(other.weights()[name], value) for name, value in base.items())
        again = trained(other)
        assert all(np.array_equal(again[name], value) for name, value in after.items())


def test_what_ends_a_run_gets_out_of_it(fixed: tt_tflm.Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(_interpreter: TflmInterpreter, _losses: int | None) -> None:
        raise error

    with fixed.simulate() as board:
        board.enroll(X, 0)
        with monkeypatch.context() as patch:
            patch.setattr(TflmInterpreter, "invoke", ended)
            error: BaseException = KeyboardInterrupt()
            with pytest.raises(KeyboardInterrupt):
                board.predict(X)
            error = DeviceError("TFLM: an op's own words")
            with pytest.raises(DeviceError, match=r"predict on tflm: .*: reset .* \(TFLM: an op's own words\)"):
                board.predict(X)
        assert np.isfinite(board.predict(X)).any()


def test_the_console_learns_and_keeps_what_it_learned(dynamic: tt_tflm.Build, tmp_path: Path) -> None:
    samples = [X, -X, X[::-1].copy()]
    with dynamic.console(folder=tmp_path, pixels=False) as process, tt_tflm.Board(process.port) as board:
        for label, x in enumerate(samples):
            board.enroll(x, label)
        assert len(board.adapt(2).losses) == 2
        state, scores = board.save(), [board.predict(x) for x in samples]
    with dynamic.simulate() as peer:
        peer.load(state)
        assert peer.plan() is not None
        np.testing.assert_array_equal([peer.predict(x) for x in samples], scores)
    with dynamic.console("host", tmp_path, pixels=False) as process, tt_tflm.Board(process.port) as board:
        assert board.dump() == state
        np.testing.assert_array_equal([board.predict(x) for x in samples], scores)
    with pytest.raises(
        InputError, match=r"expected device host or tflm .* received 'cortex-m7': export it for a board"
    ):
        dynamic.console("cortex-m7", tmp_path)


def test_a_given_plan_is_chosen_and_trained(dynamic: tt_tflm.Build) -> None:
    # Of X one channel alone gets through the ReLU: its scale leaves the cosine as it is, so that there is no gradient.
    other = np.random.default_rng(0).normal(size=X.shape).astype(np.float32)
    with dynamic.simulate() as board:
        assert board.plan() is None
        base = board.weights()
        board.choose(tt_tflm.UpdatePlan(layers={"depthwise": [1]}))
        board.set_learning_rate(0.1)
        for label, x in enumerate((X, other)):
            board.enroll(x, label)
        losses = [board.train_step(other, 0) for _ in range(3)]
        after = board.weights()
        assert board.plan().layers == {"depthwise": ((1,), True, True)}
        assert losses[2] < losses[1] < losses[0]
        np.testing.assert_array_equal(after["point/kernel"], base["point/kernel"])
        np.testing.assert_array_equal(after["depthwise/kernel"][..., 0, :], base["depthwise/kernel"][..., 0, :])
        assert np.abs(after["depthwise/kernel"] - base["depthwise/kernel"]).max() > 1e-4
        with pytest.raises(DeviceError, match="the budget is too small"):
            board.fisher_accumulate(X, 0)
            board.select(tt_tflm.Budget(training_memory=1))


def test_a_saved_build_does_the_same(fixed: tt_tflm.Build, tmp_path: Path) -> None:
    fixed.save(tmp_path / "out")
    loaded = tt_tflm.load_build(tmp_path / "out")
    assert (tmp_path / "out" / "train.tflite").read_bytes() == fixed.models["train.tflite"]
    assert loaded.report["tflm_arena_bytes"] == fixed.report["tflm_arena_bytes"] > loaded.report["arena_bytes"]
    weights = []
    for build in (fixed, loaded):
        with build.simulate("tflm") as board:
            weights.append(trained(board))
    assert all(np.array_equal(weights[1][name], value) for name, value in weights[0].items())


def test_a_build_without_sources_for_an_interpreter_is_refused(fixed: tt_tflm.Build) -> None:
    simulation = {name: value for name, value in fixed.simulation.items() if name != "lists_bytes"}
    with pytest.raises(InputError, match=r"expected a build with include/tt_model.h, .*: convert again"):
        dataclasses.replace(fixed, simulation=simulation).simulate()


def test_devices_of_the_other_backend_are_refused(fixed: tt_tflm.Build) -> None:
    with pytest.raises(InputError, match="expected device 'tflm' for a build of backend 'tflm', received 'host'"):
        fixed.simulate("host")
    with pytest.raises(InputError, match="expected a build of backend 'tflm' for device 'tflm'"):
        build_of(backend="c").simulate("tflm")
    with pytest.raises(InputError, match="backend: expected one of c, tflm, received 'tf'"):
        build_of(backend="tf")


def test_a_depth_multiplier_is_refused_where_it_would_be_trained() -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(net(multiplier=2))
    converter.loss, converter.backend = tt_tflm.SoftmaxLoss(), "tflm"
    converter.plan = tt_tflm.UpdatePlan(layers={"depthwise": "all"})
    with pytest.raises(UnsupportedLayerError, match=r"layer 'depthwise': expected depth_multiplier 1 .* received 2"):
        converter.convert()
    converter.plan = tt_tflm.UpdatePlan(layers={"point": "all"})
    with converter.convert().simulate() as board:
        assert np.isfinite(board.train_step(X, 1))


def spread_converter(*middle: keras.layers.Layer) -> tuple[keras.Model, tt_tflm.TrainableConverter]:
    layers = [keras.Input((5, 5, 2)), *middle, keras.layers.Conv2D(4, 1, name="point"), keras.layers.Flatten()]
    model = keras.Sequential(layers)
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.loss, converter.backend = tt_tflm.SoftmaxLoss(), "tflm"
    return model, converter


def test_dilated_and_grouped_convolutions_are_frozen() -> None:
    model, converter = spread_converter(
        keras.layers.Conv2D(4, 2, dilation_rate=2, padding="same", activation="relu", name="dilated"),
        keras.layers.Conv2D(6, 3, groups=2, strides=2, padding="same", name="grouped"),
    )
    for name, received in (("dilated", r"dilation \(2, 2\)"), ("grouped", "2 groups")):
        converter.plan = tt_tflm.UpdatePlan(layers={name: [0]})
        with pytest.raises(
            UnsupportedLayerError, match=rf"layer '{name}': expected no .* received {received}: leave it"
        ):
            converter.convert()
    converter.plan = tt_tflm.UpdatePlan(layers=PLAN)
    with converter.convert().simulate() as board:
        np.testing.assert_allclose(board.predict(X), model(X[None])[0], rtol=1e-5, atol=1e-6)
        assert np.isfinite(board.train_step(X, 1))


def test_transposed_convolutions_are_refused() -> None:
    _, converter = spread_converter(keras.layers.Conv2DTranspose(3, 3, strides=2, padding="same", name="larger"))
    converter.plan = tt_tflm.UpdatePlan(layers=PLAN)
    with pytest.raises(UnsupportedLayerError, match=r"layer 'larger': expected .* received a transposed one: convert "):
        converter.convert()
