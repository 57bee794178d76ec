# SPDX-License-Identifier: Apache-2.0
"""A new operation, registered from outside the package. An elementwise one is one file: it trains on both backends,
with a fixed plan and one that the board chooses, and is exported. One with a kernel of its own trains on the C
backend."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl
from oracle.boards import check_forward, check_untouched, check_updates, convert
from oracle.net_weights import randomise_weights
from oracle.reference import SGD, Reference, SoftmaxLoss
from tflm.boards import both, check_equal, check_exported, use

import tt_tflm
from tt_tflm.files.ops_path import ops_path
from tvm_passes.kernel import steps_of
from tvm_passes.ops import OPS

from . import kernel_softsign, softsign

INPUT_SHAPE, CLASSES = (6, 5, 2), 3
PRODUCTION = (Path(tt_tflm.__file__).parent, Path(tt_tflm.__file__).parents[1] / "tvm_passes", ops_path())


def net(head: bool = True) -> keras.Model:
    layers = [
        keras.Input(INPUT_SHAPE),
        kl.Conv2D(4, 3, padding="same", activation="softsign", name="stem"),
        kl.DepthwiseConv2D(2, name="depthwise"),
        kl.Activation("softsign", name="squash"),
        kl.GlobalAveragePooling2D(name="mean"),
        *([kl.Dense(CLASSES, name="logits")] if head else []),
    ]
    model = keras.Sequential(layers, name="net")
    randomise_weights(model, np.random.default_rng(3))
    return model


def samples(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).standard_normal((count, *INPUT_SHAPE)).astype(np.float32))


@pytest.fixture
def registered(request: pytest.FixtureRequest) -> Iterator[None]:
    getattr(request, "param", softsign.register)()
    yield
    for name in ("softsign", "softsign_grad"):
        OPS.remove(name)


def operations() -> set[str]:
    steps, _ = steps_of(tt_tflm.TrainableConverter.from_keras_model(net())._import_float().module, "predict")
    return {step.kernel.op for step in steps}


def test_without_the_registration_it_is_composed() -> None:
    composed = operations()
    softsign.register()
    try:
        assert "softsign" not in composed
        assert operations() == composed - {"abs", "divide", "affine"} | {"softsign"}
    finally:
        for name in ("softsign", "softsign_grad"):
            OPS.remove(name)


@pytest.mark.parametrize(
    "registered",
    [softsign.register, kernel_softsign.register],
    ids=["expression", "kernel"],
    indirect=True,
)
@pytest.mark.usefixtures("registered")
def test_training_follows_the_gradient_tape():
    model, plan, rate = net(), {"stem": [0, 2], "depthwise": "all", "logits": "all"}, 2.0
    reference = Reference(model, SoftmaxLoss(), SGD(rate), plan)
    with convert(model, SoftmaxLoss(), SGD(rate), plan).simulate(device="host") as board:
        for label, x in enumerate(samples(CLASSES)):
            before, weights = board.weights(), reference.weights()
            check_forward(board.predict(x), reference.predict(x))
            assert board.train_step(x, label) == pytest.approx(reference.train_step(x, label), rel=1e-4)
            after, expected = board.weights(), reference.weights()
            check_untouched(before, after, reference.chosen)
            changes = {key: expected[key] - weights[key] for key in reference.chosen}
            assert all(np.any(change) for change in changes.values())
            check_updates({key: after[key] - before[key] for key in changes}, changes, before)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_both_backends_do_the_same(mode):
    converter = tt_tflm.TrainableConverter.from_keras_model(net(head=mode == "static"))
    converter.mode = mode
    converter.loss = tt_tflm.SoftmaxLoss() if mode == "static" else tt_tflm.PrototypeLoss(CLASSES)
    if mode == "static":
        converter.plan = tt_tflm.UpdatePlan(layers={"stem": [0, 2], "logits": "all"})
    converter.optimizer = tt_tflm.Momentum(0.05)
    builds, x = both(converter), samples(6)
    c, tflm = (use(builds[backend], x, [i % CLASSES for i in range(6)]) for backend in ("c", "tflm"))
    assert check_equal(builds["tflm"], c, tflm)
    assert (c.plan is not None and "stem" in c.plan.layers) == (mode == "dynamic")
    check_exported(c, x[0])
    check_exported(tflm, x[0])


@pytest.mark.parametrize("registered", [kernel_softsign.register], indirect=True)
@pytest.mark.usefixtures("registered")
def test_what_tflite_cannot_express_is_refused_where_it_is_asked_for():
    converter = tt_tflm.TrainableConverter.from_keras_model(net())
    converter.loss = tt_tflm.SoftmaxLoss()
    reason = r"operation 'softsign' in TensorFlow Lite: expected an operator of its own or a scalar expression, [^\n]*$"
    with converter.convert().simulate(device="host") as board:
        with pytest.raises(tt_tflm.InputError, match=f"^export_tflite: {reason}"):
            board.export_tflite()
    converter.backend = "tflm"
    with pytest.raises(tt_tflm.UnsupportedLayerError, match=f"^{reason}"):
        converter.convert()


@pytest.mark.parametrize(
    "registered", [functools.partial(kernel_softsign.register, gradient=False)], ids=["frozen"], indirect=True
)
@pytest.mark.usefixtures("registered")
def test_an_operation_without_a_gradient_is_refused():
    converter = tt_tflm.TrainableConverter.from_keras_model(net())
    converter.loss = tt_tflm.SoftmaxLoss()
    with pytest.raises(tt_tflm.UnsupportedLayerError, match=r"^model 'net': expected .* received softsign; [^\n]*$"):
        converter.convert()


def test_nothing_else_knows_of_it():
    files = [
        path for root in PRODUCTION for path in root.rglob("*") if path.suffix in (".py", ".c", ".h", ".cc", ".j2")
    ]
    assert len(files) > 200
    assert [path.name for path in files if "softsign" in path.read_text(encoding="utf-8").lower()] == []
