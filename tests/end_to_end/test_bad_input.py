# SPDX-License-Identifier: Apache-2.0
"""What cannot be used is refused by one clear line, and nothing is half-written: the Python interface."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
from oracle.boards import convert
from oracle.fixed_nets import CLASSES, INPUT_SHAPE, small_classifier, small_embedding, small_inputs
from oracle.reference import SGD, PrototypeLoss, SoftmaxLoss

import tt_tflm
from tt_tflm.errors import DeviceError, InputError, UnsupportedLayerError

X = small_inputs(1)[0]


@contextmanager
def refused(*words: str, kind: type[Exception] = InputError) -> Iterator[None]:
    """Expect an error of `kind` whose text is one line that holds every one of `words`."""
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    assert len(text.splitlines()) == 1, text
    for word in words:
        assert word in text, text


def with_x(value: float) -> np.ndarray:
    x = X.copy()
    x[0, 0, 0] = value
    return x


@pytest.fixture(scope="module")
def build():
    return convert(small_classifier(), SoftmaxLoss(), SGD(0.1), {"logits": "all"})


@pytest.fixture(scope="module")
def board(build) -> Iterator:
    with build.simulate(device="host") as board:
        yield board


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"nope": "all"}, ["nope"]),
        ({"pool": "all"}, ["pool"]),
        ({"norm": "all"}, ["norm"]),
        ({"conv": [0, 4]}, ["conv", "4"]),
        ({"conv": [-1]}, ["conv", "-1"]),
        ({"conv": [1, 1]}, ["conv", "1"]),
        ({"conv": [0.5]}, ["conv", "0.5"]),
        ({"conv": "some"}, ["conv", "some"]),
        ({"conv": []}, ["conv"]),
        ({"conv": {"channels": [9], "bias": True}}, ["conv", "9"]),
        ({"conv": {"channels": "all", "bias": "yes"}}, ["conv", "yes"]),
        ({"conv": {"channel": [0]}}, ["conv", "channel"]),
        ({}, ["expected", "received"]),
    ],
    ids=str,
)
def test_plan(plan: dict, words: list[str]) -> None:
    with refused("expected", "received", *words):
        convert(small_classifier(), SoftmaxLoss(), SGD(), plan)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (X[None], ["shape", str(INPUT_SHAPE)]),
        (X[:-1], ["shape", str(INPUT_SHAPE)]),
        (X.ravel(), ["shape", str(INPUT_SHAPE)]),
        (X.astype(np.float64), ["float32", "float64"]),
        (X.astype(np.uint8), ["float32", "uint8"]),
        (with_x(np.nan), ["finite", "nan"]),
        (with_x(np.inf), ["finite", "inf"]),
    ],
    ids=["batch", "small", "flat", "float64", "uint8", "nan", "inf"],
)
def test_sample(board, x: np.ndarray, words: list[str]) -> None:
    before = board.weights()
    with refused("expected", "received", *words):
        board.predict(x)
    with refused("expected", "received", *words):
        board.train_step(x, 0)
    after = board.weights()
    assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("label", [-1, CLASSES, 2**32, 0.5, "1", None])
def test_label(board, label: object) -> None:
    before = board.weights()
    with refused("expected", "received", repr(label)):
        board.train_step(X, label)
    after = board.weights()
    assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -0.1])
def test_learning_rate(board, rate: float) -> None:
    with refused("expected", "received"):
        board.set_learning_rate(rate)
    with refused("expected", "received"):
        tt_tflm.SGD(learning_rate=rate)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tt_tflm.SGD(batch_size=0),
        lambda: tt_tflm.Momentum(learning_rate=0.1, momentum=1.5),
        lambda: tt_tflm.Adam(beta_1=1.0),
        lambda: tt_tflm.Adam(beta_2=-0.1),
        lambda: tt_tflm.Adam(epsilon=0.0),
        lambda: tt_tflm.PrototypeLoss(classes=0),
        lambda: tt_tflm.PrototypeLoss(classes=5, temperature=0.0),
    ],
)
def test_settings(make) -> None:
    with refused("expected", "received"):
        make()


def test_diverged_training_is_reported() -> None:
    model = small_classifier()
    with convert(model, SoftmaxLoss(), SGD(3e38), {"conv": "all", "logits": "all"}).simulate(device="host") as board:
        with refused(kind=DeviceError):
            for _ in range(10):
                board.train_step(X, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("layer", ["conv", "norm", "depthwise", "logits"])
def test_weights_that_are_not_finite(layer: str, value: float) -> None:
    model = small_classifier()
    weights = model.get_layer(layer).get_weights()
    weights[0].flat[0] = value
    model.get_layer(layer).set_weights(weights)
    with refused(layer, "finite"):
        convert(model, SoftmaxLoss(), SGD(), {"logits": "all"})


def test_layer_outside_the_supported_set() -> None:
    model = keras.Sequential(
        [keras.Input((5, 3)), keras.layers.Masking(name="mask"), keras.layers.Dense(2, name="logits")]
    )
    with refused("mask", "Masking", kind=UnsupportedLayerError):
        convert(model, SoftmaxLoss(), SGD(), {"logits": "all"})


def test_target_and_device(build) -> None:
    with refused("cortex-x9"):
        convert(small_classifier(), SoftmaxLoss(), SGD(), {"logits": "all"}, target="cortex-x9")
    with refused("cortex-x9"), build.simulate(device="cortex-x9"):
        pass


def test_prototype_calls_on_a_classifier(board) -> None:
    with refused("PrototypeLoss"):
        board.enroll(X, 0)
    with refused("PrototypeLoss"):
        board.embedding(X)


def test_softmax_output_under_a_prototype_loss() -> None:
    with refused("softmax", "PrototypeLoss"):
        convert(small_classifier("softmax"), PrototypeLoss(CLASSES), SGD(), {"logits": "all"})


def test_closed_board() -> None:
    build = convert(small_embedding(), PrototypeLoss(CLASSES), SGD(), {"embedding": "all"})
    with build.simulate(device="host") as board:
        pass
    with refused("closed", kind=DeviceError):
        board.embedding(X)


def test_output_folder_that_is_not_empty(build, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with refused(str(tmp_path), "empty"):
        build.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_output_folder_that_is_a_file(build, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with refused(str(path)):
        build.save(path)
    assert path.read_text() == "mine"


def test_an_empty_output_folder_is_taken(build, tmp_path: Path) -> None:
    build.save(tmp_path)
    assert (tmp_path / "report.json").is_file()


@pytest.mark.parametrize("missing", ["report.json", "plan.json", "sim/simulation.json", "sim/weights.npz"])
def test_saved_build_with_a_file_missing(build, tmp_path: Path, missing: str) -> None:
    build.save(tmp_path / "out")
    (tmp_path / "out" / missing).unlink()
    with refused(Path(missing).name):
        tt_tflm.load_build(tmp_path / "out")


def test_saved_build_with_a_file_cut_short(build, tmp_path: Path) -> None:
    build.save(tmp_path / "out")
    for name in ("report.json", "sim/weights.npz"):
        path = tmp_path / "out" / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with refused(str(tmp_path / "out")):
            tt_tflm.load_build(tmp_path / "out")
        path.write_bytes(whole)


def test_folder_without_a_build(tmp_path: Path) -> None:
    with refused(str(tmp_path)):
        tt_tflm.load_build(tmp_path)
    with refused("nowhere"):
        tt_tflm.load_build(tmp_path / "nowhere")
