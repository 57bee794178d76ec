# SPDX-License-Identifier: Apache-2.0
"""Meta-training: it learns, it goes on after any end, and several workers do what one process does."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import random
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from meta import small

from tt_tflm.errors import InputError
from tt_tflm.meta.mixed_augment import OFF

KILLS = 5


def train(**further):
    return small.fitted(small.backbone(), small.images(), **{**small.SETTINGS, **further})


def test_it_learns_what_carries_over_to_classes_it_has_not_seen(tmp_path: Path) -> None:
    backbone = small.backbone()
    before = [weight.copy() for weight in backbone.get_weights()]
    told: list[tuple[int, int]] = []
    result = small.fitted(
        backbone,
        small.images(),
        **{**small.SETTINGS, "episodes": 120, "validate_every": 40},
        augment=OFF,
        log_folder=tmp_path / "logs",
        progress=lambda _stage, done, total: told.append((done, total)),
    )
    first, *_, last = result.history
    best = max(row["validation_accuracy"] for row in result.history)
    assert (first["episode"], last["episode"], result.episodes, result.stopped) == (0, 120, 120, "episodes")
    assert best > first["validation_accuracy"] + 0.05
    assert result.history[-1]["loss"] < result.history[1]["loss"]
    assert result.temperature != 10.0
    assert told[-1] == (120, 120)
    # The given backbone is as it was; the result is another model that holds what was learned.
    assert all(np.array_equal(a, b) for a, b in zip(before, backbone.get_weights(), strict=True))
    assert not np.array_equal(result.model.get_layer("project").kernel, backbone.get_layer("project").kernel)
    with (tmp_path / "logs" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["episode"]) for row in rows] == [0, 40, 80, 120]
    assert float(rows[-1]["validation_accuracy"]) == pytest.approx(last["validation_accuracy"])
    assert _events(tmp_path / "logs")[("validation_accuracy", 120)] == pytest.approx(last["validation_accuracy"])


def _events(folder: Path) -> dict[tuple[str, int], float]:
    import tensorflow as tf

    found = {}
    for path in folder.glob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    return found


def test_batch_norm_keeps_its_statistics_or_moves_them() -> None:
    for batch_norm, moved in (("frozen", False), ("trained", True)):
        result = train(episodes=6, validation=0.0, batch_norm=batch_norm)
        norm, before = result.model.get_layer("norm"), small.backbone().get_layer("norm")
        assert np.array_equal(norm.moving_mean, before.moving_mean) != moved
        assert not np.array_equal(norm.gamma, before.gamma)


def test_patience_and_minutes_end_a_run() -> None:
    result = train(learning_rate=0.0, patience=2)
    assert (result.stopped, result.episodes) == ("patience", 20)
    result = train(episodes=10**6, validation=0.0, minutes=0.02)
    assert result.stopped == "minutes"
    assert 0 < result.episodes < 10**6
    assert result.history[-1]["learning_rate"] < 1e-4  # the schedule has run its course


def test_weights_come_out_better_ranged() -> None:
    def worst(model) -> float:
        ratios = []
        for name in ("stem", "project"):
            kernel = model.get_layer(name).get_weights()[0]
            rows = kernel.reshape(-1, kernel.shape[-1])
            ratios.append(np.max(np.abs(rows).max(axis=0) / np.sqrt((rows**2).mean(axis=0))))
        return float(max(ratios))

    free = train(validation=0.0)
    ranged = train(validation=0.0, weight_range=1.5)
    assert worst(ranged.model) < worst(free.model) - 0.1


def _forked(target, *arguments) -> multiprocessing.Process:
    """A process forked from one that has imported TensorFlow and run nothing: an import for each would take most of the
    time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tt_tflm.meta.training", "keras", "tensorflow", "meta.small"])
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def _child(target: str, folder: str) -> None:
    """To be killed. What is tested is the state that is kept, not how a step is computed: compiling one takes longer
    than all of the run."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    often = {"checkpoint_every": 1, "episodes": 36, "fake_quantize": 0.5, "batch_norm": "trained"}
    small.train(target, small.tiny, checkpoint=str(Path(folder) / "state"), log_folder=folder, **often)


@pytest.mark.slow
def test_a_run_killed_five_times_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    undisturbed = _forked(_child, str(tmp_path / "whole.npz"), str(_folder(tmp_path, "whole")))
    undisturbed.join()
    assert undisturbed.exitcode == 0
    folder, target = _folder(tmp_path, "killed"), tmp_path / "killed.npz"
    state = folder / "state"
    draw, kills, episodes = random.Random(7), 0, set()
    while not target.exists():
        process = _forked(_child, str(target), str(folder))
        if kills < KILLS:
            _wait_for_change(state, process)
            time.sleep(draw.random() * 0.05)
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
        process.join()
        episodes.add(state.stat().st_mtime_ns)
        assert kills == KILLS or not target.exists(), "ended before it could be killed often enough"
    assert len(episodes) > KILLS // 2  # it was killed at different places
    whole, killed = small.weights_of(tmp_path / "whole.npz"), small.weights_of(target)
    _check_moved(whole, small.tiny())
    assert whole.keys() == killed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(killed[name], value)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def _folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def _wait_for_change(path: Path, process) -> None:
    """Until a further checkpoint has been written."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    while process.is_alive() and (not path.exists() or path.stat().st_mtime_ns == before):
        time.sleep(0.005)


def _worker(target: str, cluster: str, options: dict) -> None:
    os.environ["TF_CONFIG"] = cluster
    small.train(target, strategy="multiworker", **options)


@pytest.mark.slow
def test_two_workers_do_what_one_process_does(tmp_path: Path) -> None:
    options = {"episodes_per_step": 2, "episodes": 12, "validation": 0.0}
    workers = [f"localhost:{_free_port()}" for _ in range(2)]
    processes = []
    for index in range(2):
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        processes.append(_forked(_worker, str(tmp_path / f"{index}.npz"), json.dumps(cluster), options))
    alone = tmp_path / "alone.npz"
    small.train(str(alone), **options)
    for process in processes:
        process.join(timeout=120)
        assert process.exitcode == 0
    first, second, single = (small.weights_of(tmp_path / f"{name}.npz") for name in ("0", "1", "alone"))
    _check_moved(first, small.backbone())
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])
        np.testing.assert_allclose(value, single[name], rtol=1e-4, atol=1e-5)


def _check_moved(weights: dict[str, np.ndarray], backbone) -> None:
    for name, before in enumerate(backbone.get_weights()):
        if before.ndim > 1:
            assert np.max(np.abs(weights[str(name)] - before)) > 1e-3


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def test_a_mirrored_strategy_of_one_device_changes_nothing() -> None:
    options = {"episodes": 4, "validation": 0.0, "episodes_per_step": 2}
    alone, mirrored = train(**options), train(**options, strategy="mirrored")
    for a, b in zip(alone.model.get_weights(), mirrored.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    train(episodes=3, validation=0.0, checkpoint=state)
    with pytest.raises(InputError, match="this backbone, data and settings, received another's") as refused:
        train(episodes=4, validation=0.0, checkpoint=state)
    assert "\n" not in str(refused.value)
    again = train(episodes=3, validation=0.0, checkpoint=state)
    assert (again.episodes, again.stopped) == (3, "episodes")
    state.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="expected a checkpoint of meta-training"):
        train(episodes=3, validation=0.0, checkpoint=state)


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    full = Path("/dev/full")
    with pytest.raises(InputError, match=r"expected a file that can be written, received .*No space left") as refused:
        from tt_tflm.files.output import write_whole

        def write(file) -> None:
            with full.open("wb", buffering=0) as device:
                device.write(b"x")

        write_whole(tmp_path / "state", write)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


REFUSED = {
    "too few classes": ({"ways": 9}, "at least 9 classes to draw from, received 8"),
    "too few images": ({"shots": 15, "queries": 9}, r"at least 24 images of every class \(15 shots, 9 queries\)"),
    "learning rate": ({"learning_rate": -1}, "learning_rate: expected a number from 0"),
    "learning rate of NaN": ({"learning_rate": float("nan")}, "learning_rate: expected a number"),
    "episodes": ({"episodes": 0}, "episodes: expected a whole number of at least 1"),
    "validation": ({"validation": 0.99}, "validation: expected a number from 0"),
    "batch norm": ({"batch_norm": "thawed"}, "batch_norm: expected one of frozen, trained"),
    "fake quantize": ({"fake_quantize": 1.5}, "fake_quantize: expected a number from 0.0 to 1.0"),
    "weight range": ({"weight_range": 0.5}, "weight_range: expected a ratio of at least 1"),
    "minutes": ({"minutes": 0}, "minutes: expected a number above 0"),
    "strategy": ({"strategy": "lonely"}, "strategy: expected one of mirrored, multiworker"),
    "no cluster": ({"strategy": "multiworker"}, "expected TF_CONFIG in the environment"),
    "checkpoint": ({"checkpoint": "/no/such/folder/state"}, "in an existing folder"),
    "checkpoint_every": ({"checkpoint_every": 0}, "checkpoint_every: expected"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_arguments_are_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    options, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as refused:
        train(**options)
    assert "\n" not in str(refused.value)


def test_backbones_that_take_no_images_are_refused() -> None:
    import keras

    flat = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(4)])
    with pytest.raises(InputError, match="expected a backbone that takes images"):
        small.fitted(flat, small.images())


def test_three_classes_cannot_be_held_out() -> None:
    with pytest.raises(InputError, match="at least 4 classes to hold 2 out for validation, received 3"):
        small.fitted(small.backbone(), small.images(classes=3), ways=2)
