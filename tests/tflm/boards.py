# SPDX-License-Identifier: Apache-2.0
"""One build on both backends, used alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

import tt_tflm
from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter

STEPS = 20
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Run:
    """What a board did."""

    losses: list[float]
    weights_before: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    scores: np.ndarray
    plan: tt_tflm.UpdatePlan | None
    exported: bytes


def pair(model: keras.Model, set_up: Callable[[tt_tflm.TrainableConverter], None]) -> dict[str, tt_tflm.Build]:
    """The builds of both backends, by name."""
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    set_up(converter)
    return both(converter)


def both(converter: tt_tflm.TrainableConverter) -> dict[str, tt_tflm.Build]:
    """The builds of both backends, by name, of a converter that is set up."""
    builds = {}
    for backend in ("c", "tflm"):
        converter.backend = backend
        builds[backend] = converter.convert()
    return builds


def use(build: tt_tflm.Build, samples: Sequence[np.ndarray], labels: Sequence[int], steps: int = STEPS) -> Run:
    """Enrol, inspect and select where the build does, then train."""
    about = build.simulation
    with build.simulate() as board:
        if about["loss"] == "prototype":
            for x, label in zip(samples, labels, strict=True):
                board.enroll(x, label)
        plan = None
        if about["mode"] == "dynamic":
            for x, label in zip(samples, labels, strict=True):
                board.fisher_accumulate(x, label)
            plan = board.select()
        before = board.weights()
        losses = [board.train_step(samples[i % len(samples)], labels[i % len(samples)]) for i in range(steps)]
        return Run(losses, before, board.weights(), board.predict(samples[0]), plan, board.export_tflite())


def untrained(build: tt_tflm.Build, plan: tt_tflm.UpdatePlan | None) -> dict[str, np.ndarray]:
    """Masks, in the layout of ``weights()``, of what the plan leaves alone."""
    if plan is None:
        channels = {entry["layer"]: list(entry["channels"]) for entry in build.simulation["rows"]}
    else:
        channels = {name: list(layer[0]) for name, layer in plan.layers.items()}
    masks = {}
    for layer in build.layers:
        rows = np.ones_like(build.rows[layer.name])
        rows[channels.get(layer.name, [])] = 0
        kernel, bias = layer.rows_to_kernel(rows)
        masks |= {f"{layer.name}/kernel": kernel == 1} | ({} if bias is None else {f"{layer.name}/bias": bias == 1})
    return masks


def check_equal(build: tt_tflm.Build, c: Run, tflm: Run) -> bool:
    """The same curve, rows, scores and plan; what is not trained has not changed by a bit. Whether anything has."""
    np.testing.assert_allclose(tflm.losses, c.losses, atol=TOLERANCE)
    np.testing.assert_allclose(tflm.scores, c.scores, atol=10 * TOLERANCE)
    assert (tflm.plan is None) == (c.plan is None)
    if c.plan is not None:
        assert tflm.plan.layers == c.plan.layers
    masks, changed = untrained(build, c.plan), False
    for name, value in c.weights.items():
        np.testing.assert_allclose(tflm.weights[name], value, atol=TOLERANCE, err_msg=name)
        np.testing.assert_array_equal(tflm.weights_before[name], c.weights_before[name])
        still = masks[name]
        changed |= bool(np.any(tflm.weights[name] != tflm.weights_before[name]))
        np.testing.assert_array_equal(tflm.weights[name][still], c.weights_before[name][still], err_msg=name)
    return changed


def run_exported(content: bytes, x: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of an exported model in TFLite and in TFLM."""
    lite = tf.lite.Interpreter(model_content=content)
    lite.allocate_tensors()
    place = lite.get_input_details()[0]
    sample = x.reshape(place["shape"])
    lite.set_tensor(place["index"], sample)
    lite.invoke()
    micro = TflmInterpreter(content)
    micro.set_input(0, sample)
    micro.invoke()
    return {"TFLite": lite.get_tensor(lite.get_output_details()[0]["index"])[0], "TFLM": micro.output(0)[0]}


def check_exported(run: Run, x: np.ndarray) -> None:
    """The exported model gives the board's scores."""
    for runtime, scores in run_exported(run.exported, x).items():
        np.testing.assert_allclose(scores, run.scores, rtol=1e-5, atol=1e-5, err_msg=runtime)
