# SPDX-License-Identifier: Apache-2.0
"""What is no plain file, or declares more than it holds, is refused at once and without memory, whoever reads it."""

from __future__ import annotations

import io
import os
import signal
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fuzz import specimens

from tt_tflm.boards.episode import load_episode
from tt_tflm.build.artefact import load_build
from tt_tflm.devices import get_device
from tt_tflm.errors import InputError
from tt_tflm.files.hdf5_weights import read_hdf5_model
from tt_tflm.files.image_file import read_image
from tt_tflm.files.keras_archive import read_keras_archive
from tt_tflm.files.limits import MEBIBYTE
from tt_tflm.files.model_file import read_model_file
from tt_tflm.files.tflite_model import read_tflite
from tt_tflm.meta.checkpoint import load_checkpoint
from tt_tflm.meta.episodes import load_episode_rows
from tt_tflm.meta.images import load_images
from tt_tflm.plan.update_plan import UpdatePlan
from tt_tflm.state.personalisation import load_states

Read = Callable[[Path], object]
READERS: dict[str, tuple[str, Read]] = {
    "plan": ("p.json", UpdatePlan.load),
    "episodes": (
        "e.json",
        lambda path: load_episode_rows(path, load_images((np.zeros((2, 1, 1, 3), np.uint8), [0, 1]))),
    ),
    "device": ("d.toml", lambda path: get_device(str(path))),
    "episode": ("e.npz", lambda path: load_episode(path, (5, 6, 3))),
    "data": ("d.npz", load_images),
    "checkpoint": ("c", load_checkpoint),
    "image": ("i.png", lambda path: read_image(path, 3)),
    "keras": ("m.keras", read_keras_archive),
    "hdf5": ("m.h5", read_hdf5_model),
    "model": ("m", read_model_file),
    "tflite": ("m.tflite", read_tflite),
    "state": ("s.bin", load_states),
    "build": ("out", load_build),
}


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _linked(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


NO_FILES: dict[str, Callable[[Path], Path]] = {
    "missing": lambda path: path,
    "pipe": _pipe,
    "endless device": lambda path: _linked(path, "/dev/zero"),
    "link to itself": lambda path: _linked(path, path.name),
    "link to nothing": lambda path: _linked(path, "nowhere"),
    "NUL": lambda path: path.with_name(f"a\0{path.name}"),
    "long": lambda path: path.with_name("a" * 300 + path.name),
    "long and escaping": lambda path: path.with_name("\x1b[31m\n" * 20 + path.name),
    "below a file": lambda path: Path(__file__) / path.name,
}


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """A reader that waits for a pipe would wait for ever."""

    def stop(*_: object) -> None:
        raise TimeoutError("60 s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal(read: Read, path: Path, mebibytes: int = 40) -> str:
    """The one line that a reader refuses a file with, for which it takes less memory than that."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as refused:
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    text = str(refused.value)
    assert text.isprintable() and len(text) < 1100, text
    assert "expected" in text and "received" in text, text
    assert peak < mebibytes * MEBIBYTE
    return text


@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file_is_refused(reader: str, what: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    refusal(read, NO_FILES[what](tmp_path / name))


@pytest.mark.parametrize("reader", [name for name in READERS if name not in ("data", "build")])
def test_folders_are_refused(reader: str, tmp_path: Path) -> None:
    assert "a folder" in refusal(READERS[reader][1], tmp_path) or reader == "device"


@pytest.mark.parametrize("reader", [name for name in READERS if name != "build"])
def test_files_larger_than_any_are_refused_unread(reader: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    with (tmp_path / name).open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room on the disk
    refusal(read, tmp_path / name)


def patched(archive: bytes, offset: int, form: str, value: int) -> bytes:
    """A zip archive with a field of its first directory entry changed."""
    data = bytearray(archive)
    struct.pack_into(form, data, data.index(b"PK\x01\x02") + offset, value)
    return bytes(data)


@pytest.mark.parametrize(("reader", "whole"), [("episode", specimens.episode(True)), ("keras", specimens.keras_file())])
@pytest.mark.parametrize(
    ("offset", "form", "value", "words"),
    [(10, "<H", 99, "zip method 99"), (8, "<H", 1, "encrypted"), (24, "<I", 2**31, "unpacks to at most")],
)
def test_members_that_are_not_plain_are_refused(
    reader: str, whole: bytes, offset: int, form: str, value: int, words: str, tmp_path: Path
) -> None:
    name, read = READERS[reader]
    (tmp_path / name).write_bytes(patched(whole, offset, form, value))
    assert words in refusal(read, tmp_path / name)


@pytest.mark.parametrize(("reader", "mebibytes"), [("keras", 65), ("episode", 257)])
def test_archives_that_unpack_to_much_more_than_they_take_are_refused(
    reader: str, mebibytes: int, tmp_path: Path
) -> None:
    name, read = READERS[reader]
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(mebibytes):
            archive.writestr(str(number), bytes(MEBIBYTE))
    assert "unpacks to at most" in refusal(read, tmp_path / name)


@pytest.mark.parametrize("shape", [(10**9, 10**9, 3), (2**62, 4), (-1, -5), (4, 5, 6, 4), (10**30,)])
def test_array_headers_that_declare_what_the_file_lacks_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "e.npz", "w") as archive:
        archive.writestr("support_x.npy", stream.getvalue() + bytes(360))
        for name, labels in (("support_y", [0, 1, 0, 1]), ("query_x", [0]), ("query_y", [0])):
            content = io.BytesIO()
            np.save(content, np.array(labels))
            archive.writestr(f"{name}.npy", content.getvalue())
    assert "support_x" in refusal(READERS["episode"][1], tmp_path / "e.npz")


@pytest.mark.parametrize(
    "labels",
    [np.array([0, 1], "m8[s]"), np.array([0, 1], "M8[s]"), np.array([0, 1], object), np.array([0, 2**63], "u8")],
)
@pytest.mark.parametrize("reader", ["episode", "data"])
def test_labels_are_whole_numbers(labels: np.ndarray, reader: str, tmp_path: Path) -> None:
    x = np.zeros((2, 5, 6, 3), np.uint8)
    path = tmp_path / "e.npz"
    np.savez(path, x=x, y=labels, support_x=x, support_y=labels, query_x=x, query_y=labels)
    if labels.dtype.kind == "u" and reader == "data":  # numbers of classes there are names
        assert len(load_images(path).classes) == 2
    else:
        refusal(READERS[reader][1], path)


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def test_pictures_of_more_pixels_than_any_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    for width, height in ((12_000, 12_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        (tmp_path / "i.png").write_bytes(png(width, height))
        refusal(READERS["image"][1], tmp_path / "i.png")


def test_no_picture_runs_another_program(tmp_path: Path) -> None:
    (tmp_path / "i.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    assert "cannot be decoded" in refusal(READERS["image"][1], tmp_path / "i.png")


@pytest.mark.parametrize("reader", ["plan", "episodes", "device"])
@pytest.mark.parametrize("depth", [200, 5000, 100_000])
def test_values_that_lie_deep_in_each_other_are_refused(reader: str, depth: int, tmp_path: Path) -> None:
    name, read = READERS[reader]
    text = "name" + ".a" * depth + " = 1" if reader == "device" else '{"layers":' * depth + "1" + "}" * depth
    (tmp_path / name).write_text(text)
    refusal(read, tmp_path / name)


def test_states_that_lie_in_each_other_are_told_in_time_that_grows_with_the_file(tmp_path: Path) -> None:
    header = struct.Struct("<4sHHII8sIIII")
    count = 50_000
    size = count * header.size + 4
    nested = b"".join(header.pack(b"TTPS", 1, 1, i, size - i * header.size, bytes(8), 0, 0, 0, 0) for i in range(count))
    (tmp_path / "s.bin").write_bytes(nested + bytes(4))
    assert "overlap" in refusal(load_states, tmp_path / "s.bin", 300)
    (tmp_path / "s.bin").write_bytes(b"TTPS\1\0" * 500_000)
    refusal(load_states, tmp_path / "s.bin", 300)


def test_a_state_of_nothing_is_refused(tmp_path: Path) -> None:
    header = struct.pack("<4sHHII8sIIII", b"TTPS", 1, 0, 1, 44, bytes(8), 0, 0, 0, 0)
    (tmp_path / "s.bin").write_bytes(header + struct.pack("<I", zlib.crc32(header)))
    assert "layers, received one of 0" in refusal(load_states, tmp_path / "s.bin")
