# SPDX-License-Identifier: Apache-2.0
"""The converter's properties, and what a build prints as."""

import keras
import numpy as np
import pytest

import tt_tflm
from tt_tflm.boards.adaptation import AdaptationResult
from tt_tflm.errors import InputError

L = keras.layers


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    return keras.Sequential([keras.Input((4, 4, 3)), L.Flatten(), L.Dense(5), L.Dense(3, activation="softmax")])


@pytest.mark.parametrize(
    ("name", "meant"), [("optimiser", "optimizer"), ("losses", "loss"), ("inputscaling", "input_scaling"), ("x", None)]
)
def test_a_property_that_there_is_not_is_refused(classifier: keras.Model, name: str, meant: str | None) -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(classifier)
    with pytest.raises(InputError, match=f"^converter: expected one of target, .*, received '{name}'") as error:
        setattr(converter, name, 1)
    assert str(error.value).endswith(f": did you mean '{meant}'?") == (meant is not None)


def test_properties_that_the_model_tells_cannot_be_set(classifier: keras.Model) -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(classifier)
    for name in ("classes", "layers", "input_shape", "objective"):
        with pytest.raises(InputError):
            setattr(converter, name, 3)


def test_the_loss_is_what_the_model_tells_unless_it_is_said(classifier: keras.Model) -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(classifier)
    assert converter.loss is None
    assert converter.objective == tt_tflm.SoftmaxLoss()
    embedding = tt_tflm.TrainableConverter.from_keras_model(
        keras.Model(classifier.inputs, classifier.layers[-2].output)
    )
    with pytest.raises(InputError, match="expected a loss for a linear output"):
        embedding.convert()
    embedding.loss = tt_tflm.PrototypeLoss(4)
    assert (embedding.objective, embedding.classes) == (embedding.loss, 4)


def test_builds_plans_and_results_print_in_a_line(classifier: keras.Model) -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(classifier)
    build = converter.convert()
    plan = tt_tflm.UpdatePlan({f"layer_{i}": list(range(200)) for i in range(50)})
    result = AdaptationResult(0.5, 0.75, (1.25,) * 4096, {}, plan)
    for printed, part in ((build, "mode='static', loss='softmax'"), (plan, "layer_0: 200"), (result, "0.75")):
        assert part in repr(printed)
        assert "\n" not in repr(printed) and len(repr(printed)) < 400


def test_a_model_that_rescales_its_input_is_told_what_pixels_are_before_it_is_converted() -> None:
    model = keras.Sequential([keras.Input((4, 4, 3)), L.Rescaling(1 / 255), L.Flatten(), L.Dense(3, "softmax")])
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    with pytest.raises(InputError, match=r"\(Rescaling\): .*, received no input_scaling: set it to \(1, 0\)"):
        converter.convert()
    converter.input_scaling = (1, 0)
    x = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.float32)
    with converter.convert().simulate() as board:
        np.testing.assert_allclose(board.predict(x), np.asarray(model(x[None]))[0], atol=1e-5)
        assert board.input_range == (0, 255)
