# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm inspect` and `tt-tflm merge`."""

import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def saved(tmp_path_factory, embedding_model):
    """A build's folder, and a dump of a storage that holds two of its states."""
    import tt_tflm

    folder = tmp_path_factory.mktemp("saved")
    converter = tt_tflm.TrainableConverter.from_keras_file(embedding_model)
    converter.loss = tt_tflm.PrototypeLoss(classes=3)
    converter.plan = tt_tflm.UpdatePlan({"second": [0, 1, 2, 4]})
    build = converter.convert()
    build.save(folder / "out")
    draw = np.random.default_rng(3)
    x = draw.normal(size=(3, *converter.input_shape)).astype(np.float32)
    states = []
    with build.simulate() as board:
        for label, sample in enumerate(x):
            board.enroll(sample, label)
        for label, sample in enumerate(x[:2]):
            board.train_step(sample, label)
            states.append(board.save())
        expected = board.embedding(x[0])
    (folder / "storage.bin").write_bytes(states[0].ljust(512, b"\xff") + states[1].ljust(512, b"\xff"))
    (folder / "state.bin").write_bytes(states[1])
    return folder, x[0], expected


def test_inspect_shows_both_slots(run, saved, tmp_path):
    folder, _, _ = saved
    shown = run("inspect", folder / "storage.bin", "--build", folder / "out", "--json", tmp_path / "state.json")
    assert (shown.code, shown.err) == (0, "")
    for part in ("state at byte 512, the newest", "second", "0-2, 4", "3 x 6", "1, 1, 1"):
        assert part in shown.out
    states = json.loads((tmp_path / "state.json").read_text())["states"]
    assert [(s["sequence"], s["steps"], s["newest"]) for s in states] == [(1, 1, False), (2, 2, True)]
    assert states[0]["layers"][0]["channels"] == [0, 1, 2, 4]
    assert run("inspect", folder / "state.bin").out.count("saved state") == 1


def test_inspect_refuses_what_is_no_state(run, saved, embedding_model, tmp_path):
    run("inspect", embedding_model).check_refused("it begins with TTPS")
    run("inspect", tmp_path / "missing.bin").check_refused("No such file")
    run("inspect", saved[0] / "state.bin", "--json", tmp_path).check_refused("which is a folder")


def test_merge_brings_the_board_to_keras(run, saved, embedding_model, tmp_path):
    import keras

    folder, x, expected = saved
    output = tmp_path / "personal.keras"
    merged = run("merge", embedding_model, folder / "storage.bin", "-o", output)
    assert (merged.code, merged.out, merged.err) == (0, "", "")
    actual = keras.saving.load_model(output)(x[None]).numpy()[0]
    assert np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max()
    assert [path.name for path in tmp_path.iterdir()] == ["personal.keras"]


def test_merge_refuses_in_one_line_and_writes_nothing(run, saved, classifier_model, embedding_model, tmp_path):
    state = saved[0] / "state.bin"
    run("merge", classifier_model, state, "-o", tmp_path / "p.keras").check_refused("expected a state saved by a build")
    run("merge", embedding_model, state, "-o", tmp_path / "p.h5").check_refused(".keras or .tflite")
    run("merge", embedding_model, state, "-o", embedding_model).check_refused("other than the model")
    run("merge", embedding_model, embedding_model, "-o", tmp_path / "p.keras").check_refused("it begins with TTPS")
    assert list(tmp_path.iterdir()) == []
