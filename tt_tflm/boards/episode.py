# SPDX-License-Identifier: Apache-2.0
"""Few-shot episodes: labelled samples to learn from, and others to be judged by, read from .npz files."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from tt_tflm.boards.input_range import InputRange, InputScaling, check_image_scale
from tt_tflm.errors import InputError

# What numpy, zipfile and zlib raise for files that are damaged, foreign, encrypted or larger than memory.
_UNREADABLE = (
    EOFError,
    MemoryError,
    OSError,
    RuntimeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
)
_ARRAYS = ("support_x", "support_y", "query_x", "query_y")


@dataclass(frozen=True, repr=False)
class Episode:
    """A few-shot task, ready for a board.

    Attributes:
        support_x: samples to learn from, float32 (N,) + input shape, finite.
        support_y: their classes, int64 (N,); every class from 0 to `classes` - 1 occurs.
        query_x: samples to be judged by, float32 (M,) + input shape, finite.
        query_y: their classes, int64 (M,), below `classes`.
    """

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray

    def __repr__(self) -> str:
        return f"Episode(support {self.support_x.shape}, query {self.query_x.shape}, {self.classes} classes)"

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.support_y.max()) + 1


def load_episode(
    path: str | PathLike[str],
    input_shape: tuple[int, ...],
    input_scaling: tuple[float, float] = InputScaling(),
) -> Episode:
    """Reads an episode and fits it to a model's input.

    uint8 images are resized bilinearly (half-pixel centres, no antialiasing: what `tf.image.resize` does by default),
    a single channel is repeated where the model takes three, colour becomes grey (ITU-R 601) where it takes one, and
    pixels are scaled. float32 samples are taken as they are.

    Args:
        path: an .npz file with `support_x`, `support_y`, `query_x` and `query_y`; x is uint8 or float32 (N, H, W, C),
            y integer (N,). Object arrays are refused.
        input_shape: of one sample, such as (H, W, C).
        input_scaling: (scale, shift) for uint8 images.

    Raises:
        InputError: the file or an array in it is not as described, or float32 images are not scaled as the model's.
    """
    arrays = _read(Path(path), "episode", _ARRAYS)
    support_y = _labels(arrays, "support")
    query_y = _labels(arrays, "query")
    _check_classes(support_y, query_y)
    samples = {
        name: fit_samples(
            f"episode array {name}_x", arrays[f"{name}_x"], tuple(input_shape), InputScaling(*input_scaling)
        )
        for name in ("support", "query")
    }
    if arrays["support_x"].dtype == np.float32:
        check_image_scale("episode array support_x", samples["support"], InputRange.of(input_scaling))
    return Episode(samples["support"], support_y, samples["query"], query_y)


def load_samples(path: str | PathLike[str]) -> np.ndarray:
    """Reads samples without labels, as they are: ``x`` of an .npz file, or the ``support_x`` of an episode.

    Raises:
        InputError: the file is not as described.
    """
    arrays = _read(Path(path), "samples", ("x", "support_x"), every=False)
    return next(iter(arrays.values()))


def _read(path: Path, what: str, names: tuple[str, ...], *, every: bool = True) -> dict[str, np.ndarray]:
    """The arrays of those names, or the first that is there."""
    if not path.is_file():
        raise InputError(f"{what}: expected an .npz file, received {path}, which is no file")
    try:
        # Opened here: given a path, numpy leaves the file open when it is not what it should be.
        with path.open("rb") as raw:
            return _members(f"{what} {path}", what, np.load(raw, allow_pickle=False), names, every)
    except InputError:
        raise
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{what} {path}: expected an .npz file of plain arrays, received one that cannot be read: {reason}"
        ) from error


def _members(file_name: str, what: str, file: object, names: tuple[str, ...], every: bool) -> dict[str, np.ndarray]:
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise InputError(f"{file_name}: expected an .npz file, received a single array: save with numpy.savez")
    found = [name for name in names if name in file.files]
    if len(found) < (len(names) if every else 1):
        wanted = f"the arrays {', '.join(names)}" if every else f"an array {' or '.join(names)}"
        raise InputError(f"{file_name}: expected {wanted}, received {', '.join(file.files) or 'none'}")
    return {name: _member(file, what, name) for name in (found if every else found[:1])}


def _member(file: np.lib.npyio.NpzFile, what: str, name: str) -> np.ndarray:
    try:
        return np.asarray(file[name])
    except ValueError as error:
        if "pickle" in str(error):
            raise InputError(
                f"{what} array {name}: expected plain numbers, received an object array: give all samples one shape"
            ) from error
        raise


def _labels(arrays: dict[str, np.ndarray], part: str) -> np.ndarray:
    name = f"{part}_y"
    labels, samples = arrays[name], arrays[f"{part}_x"]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"episode array {name}: expected integers (N,), received {labels.dtype} {labels.shape}")
    if samples.ndim == 0 or len(samples) != len(labels):
        received = len(samples) if samples.ndim else "a single number"
        raise InputError(f"episode array {part}_x: expected {len(labels)} samples, as {name} has, received {received}")
    if len(labels) == 0:
        raise InputError(f"episode array {name}: expected at least one sample, received none")
    return labels.astype(np.int64)


def _check_classes(support: np.ndarray, query: np.ndarray) -> None:
    classes = np.unique(support)
    if classes[0] != 0 or classes[-1] != len(classes) - 1:
        shown = ", ".join(str(label) for label in classes[:10]) + (", ..." if len(classes) > 10 else "")
        raise InputError(f"episode array support_y: expected classes 0, 1, 2 ... without a gap, received {shown}")
    if len(classes) < 2:
        raise InputError("episode array support_y: expected at least two classes, received one")
    strangers = np.setdiff1d(query, classes)
    if len(strangers):
        raise InputError(
            f"episode array query_y: expected classes of support_y, 0 to {len(classes) - 1}, received {strangers[0]}"
        )


def fit_samples(name: str, samples: np.ndarray, input_shape: tuple[int, ...], scaling: InputScaling) -> np.ndarray:
    """Fits samples to a model's input as ``load_episode`` does.

    Args:
        name: what the samples are, for errors.
        samples: uint8 images or float32 samples, (N, H, W, C).
        input_shape: of one sample.
        scaling: for uint8 images.

    Returns:
        float32 (N, *input_shape).

    Raises:
        InputError: the samples are neither, or do not fit.
    """
    if samples.dtype == np.float32:
        if samples.shape[1:] != input_shape:
            raise InputError(
                f"{name}: expected float32 samples {input_shape}, received {samples.shape[1:]}: "
                "resize them, or save images as uint8"
            )
        if not np.isfinite(samples).all():
            raise InputError(f"{name}: expected finite values, received NaN or infinity")
        return np.ascontiguousarray(samples)
    if samples.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8 or float32, received {samples.dtype}")
    if samples.shape[1:] != input_shape:
        samples = _fit_images(name, samples, input_shape)
    return (samples.astype(np.float64) * scaling.scale + scaling.shift).astype(np.float32)


def _fit_images(name: str, images: np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    if len(input_shape) != 3:
        raise InputError(f"{name}: expected samples {input_shape}, received {images.shape[1:]}")
    height, width, channels = input_shape
    if images.ndim != 4 or 0 in images.shape:
        raise InputError(f"{name}: expected images (N, H, W, C), received {images.shape}")
    received = images.shape[3]
    if (received, channels) == (1, 3):
        images = np.repeat(images, 3, axis=3)
    elif (received, channels) == (3, 1):
        images = _grey(images)
    elif received != channels:
        raise InputError(
            f"{name}: expected images with as many channels as the model takes, {channels}, received {received}"
        )
    return resize_bilinear(images, height, width)


def _grey(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) to (N, H, W, 1), number for number as Pillow makes files grey (ITU-R 601)."""
    luma = images.astype(np.int64) @ np.array([19595, 38470, 7471])
    return ((luma + 0x8000) >> 16).astype(np.uint8)[..., None]


def resize_bilinear(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes with half-pixel centres and without antialiasing.

    Args:
        images: any numeric dtype, (N, H, W, C).
        height, width: of the result, in pixels.

    Returns:
        float32 (N, height, width, C), in the range of the input.
    """
    # Not tf.image.resize, which does the same: importing TensorFlow takes longer than simulating an episode.
    above, below, down = _taps(images.shape[1], height)
    left, right, across = _taps(images.shape[2], width)
    source = images.astype(np.float32)
    across, down = across[:, None], down[:, None, None]
    rows = source[:, :, left] + (source[:, :, right] - source[:, :, left]) * across
    return rows[:, above] + (rows[:, below] - rows[:, above]) * down


def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each output index its two input indices and the share of the second."""
    position = (np.arange(target, dtype=np.float32) + 0.5) * np.float32(source / target) - np.float32(0.5)
    first = np.floor(position)
    share = position - first
    return (
        np.clip(first, 0, source - 1).astype(np.intp),
        np.clip(first + 1, 0, source - 1).astype(np.intp),
        share.astype(np.float32),
    )
