# SPDX-License-Identifier: Apache-2.0
"""Which loss a model may be trained by: outputs x compiled losses x what is asked for, without a conversion."""

import re

import keras
import pytest

from tt_tflm.errors import InputError
from tt_tflm.frontend.compiled_loss import CompiledLoss, compiled_loss
from tt_tflm.frontend.graph import flatten
from tt_tflm.frontend.loaders import load_model
from tt_tflm.frontend.objective import fitting_loss, output_of
from tt_tflm.frontend.outputs import with_output
from tt_tflm.losses import PrototypeLoss, SoftmaxLoss

L = keras.layers
ASKED = {"nothing": None, "softmax": SoftmaxLoss(), "prototype": PrototypeLoss()}
SPARSE = keras.losses.SparseCategoricalCrossentropy


def heads() -> keras.Model:
    image = keras.Input((4,))
    return keras.Model(image, L.Concatenate()([L.Dense(3, activation="softmax", name=n)(image) for n in "ab"]))


OUTPUTS = {
    "linear": lambda: vector(L.Dense(3, name="end")),
    "dropped": lambda: vector(L.Dense(3, name="end"), L.Dropout(0.5), L.Activation("linear")),
    "relu": lambda: vector(L.Dense(3, activation="relu", name="end")),
    "softmax": lambda: vector(L.Dense(3, activation="softmax", name="end")),
    "softmax layer": lambda: vector(L.Dense(3), L.Softmax(name="end"), L.Reshape((1, 3))),
    "sigmoid": lambda: vector(L.Dense(3, activation="sigmoid", name="end"), L.Reshape((1, 1, 3))),
    "sigmoid layer": lambda: vector(L.Dense(3), L.Activation("sigmoid", name="end"), L.Dropout(0.1)),
    "one": lambda: vector(L.Dense(1, name="end")),
    "grid": lambda: grid(L.Conv2D(2, 1, name="end")),
    "softmax grid": lambda: grid(L.Conv2D(2, 1), L.Softmax(name="end"), L.Flatten()),
    "sequence": lambda: keras.Sequential([keras.Input((5, 2)), L.Dense(3, name="end")]),
    "heads": heads,
}
# Lines of a refusal: sigmoid, positions, another loss, too few, from_logits, what else a loss has, a question.
WHY = {
    "S": "layer 'end' .*: expected logits or a softmax over classes for SoftmaxLoss, received a sigmoid, .*: end the ",
    "P": "layer '[a-z]+' .*: expected one set of classes for SoftmaxLoss, received .* at each of .*: pool or flatten",
    "L": "model '.*': expected one compiled with categorical.* for SoftmaxLoss, received .*: compile it with",
    "F": "layer 'end' .*: expected an output of at least 2 classes for SoftmaxLoss, received 1: give it",
    "G": "layer 'end' .*: expected .* compiled with .*(from_logits=.*), received .*: compile it with from_logits=",
    "E": "model '.*': expected a cross-entropy without .*, received .*: ask for SoftmaxLoss",
    "?": "layer 'end' .*: expected a loss for .* output, which may be .*, received none: set converter.loss = Softmax",
}
LOSSES = {
    "none": None,
    "mse": "mse",
    "bce": ["binary_crossentropy"],
    "own": lambda y, p: p,
    "logits": SPARSE(from_logits=True),
    "probabilities": {"out": "sparse_categorical_crossentropy"},
    "smoothed": keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
}
# Rows by output, columns by compiled loss: what happens with nothing asked for and with softmax; "." is accepted.
TABLE = """
              none  mse  bce  own  logits  probabilities  smoothed
linear        ?.    LL   LL   LL   ..      GG             E.
dropped       ?.    LL   LL   LL   ..      GG             E.
relu          ?.    LL   LL   LL   ..      GG             E.
softmax       ..    LL   LL   LL   GG      ..             GG
softmax_layer ..    LL   LL   LL   GG      ..             GG
sigmoid       SS    SS   SS   SS   SS      SS             SS
sigmoid_layer SS    SS   SS   SS   SS      SS             SS
one           FF    LL   LL   LL   FF      FF             FF
grid          PP    PP   PP   PP   PP      PP             PP
softmax_grid  PP    PP   PP   PP   PP      PP             PP
sequence      PP    PP   PP   PP   PP      PP             PP
heads         PP    PP   PP   PP   PP      PP             PP
"""


def vector(*layers: L.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *layers])


def grid(*layers: L.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4, 4, 1)), *layers])


def verdict(output, compiled: CompiledLoss | None, asked: str) -> str:
    """ "." where the loss fits, else the reason's letter."""
    try:
        fits = fitting_loss(output, compiled, ASKED[asked])
    except InputError as error:
        assert "\n" not in str(error)
        return "".join(letter for letter, line in WHY.items() if re.match(line, str(error)))
    assert fits == (ASKED[asked] or SoftmaxLoss())
    return "."


def test_what_fits_and_what_is_refused() -> None:
    columns, *rows = [line.split() for line in TABLE.strip().splitlines()]
    assert columns == list(LOSSES)
    assert [name.replace("_", " ") for name, *_ in rows] == list(OUTPUTS)
    for name, *expected in rows:
        model = OUTPUTS[name.replace("_", " ")]()
        output, found = output_of(flatten(model), model.name), []
        for loss in LOSSES.values():
            model.compile("sgd", loss={"out": loss["out"]} if isinstance(loss, dict) else loss)
            compiled = compiled_loss(model)
            found.append(verdict(output, compiled, "nothing") + verdict(output, compiled, "softmax"))
            assert verdict(output, compiled, "prototype") == "."
        assert found == expected, name


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (None, None),
        ("MSE", "mean_squared_error"),
        ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy(from_logits=False)"),
        (keras.losses.sparse_categorical_crossentropy, "sparse_categorical_crossentropy(from_logits=False)"),
        (keras.losses.mean_absolute_error, "mean_absolute_error"),
        (SPARSE(from_logits=True), "sparse_categorical_crossentropy(from_logits=True)"),
        (keras.losses.CategoricalFocalCrossentropy(), "categorical_focal_crossentropy"),
        ([SPARSE()], "sparse_categorical_crossentropy(from_logits=False)"),
        ({"end": "mae"}, "mean_absolute_error"),
        (["mse", "mae"], "2 losses"),
    ],
)
def test_a_file_tells_the_loss_as_the_model_does(tmp_path, loss: object, expected: str | None) -> None:
    several = isinstance(loss, list) and len(loss) > 1
    image = keras.Input((4,))
    ends = [L.Dense(3, name=name)(image) for name in ("end", "other")[: 1 + several]]
    model = keras.Model(image, ends)
    model.compile("sgd", loss)
    model.save(tmp_path / "m.keras")
    for compiled in (compiled_loss(model), load_model(tmp_path / "m.keras").loss):
        assert (compiled and str(compiled)) == expected


def test_losses_of_the_users_own_are_no_cross_entropy() -> None:
    class SparseCategoricalCrossentropy(SPARSE):
        pass

    def sparse_categorical_crossentropy(y, p):
        return p

    for loss in (SparseCategoricalCrossentropy(from_logits=True), sparse_categorical_crossentropy):
        model = vector(L.Dense(3))
        model.compile("sgd", loss)
        assert not compiled_loss(model).is_cross_entropy


def test_of_several_outputs_one_is_named() -> None:
    image = keras.Input((4,))
    hidden = L.Dense(4, name="hidden")(image)
    model = keras.Model(image, [L.Dense(3, name="scores")(hidden), L.Dense(1, name="box")(hidden)])
    assert with_output(model, "scores").output_shape == (None, 3)
    with pytest.raises(InputError, match=r"\(scores, box\), received 'score': did you mean 'scores'"):
        with_output(model, "score")
