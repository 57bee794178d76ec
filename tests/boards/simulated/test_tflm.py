# SPDX-License-Identifier: Apache-2.0
"""The TFLM board: its state, what it refuses, and builds of its backend on disk."""

from pathlib import Path

import keras
import numpy as np
import pytest

import tt_tflm
from tt_tflm.errors import DeviceError, InputError, UnsupportedLayerError

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
    return build_of(point=[1, 3])


@pytest.fixture(scope="module")
def dynamic() -> tt_tflm.Build:
    return build_of("dynamic")


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
            np.testing.assert_allclose(after[name], value, rtol=0, atol=1e-40)


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
        for name, call in (("save", board.save), ("load", board.load)):
            with pytest.raises(
                InputError, match=f"{name}: expected a build of backend 'c', received one of backend 'tflm'"
            ):
                call()
    with pytest.raises(DeviceError, match="one that is closed"):
        board.predict(X)


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


def test_devices_of_the_other_backend_are_refused(fixed: tt_tflm.Build) -> None:
    with pytest.raises(InputError, match="expected device 'tflm' for a build of backend 'tflm', received 'host'"):
        fixed.simulate("host")
    with pytest.raises(InputError, match="expected a build of backend 'tflm' for device 'tflm'"):
        build_of(backend="c").simulate("tflm")
    with pytest.raises(InputError, match="backend: expected one of c, tflm, received 'tf'"):
        build_of(backend="tf")


def test_a_depth_multiplier_is_refused_where_it_would_be_trained() -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(net(multiplier=2))
    converter.backend, converter.plan = "tflm", tt_tflm.UpdatePlan(layers={"depthwise": "all"})
    with pytest.raises(UnsupportedLayerError, match=r"layer 'depthwise': expected depth_multiplier 1 .* received 2"):
        converter.convert()
    converter.plan = tt_tflm.UpdatePlan(layers={"point": "all"})
    with converter.convert().simulate() as board:
        assert np.isfinite(board.train_step(X, 1))
