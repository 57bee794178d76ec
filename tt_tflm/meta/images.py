# SPDX-License-Identifier: Apache-2.0
"""Labelled images to train on and to be judged by: .npz files, folders of class folders, tf.data datasets."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tt_tflm.boards.episode import fit_samples
from tt_tflm.boards.input_range import InputRange, InputScaling, check_support
from tt_tflm.boards.sample_dtypes import as_samples
from tt_tflm.errors import InputError
from tt_tflm.files.image_file import SUFFIXES, read_image
from tt_tflm.files.npz_arrays import ArrayFile, open_arrays
from tt_tflm.files.regular_file import is_folder

Progress = Callable[[str, int, int], None]
_SHOWN = 5


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, each decoded when it is asked for.

    Attributes:
        name: where they come from, for errors and reports.
        labels: class of each image, int64 (N,), from 0 without a gap.
        classes: names of the classes.
        read: row -> the image, uint8 or float32 (H, W, C); other numbers are cast to float32.
        skipped: files that could not be decoded and were left out.
    """

    name: str
    labels: np.ndarray = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    read: Callable[[int], np.ndarray] = field(repr=False)
    skipped: tuple[str, ...] = ()

    def members(self) -> list[np.ndarray]:
        """Rows of every class, ascending."""
        order = np.argsort(self.labels, kind="stable")
        ends = np.cumsum(np.bincount(self.labels, minlength=len(self.classes)))
        return np.split(order, ends[:-1])

    def images(
        self, rows: Sequence[int], input_shape: tuple[int, ...], scaling: InputScaling = InputScaling()
    ) -> np.ndarray:
        """Images as a model takes them, float32 (len(rows), *input_shape): design as for episodes, each image by its
        own size.

        Raises:
            InputError: an image does not fit.
        """
        fitted = [fit_samples(f"{self.name}, image {row}", self._read(row)[None], input_shape, scaling) for row in rows]
        return np.concatenate(fitted) if fitted else np.zeros((0, *input_shape), np.float32)

    def check_scale(self, scaling: tuple[float, float]) -> None:
        """Refuses float32 images of another scale than the model's, or beyond the range that augmentation clamps to.

        Raises:
            InputError: they are.
        """
        if self._read(0).dtype == np.float32:
            # Their sizes may differ, and least and greatest value of them all tell enough.
            ends = [(image.min(), image.max()) for image in map(self._read, range(len(self.labels)))]
            check_support(self.name, np.array(ends, np.float32)[None, ..., None], InputRange.of(scaling))

    def _read(self, row: int) -> np.ndarray:
        # The warning names the set, so that it is the same for every image.
        name = f"{self.name}, image {row}"
        return as_samples(self.name, {name: self.read(row)})[name]


def load_images(
    source: Any, *, channels: int = 3, skip_corrupt: bool = False, progress: Progress | None = None
) -> ImageSet:
    """Labelled images from wherever they are.

    Args:
        source: an ``ImageSet``; (x, y) arrays; a ``tf.data.Dataset`` of (image, label), kept in memory; or a path:

            - ``.npz`` with ``x``, uint8 or float32 (N, H, W, C) or (N, H, W), and ``y``, integers (N,); ``names`` of
              the classes if wanted. Other numbers are cast to float32 with an ``InputWarning``, here and in the others;
            - ``.npz`` with ``jpeg``, the bytes of all files in a row (uint8), ``offset`` (N + 1,) and ``y``;
            - a folder with one folder of images for each class. Hidden files and files of other types are left alone.
        channels: of the model: 1 makes files grey, 3 makes them RGB (transparency is dropped).
        skip_corrupt: leave files out that cannot be decoded, instead of refusing them all.
        progress: called with what is going on, images checked and images in all.

    Raises:
        InputError: the source is not as described, has fewer than two classes, or has files that cannot be decoded; the
            message names the first of these and their number.
    """
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        if is_folder(path):
            return _from_folder(path, channels, skip_corrupt, progress)
        return _from_npz(path, channels, skip_corrupt, progress)
    if isinstance(source, tuple) and len(source) == 2:
        return _from_arrays("the data", np.asarray(source[0]), np.asarray(source[1]), None)
    if hasattr(source, "as_numpy_iterator"):
        return _from_dataset(source)
    raise InputError(
        "expected data as a path, (x, y) or a tf.data.Dataset of (image, label), received " + type(source).__name__
    )


def _from_npz(path: Path, channels: int, skip_corrupt: bool, progress: Progress | None) -> ImageSet:
    with open_arrays(path, "data") as file:
        arrays = {name: file.read(name) for name in ("x", "y", "jpeg", "offset") if name in file.names}
        names = _names(file)
    if "y" in arrays and "x" in arrays:
        return _from_arrays(f"data {path}", arrays["x"], arrays["y"], names)
    if {"y", "jpeg", "offset"} <= arrays.keys():
        return _from_bytes(f"data {path}", arrays, names, channels, skip_corrupt, progress)
    received = ", ".join(arrays) or "neither"
    raise InputError(f"data {path}: expected the arrays x and y, or jpeg, offset and y, received {received}")


def _names(file: ArrayFile) -> tuple[str, ...] | None:
    """Names of the classes, where they are text; they serve messages alone."""
    if "names" not in file.names:
        return None
    try:
        names = file.read("names")
    except InputError:
        return None
    return tuple(str(name) for name in names) if names.ndim == 1 and names.dtype.kind in "US" else None


def _from_arrays(name: str, x: np.ndarray, y: np.ndarray, names: tuple[str, ...] | None) -> ImageSet:
    if x.ndim not in (3, 4):
        raise InputError(f"{name}: expected x of uint8 or float32, (N, H, W, C), received {x.dtype} {x.shape}")
    x = as_samples(name, {f"{name}: x": x})[f"{name}: x"]
    images = x[..., None] if x.ndim == 3 else x
    labels, classes = _numbered(name, y, len(images), names)
    return ImageSet(name, labels, classes, images.__getitem__)


def _numbered(
    name: str, y: np.ndarray, images: int, names: tuple[str, ...] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(f"{name}: expected y of integers (N,), received {y.dtype} {y.shape}")
    if len(y) != images:
        raise InputError(f"{name}: expected one label for each of {images} images, received {len(y)}")
    values, labels = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise InputError(f"{name}: expected at least two classes, received {len(values)}")
    known = names is not None and values[0] >= 0 and values[-1] < len(names)
    return labels.astype(np.int64), tuple(names[v] if known else str(v) for v in values)


def _from_bytes(
    name: str,
    arrays: dict[str, np.ndarray],
    names: tuple[str, ...] | None,
    channels: int,
    skip_corrupt: bool,
    progress: Progress | None,
) -> ImageSet:
    jpeg, offset = arrays["jpeg"], arrays["offset"]
    bad = jpeg.dtype != np.uint8 or jpeg.ndim != 1 or offset.ndim != 1 or offset.dtype.kind not in "iu"
    if (
        bad
        or len(offset) < 2
        or (np.diff(offset.astype(np.int64)) < 0).any()
        or offset[0] < 0
        or offset[-1] > len(jpeg)
    ):
        raise InputError(
            f"{name}: expected jpeg of bytes and offset (N + 1,) that rises within it, "
            f"received {jpeg.dtype} {jpeg.shape} and {offset.dtype} {offset.shape}"
        )
    starts = offset.astype(np.int64)
    labels, _ = _numbered(name, arrays["y"], len(starts) - 1, names)

    def read(row: int) -> np.ndarray:
        return read_image(jpeg[starts[row] : starts[row + 1]].tobytes(), channels)

    titles = [f"image {row}" for row in range(len(labels))]
    kept, skipped = _checked(name, titles, read, skip_corrupt, progress)
    labels, classes = _numbered(name, arrays["y"][kept], len(kept), names)
    return ImageSet(name, labels, classes, lambda row: read(int(kept[row])), skipped)


def _from_folder(folder: Path, channels: int, skip_corrupt: bool, progress: Progress | None) -> ImageSet:
    name = f"data {folder}"
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = [(path, label) for label, part in enumerate(classes) for path in _image_files(part)]
    if len({label for _, label in files}) < 2:
        raise InputError(
            f"{name}: expected at least two folders of images ({', '.join(SUFFIXES)}), one for each class, received "
            f"{len({label for _, label in files})}"
        )
    paths = [path for path, _ in files]

    def read(row: int) -> np.ndarray:
        return read_image(paths[row], channels)

    kept, skipped = _checked(name, [str(path) for path in paths], read, skip_corrupt, progress)
    y = np.array([files[row][1] for row in kept], np.int64)
    labels, titles = _numbered(name, y, len(kept), tuple(path.name for path in classes))
    return ImageSet(name, labels, titles, lambda row: read(int(kept[row])), skipped)


def _image_files(folder: Path) -> Iterable[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _checked(
    name: str, titles: Sequence[str], read: Callable[[int], np.ndarray], skip: bool, progress: Progress | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows that can be decoded, and the titles of the others. All are tried: one met in the middle of a training would
    end it."""
    if importlib.util.find_spec("PIL") is None:
        raise InputError(f"{name}: expected Pillow to decode images with, received none: pip install pillow")
    kept, corrupt, reason = [], [], ""
    for row, title in enumerate(titles):
        try:
            read(row)
            kept.append(row)
        except InputError as error:
            reason = reason or str(error)[:200]
            corrupt.append(title)
        if progress and row % 100 == 0:
            progress("checking images", row, len(titles))
    if corrupt and not skip:
        listed = ", ".join(corrupt[:_SHOWN]) + (f" and {len(corrupt) - _SHOWN} more" if len(corrupt) > _SHOWN else "")
        raise InputError(
            f"{name}: expected images that can be decoded, received {len(corrupt)} of {len(titles)} that cannot "
            f"({reason}): {listed}; mend or remove them, or skip them (--skip-corrupt)"
        )
    return np.array(kept, np.int64), tuple(corrupt)


def _from_dataset(dataset: Any) -> ImageSet:
    images, labels = [], []
    for element in dataset.as_numpy_iterator():
        if not isinstance(element, tuple) or len(element) != 2:
            raise InputError(f"dataset: expected elements (image, label), received {type(element).__name__}")
        image, label = np.asarray(element[0]), np.asarray(element[1])
        if image.ndim != 3 or label.ndim != 0:
            raise InputError(
                f"dataset: expected single images, uint8 or float32 (H, W, C), with one label each, received "
                f"{image.dtype} {image.shape} and a label {label.shape}: unbatch it"
            )
        images.append(as_samples("dataset", {f"dataset, image {len(images)}": image}).popitem()[1])
        labels.append(label)
    if not images:
        raise InputError("dataset: expected at least one image, received none")
    numbers, classes = _numbered("dataset", np.array(labels), len(images), None)
    return ImageSet("dataset", numbers, classes, images.__getitem__)
