# SPDX-License-Identifier: Apache-2.0
"""Every kind of file that a user gives: its specimens, what spoils them, and the code that reads it."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fuzz import model_specimens, mutate, specimens
from tt_tflm import report
from tt_tflm.boards.episode import load_episode, load_samples
from tt_tflm.build.artefact import load_build
from tt_tflm.devices import get_device
from tt_tflm.errors import InputError, InputWarning
from tt_tflm.files import measure_hdf5
from tt_tflm.files.hdf5_weights import parts_of
from tt_tflm.files.image_file import read_image
from tt_tflm.files.keras_archive import read_members
from tt_tflm.files.keras_config import objects_in
from tt_tflm.files.limits import HDF5_OBJECTS, JSON_BYTES
from tt_tflm.files.model_file import reader_of
from tt_tflm.files.saved_model import read_saved_model
from tt_tflm.files.tflite_model import read_tflite
from tt_tflm.meta.episodes import load_episode_rows
from tt_tflm.meta.images import ImageSet, load_images
from tt_tflm.plan.update_plan import UpdatePlan
from tt_tflm.state.personalisation import load_states, newest

_IMAGES = (("PNG", "RGB"), ("PNG", "P"), ("PNG", "L"), ("JPEG", "RGB"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"),
           ("WEBP", "RGB"), ("PPM", "RGB"))  # fmt: skip
_HDF5_SECONDS = 2


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        suffix: that a file of the kind has.
        specimens: contents that `read` takes.
        spoil: makes another content of one.
        read: takes the path, does with it what commands do, and raises InputError.
    """

    suffix: str
    specimens: tuple[bytes, ...]
    spoil: mutate.Mutator
    read: Callable[[Path], Any]


def _show(*tables: Any) -> None:
    console = Console(file=io.StringIO(), width=160, markup=False, emoji=False)
    for table in tables:
        console.print(table)


def _read_plan(path: Path) -> None:
    plan = UpdatePlan.load(path)
    plan.resolve({"logits": 3, "conv": 4}, specimens.FINGERPRINT)
    content = plan.to_json()
    UpdatePlan.from_json(content)
    _show(report.plan_table(content, {"logits": 3, "conv": 4}))


def _read_build(path: Path) -> None:
    """``path`` holds one of a build's files; which one, its first byte tells."""
    content = path.read_bytes()
    name = _BUILD_FILES[content[0]]
    folder = path.with_suffix("")
    if not folder.exists():
        (folder / "sim").mkdir(parents=True)
        for other, right in _BUILD.items():
            (folder / other).write_bytes(right)
    (folder / name).write_bytes(content[1:])
    try:
        build = load_build(folder)
        figures = build.report_data
        _show(report.build_table(figures), report.trained_layers_table(figures))
        if build.simulation["choice"]:
            _show(report.choice_table(build.simulation["choice"]))
        _ = build.device.profile, build.default_device, build.backend
    finally:
        (folder / name).write_bytes(_BUILD[name])


_BUILD = {
    "sim/simulation.json": specimens.as_json(specimens.SIMULATION),
    "report.json": specimens.as_json(specimens.REPORT),
    "plan.json": specimens.as_json(specimens.PLAN),
    "sim/weights.npz": specimens.build_weights(),
}
_BUILD_FILES = list(_BUILD)


def _spoil_build(data: bytes, random_: random.Random) -> bytes:
    spoil = _spoil_npz if _BUILD_FILES[data[0]].endswith(".npz") else mutate.spoil_json
    return data[:1] + spoil(data[1:], random_)


def _read_states(path: Path) -> None:
    states = load_states(path)
    newest(list(states.values()))
    for offset, state in states.items():
        slot = {"offset": offset, "newest": True, **state.to_json()}
        _show(report.state_table(slot, True), report.state_layers_table(slot))


@contextmanager
def _casting() -> Iterator[None]:
    """Other numbers than uint8 and float32 are taken with a warning, which is no refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        yield


def _read_episode(path: Path) -> None:
    with _casting():
        episode = load_episode(path, (5, 6, 3))
    assert episode.support_x.dtype == np.float32 and np.isfinite(episode.support_x).all()
    load_samples(path)


def _read_data(path: Path) -> None:
    with _casting():
        images = load_images(path)
    images.images(range(min(3, len(images.labels))), (5, 6, 3))


def _read_rows(path: Path) -> None:
    images = ImageSet("data", np.array([0, 1, 0, 1]), ("a", "b"), lambda row: np.zeros((2, 2, 3), np.uint8))
    load_episode_rows(path, images)


def _read_keras(path: Path) -> None:
    config, _, _ = read_members(path)
    list(objects_in(config))


def _load_keras(path: Path) -> None:
    from tt_tflm.frontend.loaders import load_keras

    load_keras(path)


def _spoil_config(data: bytes, random_: random.Random) -> bytes:
    """Only what gets as far as Keras: another value in the configuration."""
    return specimens.keras_file(mutate.spoil_value(specimens.KERAS_CONFIG, random_))


def _spoil_member(name: str, data: bytes, random_: random.Random) -> bytes:
    return mutate.spoil_json(data, random_) if name.endswith(".json") else mutate.spoil_bytes(data, random_)


def _spoil_old_config(data: bytes, random_: random.Random) -> bytes:
    """The same for what Keras 2 writes."""
    if data.startswith(b"PK"):
        config = model_specimens.config(module="keras.layers", registered_name=None)
        return model_specimens.keras_2_file(mutate.spoil_value(config, random_))
    return model_specimens.hdf5_model(mutate.spoil_value(model_specimens.config(), random_))


def _read_hdf5_model(path: Path) -> None:
    parts_of(path.read_bytes(), _read_weights(path), path)


def _read_saved_model(path: Path) -> None:
    """``path`` holds one of a SavedModel's files; which one, its first byte tells."""
    content = path.read_bytes()
    number, names = content[0] & 15, list(_SAVED_MODELS[content[0] >> 4])
    folder = path.with_name(f"saved_model_{content[0] >> 4}")
    for name, right in _SAVED_MODELS[content[0] >> 4].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content[1:] if name == names[number] else right)
    read_saved_model(folder)


_SAVED_MODELS = (model_specimens.saved_model(), model_specimens.old_saved_model())


def _read_model(path: Path) -> None:
    """What it is, told by its content."""
    reader_of(path)


def _read_weights(path: Path) -> dict[str, Any]:
    """As `hdf5_weights` has it, but for the time that a new Python takes: the process is a copy of this one."""
    import h5py  # noqa: F401  (imported before the copy is made, not once in each)

    content = path.read_bytes()
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever happens in here must not go on in the copy of the caller.
        try:
            signal.alarm(0)
            resource.setrlimit(resource.RLIMIT_CPU, (_HDF5_SECONDS, _HDF5_SECONDS))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.write(sender, measure_hdf5.answer(content, HDF5_OBJECTS, JSON_BYTES).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    if b"elements" not in answer:
        raise InputError(f"expected sound weights, received {answer!r}")
    return dict(json.loads(answer))


def _spoil_npz(data: bytes, random_: random.Random) -> bytes:
    return mutate.spoil_zip(data, random_, mutate.spoil_array)


KINDS = {
    "keras": Kind(".keras", (specimens.keras_file(),), lambda d, r: mutate.spoil_zip(d, r, _spoil_member), _read_keras),
    "weights": Kind(".h5", (specimens.keras_weights(),), mutate.spoil_bytes, _read_weights),
    "hdf5": Kind(".h5", (model_specimens.hdf5_model(),), mutate.spoil_bytes, _read_hdf5_model),
    "saved_model": Kind(
        ".pb",
        tuple(
            bytes([which << 4 | number]) + content
            for which, files in enumerate(_SAVED_MODELS)
            for number, content in enumerate(files.values())
        ),
        lambda data, random_: data[:1] + mutate.spoil_bytes(data[1:], random_),
        _read_saved_model,
    ),
    "tflite": Kind(".tflite", (model_specimens.tflite_model(),), mutate.spoil_bytes, read_tflite),
    "tflite_model": Kind(".tflite", (model_specimens.tflite_model(),), mutate.spoil_bytes, _load_keras),
    "format": Kind(
        "",
        (specimens.keras_file(), model_specimens.hdf5_model(), model_specimens.keras_2_file()),
        lambda data, random_: mutate.spoil_bytes(data[:8], random_) + data[8:],
        _read_model,
    ),
    "plan": Kind(".json", (specimens.as_json(specimens.PLAN),), mutate.spoil_json, _read_plan),
    "build": Kind(
        ".bin", tuple(bytes([i]) + content for i, content in enumerate(_BUILD.values())), _spoil_build, _read_build
    ),
    "device": Kind(
        ".toml", (specimens.board_profile(),), mutate.spoil_toml, lambda path: get_device(str(path)).profile
    ),
    "episode": Kind(".npz", (specimens.episode(), specimens.episode(compressed=True)), _spoil_npz, _read_episode),
    "data": Kind(".npz", (specimens.data_set(), specimens.jpeg_set()), _spoil_npz, _read_data),
    "episodes": Kind(".json", (specimens.episode_rows(),), mutate.spoil_json, _read_rows),
    "image": Kind(
        ".png",
        tuple(specimens.as_image(*form) for form in _IMAGES),
        mutate.spoil_bytes,
        lambda path: read_image(path, 3),
    ),
    "model": Kind(".keras", (specimens.keras_file(),), _spoil_config, _load_keras),
    "old_model": Kind(
        ".model", (model_specimens.keras_2_file(), model_specimens.hdf5_model()), _spoil_old_config, _load_keras
    ),
    "state": Kind(".bin", (specimens.state(), specimens.dump()), mutate.spoil_bytes, _read_states),
}


SLOW = ("model", "old_model", "tflite_model")
"""Kinds that Keras itself reads, half a second each."""


def run_case(kind: Kind, seed: int, folder: Path) -> bool:
    """Spoils a specimen and reads it.

    Returns:
        Whether it was refused; a file may be as good as before.

    Raises:
        AssertionError: the refusal is not one printable line.
        Exception: an escape, whatever it is.
    """
    random_ = random.Random(seed)
    path = folder / f"case{kind.suffix}"
    path.write_bytes(kind.spoil(random_.choice(kind.specimens), random_))
    try:
        kind.read(path)
    except InputError as error:
        text = str(error)
        assert text and text.isprintable() and len(text) < 1100, f"expected one printable line, received {text!r}"
        return True
    return False
