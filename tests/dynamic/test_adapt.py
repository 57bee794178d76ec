# SPDX-License-Identifier: Apache-2.0
"""Adaptation: against TensorFlow's episodic gradients, on host and Cortex-M7 alike, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from oracle.boards import check_untouched, check_updates, relative_error
from oracle.fixed_nets import CLASSES, INPUT_SHAPE, small_classifier, small_embedding, small_inputs
from oracle.reference import Adam, Momentum, PrototypeLoss, SoftmaxLoss

import tt_tflm
from dynamic.builds import convert_dynamic, convert_static, inspected, small_dynamic_build
from dynamic.fisher_reference import AdaptingReference
from tt_tflm.boards.simulated.protocol import Command, Description
from tt_tflm.meta.statistics import paced_rate, tightness

AS_THEY_ARE = tt_tflm.Augment(min_area=1.0, brightness=0.0, contrast=0.0, low=-100.0, high=100.0)
LABELS = np.array([0, 1, 2, 0, 1, 2, 1])
PLAN = {"conv": (0, 3), "depthwise": (1, 4, 5), "embedding": (0, 1, 4)}
ITERATIONS = 3
LOSS = PrototypeLoss(CLASSES)
# Adam's first steps are nearly signs of the gradient: with its usual epsilon, an entry whose gradient rounding decides
# would move as far as any other.
ADAM = Adam(0.01, epsilon=1e-3)
DEVICE = "cortex-m7"
DEVICE_TOLERANCE = 1e-5


def support() -> tuple[np.ndarray, np.ndarray]:
    return small_inputs(len(LABELS), seed=5).clip(-1, 1), LABELS


@pytest.mark.parametrize("gradient", ["exact", "constant"])
@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_adaptation_equals_tensorflow(gradient: str, mode: str) -> None:
    x, labels = support()
    samples = list(zip(x, labels.tolist(), strict=True))
    plan = {name: list(channels) for name, channels in PLAN.items()}
    references = [AdaptingReference(small_embedding(), LOSS, ADAM, plan, d) for d in ("float64", "float32")]
    before = references[0].weights()
    losses = [reference.adapt(samples, ITERATIONS, exact=gradient == "exact") for reference in references]
    exact, rounded = (
        {key: reference.weights()[key] - before[key] for key in reference.chosen} for reference in references
    )
    if mode == "dynamic":
        build = convert_dynamic(small_embedding(), LOSS, ADAM)
        options = {"plan": tt_tflm.UpdatePlan(PLAN)}
    else:
        # Gradients are accumulated, as an adaptation needs, only where a batch has more than one sample.
        build = convert_static(small_embedding(), LOSS, Adam(0.01, epsilon=1e-3, batch_size=2), PLAN)
        options = {}
    with build.simulate(device="host") as board:
        base = board.weights()
        result = board.adapt(x, labels, ITERATIONS, gradient=gradient, paced=False, augment=AS_THEY_ARE, **options)
        after = board.weights()
        scores = board.predict(x[0])
    assert result.losses == pytest.approx(losses[0], rel=1e-4)
    assert result.losses[-1] < result.losses[0]
    noise = {key: float(np.max(np.abs(rounded[key] - exact[key]))) for key in exact}
    check_untouched(base, after, references[0].chosen)
    check_updates({key: after[key] - base[key] for key in exact}, exact, base, noise, tolerance=1e-3)
    # Enrolled anew after the last update.
    assert relative_error(scores, references[0].predict(x[0])) <= 1e-3


def test_gradients_differ_and_seeds_and_augmentation_matter() -> None:
    x, labels = support()
    build = small_dynamic_build(ADAM, LOSS)
    runs = {
        "exact": {},
        "again": {},
        "constant": {"gradient": "constant"},
        "seed": {"seed": 1},
        "plain": {"augment": AS_THEY_ARE},
    }
    losses = {}
    with build.simulate(device="host") as board:
        for name, options in runs.items():
            board.reset()
            losses[name] = board.adapt(x, labels, 2, plan=tt_tflm.UpdatePlan(PLAN), **options).losses
    assert losses["exact"] == losses.pop("again")
    assert len(set(losses.values())) == len(losses)


def odd_embedding() -> keras.Model:
    """Maps -x to the opposite of what it maps x to."""
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.layers.Input(INPUT_SHAPE),
            keras.layers.Conv2D(4, 3, strides=2, use_bias=False, activation="tanh", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(6, use_bias=False, name="embedding"),
        ]
    )


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_the_pace_is_a_learning_rate_for_the_adaptation_alone(mode: str) -> None:
    x, labels = support()
    x, labels = np.concatenate([x[:2], -x[:2], x[2:4]]), np.array([0, 1, 0, 1, 1, 1])
    plan = {"conv": (0, 2), "embedding": (1, 3)}
    if mode == "dynamic":
        build, options = convert_dynamic(odd_embedding(), LOSS, ADAM), {"plan": tt_tflm.UpdatePlan(plan)}
    else:
        build, options = convert_static(odd_embedding(), LOSS, Adam(0.01, epsilon=1e-3, batch_size=2), plan), {}
    with build.simulate(device="host") as board:
        share = paced_rate(tightness(np.stack([board.embedding(sample) for sample in x]), labels))
        assert share < 1
        paced = board.adapt(x, labels, 3, **options)
        slower = board.adapt(x, labels, 3, **options).losses  # starts from trained rows where the plan is fixed
        board.reset()
        board.set_learning_rate(0.01 * share)
        slow = board.adapt(x, labels, 3, paced=False, **options)
        board.reset()
        fixed = board.adapt(x, labels, 3, paced=False, **options)
    assert paced.losses == pytest.approx(slow.losses, rel=1e-5)
    assert paced.losses[1:] != fixed.losses[1:]
    if mode == "dynamic":
        assert slower == paced.losses  # the rate is back to what it was


def test_selection_is_part_of_an_adaptation_and_reset_returns_to_base() -> None:
    x, labels = support()
    with small_dynamic_build(ADAM, LOSS).simulate(device="host") as board:
        base = board.weights()
        assert board.plan() is None
        adapted = board.adapt(x, labels, 2)
        assert adapted.instructions is None
        assert board.plan().layers == adapted.plan.layers
        potentials = board.fisher()
        moved = board.weights()
        assert any(not np.array_equal(base[key], moved[key]) for key in base)
        board.reset()
        assert board.plan() is None
        with pytest.raises(tt_tflm.InputError, match="received none"):
            board.fisher()
        with pytest.raises(tt_tflm.DeviceError):
            board.predict(x[0])
        assert all(np.array_equal(base[key], value) for key, value in board.weights().items())
        again = board.adapt(x, labels, 2)
        assert again.losses == adapted.losses
        assert again.plan.layers == adapted.plan.layers
        assert all(np.array_equal(potentials[key], value) for key, value in board.fisher().items())
        assert all(np.array_equal(moved[key], value) for key, value in board.weights().items())


def test_no_iterations_only_enrol() -> None:
    x, labels = support()
    with small_dynamic_build(ADAM, LOSS).simulate(device="host") as board:
        base = board.weights()
        assert board.adapt(x, labels, 0).losses == ()
        assert all(np.array_equal(base[key], value) for key, value in board.weights().items())
        assert np.isfinite(board.predict(x[0])).all()


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["exact", "constant"])
def test_emulated_board_adapts_as_the_host_does(gradient: str) -> None:
    x, labels = support()
    # Less than all, so that the selection has something to decide.
    budget = tt_tflm.Budget(training_memory=1200, backward_macs=0.6)
    build = small_dynamic_build(ADAM, LOSS, budget=budget, target=DEVICE)
    results = {}
    for device in ("host", DEVICE):
        with build.simulate(device=device) as board:
            base = board.weights()
            adapted = board.adapt(x, labels, ITERATIONS, gradient=gradient)
            changes = {key: value - base[key] for key, value in board.weights().items()}
            results[device] = adapted, board.fisher(), board.predict(x[0]), changes
            if device == DEVICE:
                assert all(adapted.instructions[key] > 0 for key in ("fisher", "select", "adapt"))
                described = Description.unpack(board._call(Command.DESCRIBE))
                assert described.session_bytes == build.report_data["session_bytes"]
    (adapted, fisher, scores, changes), (on_device, device_fisher, device_scores, device_changes) = results.values()
    assert on_device.plan.layers == adapted.plan.layers
    assert on_device.plan.budget == adapted.plan.budget
    assert sum(len(entry[0]) for entry in adapted.plan.layers.values()) < sum(inspected(build).values())
    assert on_device.losses == pytest.approx(adapted.losses, rel=DEVICE_TOLERANCE)
    assert relative_error(device_scores, scores) <= 10 * DEVICE_TOLERANCE
    for name, potentials in fisher.items():
        assert relative_error(device_fisher[name], potentials) <= 10 * DEVICE_TOLERANCE, name
    check_updates(device_changes, changes, base, tolerance=1e-3)


TWO = np.zeros((2, *INPUT_SHAPE), np.float32)
REFUSED = {
    "one class": ((TWO, np.array([1, 1])), {}, "at least 2 classes, received 1"),
    "no samples": ((TWO[:0], np.array([], int)), {}, "at least 2 classes, received 0"),
    "a label too few": ((TWO, np.array([0])), {}, "one label per sample, received 2 samples, 1 labels"),
    "labels of floats": ((TWO, np.array([0.0, 1.0])), {}, "support_y of integers"),
    "labels of two axes": ((TWO, np.array([[0], [1]])), {}, "support_y of integers"),
    "labels of objects": ((TWO, np.array([0, "a"], object)), {}, "support_y of integers"),
    "a class too many": ((TWO, np.array([0, CLASSES])), {}, f"a label in 0..{CLASSES - 1}, received"),
    "a negative label": ((TWO, np.array([0, -1])), {}, f"a label in 0..{CLASSES - 1}, received"),
    "another shape": ((TWO[:, 1:], np.array([0, 1])), {}, "expected x of shape"),
    "doubles": ((TWO.astype(np.float64), np.array([0, 1])), {}, "dtype float32, received float64"),
    "not finite": ((TWO * np.nan, np.array([0, 1])), {}, "finite values in x"),
    "iterations": ((TWO, np.array([0, 1])), {"iterations": -1}, "iterations from 0"),
    "iterations of floats": ((TWO, np.array([0, 1])), {"iterations": 1.5}, "iterations from 0"),
    "seed": ((TWO, np.array([0, 1])), {"seed": -1}, "seed from 0"),
    "gradient": ((TWO, np.array([0, 1])), {"gradient": "some"}, "one of exact, constant, received 'some'"),
    "paced": ((TWO, np.array([0, 1])), {"paced": 1}, "paced to be true or false, received 1"),
    "augment": ((TWO, np.array([0, 1])), {"augment": 0.5}, "an Augment, received float"),
    "plan": ((TWO, np.array([0, 1])), {"plan": {"conv": "all"}}, "UpdatePlan"),
    "budget": ((TWO, np.array([0, 1])), {"budget": "1KB"}, "Budget"),
}


@pytest.fixture(scope="module")
def board():
    with small_dynamic_build(ADAM, LOSS).simulate(device="host") as board:
        yield board


@pytest.mark.parametrize("case", REFUSED)
def test_bad_tasks_are_refused(case: str, board) -> None:
    arguments, options, message = REFUSED[case]
    with pytest.raises(tt_tflm.InputError, match=message) as refused:
        board.adapt(*arguments, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (tt_tflm.UpdatePlan({"conv": "all"}, fingerprint="0" * 16), "a plan made for this model"),
        (tt_tflm.UpdatePlan({"stranger": "all"}), "received 'stranger'"),
        (tt_tflm.UpdatePlan({"conv": [99]}), "channels below 4"),
        (tt_tflm.UpdatePlan({"conv": {"channels": "all", "weights": False}}), "leaves weights out"),
        (tt_tflm.UpdatePlan({"conv": {"channels": "all", "bias": False}}), "leaves biases out"),
    ],
)
def test_foreign_plans_are_refused(plan: tt_tflm.UpdatePlan, message: str, board) -> None:
    for call in (board.choose, lambda given: board.adapt(*support(), 1, plan=given)):
        with pytest.raises(tt_tflm.InputError, match=message) as refused:
            call(plan)
        assert "\n" not in str(refused.value)


def test_budgets_that_nothing_fits_are_refused() -> None:
    x, labels = support()
    build = small_dynamic_build(ADAM, LOSS, budget=tt_tflm.Budget(training_memory=600))
    with build.simulate(device="host") as board:
        for budget in (
            tt_tflm.Budget(training_memory=8),
            tt_tflm.Budget(ram=8),
            tt_tflm.Budget(backward_macs=1),
        ):
            with pytest.raises(tt_tflm.DeviceError, match="budget is too small") as refused:
                board.adapt(x, labels, 1, budget=budget)
            assert "\n" not in str(refused.value)
        # The build has no room for a plan beyond its own budget.
        with pytest.raises(tt_tflm.DeviceError, match="too small") as refused:
            board.choose(tt_tflm.UpdatePlan(dict.fromkeys(inspected(build), "all")))
        assert "\n" not in str(refused.value)
        # And is none the worse for it.
        assert len(board.adapt(x, labels, 1).losses) == 1
    for options in ({"tail": 2}, {}):
        with pytest.raises(tt_tflm.InputError, match="expected ram of at least") as refused:
            small_dynamic_build(ADAM, LOSS, budget=tt_tflm.Budget(ram=100), **options)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("tail", [0, -1, 4, 1.5, True, "2"])
def test_tails_out_of_range_are_refused(tail) -> None:
    with pytest.raises(tt_tflm.InputError, match="number of layers from 1 to 3"):
        small_dynamic_build(ADAM, LOSS, tail=tail)


def test_builds_that_cannot_adapt_or_choose_say_so() -> None:
    x, labels = support()
    static = convert_static(small_embedding(), LOSS, ADAM, PLAN)
    with static.simulate(device="host") as board:
        for call in (
            lambda: board.fisher_accumulate(x[0], 0),
            board.fisher_clear,
            board.fisher,
            board.select,
            board.plan,
            lambda: board.choose(tt_tflm.UpdatePlan(PLAN)),
        ):
            with pytest.raises(tt_tflm.InputError, match="a build of mode 'dynamic', received one with a fixed plan"):
                call()
        with pytest.raises(tt_tflm.InputError, match="accumulated gradients"):
            board.adapt(x, labels, 1)
    adaptable = convert_static(small_embedding(), LOSS, Momentum(batch_size=2), PLAN)
    with adaptable.simulate(device="host") as board:
        with pytest.raises(tt_tflm.InputError, match="no plan or budget for a build with a fixed plan"):
            board.adapt(x, labels, 1, plan=tt_tflm.UpdatePlan(PLAN))
    with convert_dynamic(small_classifier(), SoftmaxLoss(), ADAM).simulate(device="host") as board:
        with pytest.raises(tt_tflm.InputError, match="PrototypeLoss"):
            board.adapt(x, labels, 1)
