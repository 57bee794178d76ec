# SPDX-License-Identifier: Apache-2.0
"""The converter's properties, and what a build prints as."""

import warnings

import keras
import numpy as np
import pytest

import tt_tflm
from tt_tflm.boards.adaptation import AdaptationResult, adapt
from tt_tflm.boards.episode import Episode
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


def test_a_model_that_rescales_its_input_is_given_pixels_as_they_are() -> None:
    model = keras.Sequential([keras.Input((4, 4, 3)), L.Rescaling(1 / 255), L.Flatten(), L.Dense(3, "softmax")])
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    x = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.float32)
    build = converter.convert()
    assert build.simulation["input_scaling"] == build.report["input_scaling"] == [1, 0]
    with build.simulate() as board:
        np.testing.assert_allclose(board.predict(x), np.asarray(model(x[None]))[0], atol=1e-5)
        assert board.input_range == (0, 255)


def test_scalings_that_can_be_set(classifier: keras.Model) -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(classifier)
    default = converter.input_scaling
    for given, scaling in ((None, default), ("model", default), ("none", (1, 0)), ((2, 3), (2, 3)), ("2,3", (2, 3))):
        converter.input_scaling = given
        assert converter.input_scaling == scaling
    with pytest.raises(InputError, match="received 'modle': did you mean 'model'"):
        converter.input_scaling = "modle"
    assert converter.input_scaling == (2, 3)


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [("mode", "dinamic", "dynamic"), ("precision", "int-8", "int8"), ("backend", "tfml", "tflm")],
)
def test_names_that_may_be_meant(classifier: keras.Model, name: str, value: str, near: str) -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(classifier)
    setattr(converter, name, value)
    with pytest.raises(InputError, match=f"^{name}: expected one of .*, received '{value}': did you mean '{near}'"):
        converter.convert()


def test_data_far_from_the_representative_is_told_of_once(classifier: keras.Model) -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(classifier)
    draw = np.random.default_rng(0)
    converter.precision, converter.input_scaling = "int8", (1, -128)
    converter.representative_data = draw.uniform(-1, 1, (8, 4, 4, 3)).astype(np.float32)
    labels = np.arange(8) % 2
    build = converter.convert()
    for scale, tells in ((1, False), (50, True)):
        x = (draw.uniform(-1, 1, (8, 4, 4, 3)) * scale).astype(np.float32)
        with build.simulate() as board, warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            adapt(board, Episode(x, labels, x, labels), 0, prototypes=False)
        assert [w.category for w in told] == [tt_tflm.InputWarning] * tells
        assert not told or "the range of the representative data" in str(told[0].message)
