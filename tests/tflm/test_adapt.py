# SPDX-License-Identifier: Apache-2.0
"""Adaptation to a task: the TFLM board does what the C board does."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tt_tflm
from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.errors import DeviceError
from tt_tflm.tflite.op_params import TRAIN, Command

from .boards import TOLERANCE, pair
from .test_models import CLASSES, signal, small_net

LABELS = np.array([0, 1, 2, 0, 1, 2, 1])
ITERATIONS = 4
AUGMENT = tt_tflm.Augment(flip=True, low=-3.0, high=3.0)
PLAN = {"last": "all", "depthwise": [0, 3, 7], "stem": [1, 2]}
OPTIMIZERS = {
    # Adam's first steps are nearly signs of the gradient: with its usual epsilon rounding would decide some of them.
    "static": tt_tflm.Adam(0.01, epsilon=1e-3, batch_size=3),
    "dynamic": tt_tflm.Momentum(0.02),
}


def support(shape: tuple[int, ...] = (11, 9, 3)) -> np.ndarray:
    """Samples that differ by class."""
    draw = np.random.default_rng(0)
    means = draw.standard_normal((CLASSES, *shape))
    samples = means[LABELS] + 0.7 * draw.standard_normal((len(LABELS), *shape))
    return np.clip(samples, AUGMENT.low, AUGMENT.high).astype(np.float32)


@pytest.fixture(scope="module", params=["static", "dynamic"])
def builds(request: pytest.FixtureRequest) -> dict[str, tt_tflm.Build]:
    mode = request.param

    def set_up(converter: tt_tflm.TrainableConverter) -> None:
        converter.loss, converter.mode = tt_tflm.PrototypeLoss(CLASSES), mode
        converter.optimizer = OPTIMIZERS[mode]
        if mode == "static":
            converter.plan = tt_tflm.UpdatePlan(layers=PLAN)
        else:
            converter.budget = tt_tflm.Budget(backward_macs="60%")

    return pair(small_net("embedding"), set_up)


def adapted(build: tt_tflm.Build, **options) -> dict[str, object]:
    """What an adaptation brings, and train steps after it: the optimiser's state is part of it."""
    x = support()
    with build.simulate() as board:
        before = board.weights()
        result = board.adapt(x, LABELS, ITERATIONS, augment=AUGMENT, **options)
        after, scores = board.weights(), board.predict(x[0])
        losses = [board.train_step(x[i], int(LABELS[i])) for i in range(4)]
    moved = sum(float(np.abs(after[name] - value).max()) for name, value in before.items())
    return {
        "losses": result.losses,
        "plan": result.plan,
        "after": after,
        "scores": scores,
        "steps": losses,
        "moved": moved,
    }


@pytest.mark.parametrize(
    "options", [{}, {"gradient": "constant", "paced": False, "seed": 7}], ids=["exact paced", "constant fixed rate"]
)
def test_adapts_as_the_c_backend(builds: dict[str, tt_tflm.Build], options: dict[str, object]) -> None:
    c, tflm = (adapted(builds[backend], **options) for backend in ("c", "tflm"))
    assert len(c["losses"]) == ITERATIONS
    assert c["moved"] > 10 * TOLERANCE
    for name in ("losses", "scores", "steps"):
        np.testing.assert_allclose(tflm[name], c[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
    for name, value in c["after"].items():
        np.testing.assert_allclose(tflm["after"][name], value, atol=TOLERANCE, err_msg=name)
    assert (c["plan"] is None) == (tflm["plan"] is None)
    if c["plan"] is not None:
        assert tflm["plan"].layers == c["plan"].layers


def odd_net() -> keras.Model:
    """Maps -x to the opposite of what it maps x to, so that a class may lie as widely as one likes."""
    keras.utils.set_random_seed(2)
    layers = [
        keras.Input((11, 9, 3)),
        keras.layers.Conv2D(4, 3, strides=2, use_bias=False, activation="tanh", name="conv"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(6, use_bias=False, name="embedding"),
    ]
    return keras.Sequential(layers, name="odd_net")


def test_a_domain_that_is_known_takes_a_smaller_rate_for_the_adaptation_alone() -> None:
    x = support()
    x, labels = np.concatenate([x[:2], -x[:2], x[2:4]]), np.array([0, 1, 0, 1, 1, 1])
    plan = tt_tflm.UpdatePlan({"conv": (0, 2), "embedding": (1, 3)})

    def set_up(converter: tt_tflm.TrainableConverter) -> None:
        converter.loss, converter.mode = tt_tflm.PrototypeLoss(CLASSES), "dynamic"
        converter.optimizer = OPTIMIZERS["dynamic"]

    losses = {}
    for backend, build in pair(odd_net(), set_up).items():
        with build.simulate() as board:
            losses[backend] = [
                board.adapt(x, labels, 3, plan=plan, paced=paced, augment=AUGMENT).losses
                for paced in (True, True, False)
            ]
    for paced, again, fixed in losses.values():
        assert paced == again
        assert np.abs(np.subtract(paced, fixed)).max() > 10 * TOLERANCE
    np.testing.assert_allclose(losses["tflm"], losses["c"], rtol=TOLERANCE)


def test_a_training_that_fails_leaves_no_gradient_behind(
    builds: dict[str, tt_tflm.Build], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, invoke, calls = support(), TflmInterpreter.invoke, iter(range(5))

    with builds["tflm"].simulate() as board:
        train = board._models[TRAIN]

        def failing(interpreter: TflmInterpreter, losses: int | None = None) -> None:
            if train.ints("command")[0] == Command.ACCUMULATE and next(calls) == 4:
                train.tensors["seed"].view("<f4")[0] = np.nan
            invoke(interpreter, losses)

        fresh = board.adapt(x, LABELS, 2, augment=AUGMENT)
        board.reset()
        with monkeypatch.context() as patch:
            patch.setattr(TflmInterpreter, "invoke", failing)
            with pytest.raises(DeviceError, match=r"adapt on tflm: .*TT_PROTOTYPE_LOSS: a value is NaN or infinite"):
                board.adapt(x, LABELS, 2, augment=AUGMENT)
        assert next(calls, None) is None
        assert board.adapt(x, LABELS, 2, augment=AUGMENT).losses == fresh.losses


def test_signals_are_changed_as_in_the_c_backend() -> None:
    def set_up(converter: tt_tflm.TrainableConverter) -> None:
        converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(CLASSES), tt_tflm.SGD(0.02, batch_size=2)
        converter.plan = tt_tflm.UpdatePlan(layers={"conv_1": [0, 2], "conv_2": "all"})

    losses = []
    for build in pair(signal(head=False), set_up).values():
        with build.simulate() as board:
            losses.append(board.adapt(support((17, 3)), LABELS, 2, augment=AUGMENT).losses)
    np.testing.assert_allclose(losses[1], losses[0], rtol=TOLERANCE)
