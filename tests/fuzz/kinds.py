# SPDX-License-Identifier: Apache-2.0
"""Every kind of file that a user gives: its specimens, what spoils them, and the code that reads it."""

from __future__ import annotations

import io
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

from fuzz import mutate, specimens
from tt_tflm import report
from tt_tflm.boards.episode import load_episode, load_samples
from tt_tflm.build.artefact import load_build
from tt_tflm.devices import get_device
from tt_tflm.errors import InputError, InputWarning
from tt_tflm.files import measure_hdf5
from tt_tflm.files.image_file import read_image
from tt_tflm.files.keras_archive import KerasArchive, read_parts
from tt_tflm.files.limits import HDF5_OBJECTS
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
    config, _ = read_parts(path)
    list(KerasArchive(config, 0).objects())


def _load_keras(path: Path) -> None:
    from tt_tflm.frontend.keras_model import load_keras

    load_keras(path)


def _spoil_config(data: bytes, random_: random.Random) -> bytes:
    """Only what gets as far as Keras: another value in the configuration."""
    return specimens.keras_file(mutate.spoil_value(specimens.KERAS_CONFIG, random_))


def _spoil_member(name: str, data: bytes, random_: random.Random) -> bytes:
    return mutate.spoil_json(data, random_) if name.endswith(".json") else mutate.spoil_bytes(data, random_)


def _read_weights(path: Path) -> None:
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
            os.write(sender, measure_hdf5.answer(content, HDF5_OBJECTS).encode()[:4000])
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    if b"elements" not in answer:
        raise InputError(f"expected sound weights, received {answer!r}")


def _spoil_npz(data: bytes, random_: random.Random) -> bytes:
    return mutate.spoil_zip(data, random_, mutate.spoil_array)


KINDS = {
    "keras": Kind(".keras", (specimens.keras_file(),), lambda d, r: mutate.spoil_zip(d, r, _spoil_member), _read_keras),
    "weights": Kind(".h5", (specimens.keras_weights(),), mutate.spoil_bytes, _read_weights),
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
    "state": Kind(".bin", (specimens.state(), specimens.dump()), mutate.spoil_bytes, _read_states),
}


SLOW = ("model",)
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
