# SPDX-License-Identifier: Apache-2.0
"""The models of TT_DATA: numbers as in Keras, memory near its lower bound, MACs as planned, instructions in bounds."""

import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from oracle.boards import DEVICE_TOLERANCE, check_forward, check_untouched, check_updates, convert
from oracle.reference import SGD, PrototypeLoss, Reference, SoftmaxLoss

import tt_tflm
from benchmarks.host_train_step import last_blocks

pytestmark = [pytest.mark.data, pytest.mark.slow]

# Every architecture, and the largest under either head: what a head computes does not depend on what lies before it.
BACKBONES = ("mcunet-5fps_backbone", "proxyless-w0.3_backbone")
CLASSIFIERS = ("mcunet-5fps_imagenet1000", "mbv2-w0.35_imagenet1000")
MODELS = BACKBONES + CLASSIFIERS
ARENA_SLACK = 1.10
PREDICT_INSTRUCTIONS_PER_MAC = 2.2
TRAIN_INSTRUCTIONS_PER_MAC = 2.6
DEVICE = "cortex-m7"
LABEL = 1
LEARNING_RATE = 2.0**-4

mcunet_backbone = pytest.mark.parametrize("case", ["mcunet-5fps_backbone"], indirect=True)


@dataclass(frozen=True)
class Case:
    """A model with its build for the device, trained in its last three blocks and, if it has one, its classifier."""

    name: str
    model: keras.Model
    loss: SoftmaxLoss | PrototypeLoss
    plan: dict[str, object]
    build: object


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest, data_folder: Path) -> Case:
    name = request.param
    model = keras.saving.load_model(data_folder / "models" / f"{name}.keras")
    loss = PrototypeLoss(classes=5, temperature=10.0) if name in BACKBONES else SoftmaxLoss()
    plan = dict.fromkeys(last_blocks(model, 3), "all")
    return Case(name, model, loss, plan, convert(model, loss, SGD(LEARNING_RATE), plan, target=DEVICE))


def pictures(folder: Path) -> np.ndarray:
    """One picture of each of five classes, float32 (5, 128, 128, 3) in -1 to 1."""
    with np.load(folder / "examples" / "gtsrb_dev00.npz") as episode:
        _, first = np.unique(episode["support_y"], return_index=True)
        x = episode["support_x"][first].astype(np.float32)
    return keras.ops.convert_to_numpy(keras.ops.image.resize(x, (128, 128))) / np.float32(127.5) - np.float32(1)


def run(board, loss, x: np.ndarray) -> dict[str, object]:
    """One use of a board: enrolment where it has any, a prediction and a train step."""
    if isinstance(loss, PrototypeLoss):
        for label, sample in enumerate(x):
            board.enroll(sample, label)
    results = {"weights_before": board.weights(), "scores": board.predict(x[0])}
    if isinstance(loss, PrototypeLoss):
        results["embedding"] = board.embedding(x[0])
    results["loss"] = board.train_step(x[0], LABEL)
    results["weights"] = board.weights()
    return results


def change(results: dict) -> dict[str, np.ndarray]:
    return {key: value - results["weights_before"][key] for key, value in results["weights"].items()}


@pytest.fixture(scope="module")
def saved(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build's folder."""
    folder = tmp_path_factory.mktemp("build") / "out"
    case.build.save(folder)
    return folder


@pytest.fixture(scope="module")
def report(saved: Path) -> dict:
    """Its report.json."""
    return json.loads((saved / "report.json").read_text())


@pytest.fixture(scope="module")
def host(case: Case, data_folder: Path) -> dict[str, object]:
    """What one use on this machine gives."""
    with case.build.simulate(device="host") as board:
        return run(board, case.loss, pictures(data_folder))


@pytest.fixture(scope="module")
def device(case: Case, data_folder: Path) -> dict[str, object]:
    """The same on the emulated board, and `instructions` of its calls."""
    with case.build.simulate(device=DEVICE) as board:
        return run(board, case.loss, pictures(data_folder)) | {"instructions": dict(board.instructions)}


def test_host_equals_keras(case: Case, host: dict, data_folder: Path) -> None:
    x = pictures(data_folder)
    single = Reference(case.model, case.loss, SGD(LEARNING_RATE), case.plan)
    double = Reference(case.model, case.loss, SGD(LEARNING_RATE), case.plan, "float64")
    expected, exact = run(single, case.loss, x), run(double, case.loss, x)
    output = case.model(x[:1], training=False).numpy()[0]
    check_forward(host["embedding" if isinstance(case.loss, PrototypeLoss) else "scores"], output)
    check_forward(host["scores"], expected["scores"])
    assert host["loss"] == pytest.approx(exact["loss"], rel=1e-4)
    check_untouched(host["weights_before"], host["weights"], single.chosen)
    updates = {key: value for key, value in change(exact).items() if key in single.chosen}
    noise = {key: float(np.max(np.abs(change(expected)[key] - value))) for key, value in updates.items()}
    check_updates(change(host), updates, host["weights_before"], noise)


@pytest.mark.qemu
def test_emulated_board_equals_host(host: dict, device: dict) -> None:
    for key in ("scores", "embedding"):
        if key in host:
            check_forward(device[key], host[key], DEVICE_TOLERANCE)
    assert device["loss"] == pytest.approx(host["loss"], rel=DEVICE_TOLERANCE)
    for key, value in host["weights"].items():
        check_forward(device["weights"][key], value, DEVICE_TOLERANCE)


def test_arena_is_near_its_lower_bound(report: dict) -> None:
    assert report["arena_lower_bound_bytes"] <= report["arena_bytes"]
    assert report["arena_bytes"] <= ARENA_SLACK * report["arena_lower_bound_bytes"]


def test_planned_macs_are_those_that_run(case: Case, report: dict) -> None:
    planned, counted = report["executed_macs"], case.build.count_macs()
    assert counted["predict"] == planned["predict"]
    assert counted["train_step"] == planned["forward"] + planned["backward"]
    # Kernels skip the taps that fall on padding, which the nominal figures count.
    assert 0 < planned["predict"] == planned["forward"] <= report["forward_macs"]
    assert 0 < planned["backward"] <= report["backward_macs"] < report["backward_macs_full"]


def test_forward_macs_are_those_of_the_layer_table(case: Case, report: dict, data_folder: Path) -> None:
    table = json.loads((data_folder / "models" / f"{case.name.split('_')[0]}_layers.json").read_text())
    assert report["forward_macs"] == table["macs_backbone" if case.name in BACKBONES else "macs_total"]
    assert sum(layer["forward_macs"] for layer in report["layers"]) == report["forward_macs"]
    assert (
        sum(layer["parameters"] for layer in report["layers"])
        == (table["params_backbone" if case.name in BACKBONES else "params_total"])
    )
    trained = {layer["name"]: layer["channels_trained"] for layer in report["layers"] if layer["channels_trained"]}
    assert sorted(trained) == sorted(case.plan)


@pytest.mark.qemu
@mcunet_backbone
def test_instructions_of_the_mcunet_backbone(case: Case, report: dict, device: dict) -> None:
    instructions = device["instructions"]
    forward, backward = report["forward_macs"], report["backward_macs"]
    assert instructions["predict"] / forward <= PREDICT_INSTRUCTIONS_PER_MAC
    assert instructions["train_step"] / (forward + backward) <= TRAIN_INSTRUCTIONS_PER_MAC


@pytest.mark.qemu
@mcunet_backbone
def test_instruction_counts_repeat_exactly(case: Case, device: dict, data_folder: Path) -> None:
    with case.build.simulate(device=DEVICE) as board:
        run(board, case.loss, pictures(data_folder))
        assert board.instructions == device["instructions"]


@mcunet_backbone
def test_saved_build_runs_as_the_one_in_memory(case: Case, saved: Path, host: dict, data_folder: Path) -> None:
    with tt_tflm.load_build(saved).simulate(device="host") as board:
        results = run(board, case.loss, pictures(data_folder))
    assert results["loss"] == host["loss"]
    assert all(np.array_equal(value, results["weights"][key]) for key, value in host["weights"].items())
