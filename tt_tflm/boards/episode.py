# SPDX-License-Identifier: Apache-2.0
"""Few-shot episodes: labelled samples to learn from, and others to be judged by, read from .npz files."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import numpy as np

from tt_tflm.boards.input_range import InputRange, InputScaling, check_image_scale
from tt_tflm.boards.sample_dtypes import as_samples
from tt_tflm.errors import InputError
from tt_tflm.files.npz_arrays import open_arrays

_LARGEST_LABEL = 2**31 - 1
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
    bounds: tuple[float, float] | None = None,
) -> Episode:
    """Reads an episode and fits it to a model's input.

    uint8 images are resized bilinearly (half-pixel centres, no antialiasing: what `tf.image.resize` does by default),
    a single channel is repeated where the model takes three, colour becomes grey (ITU-R 601) where it takes one, and
    pixels are scaled. float32 samples are taken as they are, and so are other numbers, which are cast to float32 with
    an `InputWarning`.

    Args:
        path: an .npz file with `support_x`, `support_y`, `query_x` and `query_y`; x is uint8, float32 or what can be
            cast to it, (N, H, W, C), y integer (N,). Object arrays are refused.
        input_shape: of one sample, such as (H, W, C).
        input_scaling: (scale, shift) for uint8 images.
        bounds: of the model's input; None for those of scaled pixels.

    Raises:
        InputError: the file or an array in it is not as described, or images are not scaled as the model's.
    """
    arrays = _read(path, "episode", _ARRAYS)
    support_y = _labels(arrays, "support")
    query_y = _labels(arrays, "query")
    _check_classes(support_y, query_y)
    given = {f"episode array {name}": arrays[name] for name in ("support_x", "query_x")}
    support, query = (
        fit_samples(name, array, tuple(input_shape), InputScaling(*input_scaling))
        for name, array in as_samples(f"episode {path}", given).items()
    )
    scaled = InputRange.of(input_scaling)
    # Pixels lie where they are scaled to.
    if arrays["support_x"].dtype != np.uint8 or (bounds is not None and tuple(bounds) != scaled):
        check_image_scale("episode array support_x", support, bounds or scaled)
    return Episode(support, support_y, query, query_y)


def load_samples(path: str | PathLike[str]) -> np.ndarray:
    """Reads samples without labels, as they are: ``x`` of an .npz file, or the ``support_x`` of an episode.

    Raises:
        InputError: the file is not as described.
    """
    arrays = _read(path, "samples", ("x", "support_x"), every=False)
    return next(iter(arrays.values()))


def _read(path: str | PathLike[str], what: str, names: tuple[str, ...], *, every: bool = True) -> dict[str, np.ndarray]:
    """The arrays of those names, or the first that is there."""
    with open_arrays(path, what) as file:
        found = [name for name in names if name in file.names]
        if len(found) < (len(names) if every else 1):
            wanted = f"the arrays {', '.join(names)}" if every else f"an array {' or '.join(names)}"
            raise InputError(f"{what} {path}: expected {wanted}, received {', '.join(file.names) or 'none'}")
        return {name: file.read(name) for name in (found if every else found[:1])}


def _labels(arrays: dict[str, np.ndarray], part: str) -> np.ndarray:
    name = f"{part}_y"
    labels, samples = arrays[name], arrays[f"{part}_x"]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(f"episode array {name}: expected integers (N,), received {labels.dtype} {labels.shape}")
    if samples.ndim == 0 or len(samples) != len(labels):
        received = len(samples) if samples.ndim else "a single number"
        raise InputError(f"episode array {part}_x: expected {len(labels)} samples, as {name} has, received {received}")
    if len(labels) == 0:
        raise InputError(f"episode array {name}: expected at least one sample, received none")
    if labels.max() > _LARGEST_LABEL:
        raise InputError(f"episode array {name}: expected classes up to {_LARGEST_LABEL:,}, received {labels.max()}")
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
        samples: uint8 images, or float32 samples or what is cast to them, (N, H, W, C).
        input_shape: of one sample.
        scaling: for uint8 images.

    Returns:
        float32 (N, *input_shape).

    Raises:
        InputError: the samples are neither, or do not fit.
    """
    samples = as_samples(name, {name: samples})[name]
    if samples.dtype == np.float32:
        if samples.shape[1:] != input_shape:
            raise InputError(
                f"{name}: expected float32 samples {input_shape}, received {samples.shape[1:]}: "
                + (_missing_axis(samples.shape, input_shape) or "resize them, or save images as uint8")
            )
        if not np.isfinite(samples).all():
            raise InputError(f"{name}: expected finite values, received NaN or infinity")
        return np.ascontiguousarray(samples)
    _check_images(name, samples, input_shape)
    fitted = np.empty((len(samples), *input_shape), np.float32)
    for sample, target in zip(
        samples, fitted, strict=True
    ):  # one by one: in float64 all would take eight times as much
        image = sample if sample.shape == input_shape else _fit_images(sample[None], input_shape)[0]
        target[...] = image.astype(np.float64) * scaling.scale + scaling.shift
    return fitted


def _check_images(name: str, images: np.ndarray, input_shape: tuple[int, ...]) -> None:
    """Refuses uint8 samples that neither are of the model's input shape nor images that become so."""
    if images.shape[1:] == input_shape:
        return
    cure = _missing_axis(images.shape, input_shape)
    if len(input_shape) != 3:
        cure = f": {cure}" if cure else ""
        raise InputError(f"{name}: expected uint8 samples {input_shape}, received {images.shape[1:]}{cure}")
    if images.ndim != 4 or 0 in images.shape:
        cure = cure or "give all images of one shape, with an axis of channels"
        raise InputError(f"{name}: expected uint8 images (N, H, W, C), received {images.shape}: {cure}")
    received, channels = images.shape[3], input_shape[2]
    if (received, channels) not in ((1, 3), (3, 1)) and received != channels:
        raise InputError(
            f"{name}: expected images with as many channels as the model takes, {channels}, received {received}"
        )


def _missing_axis(shape: tuple[int, ...], input_shape: tuple[int, ...]) -> str:
    """What to do where all that samples lack is the axis of a single channel; else nothing."""
    lacks = input_shape[-1] == 1 and len(shape) == len(input_shape)
    return "add the axis of channels (x[..., None])" if lacks else ""


def _fit_images(images: np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    height, width, channels = input_shape
    if (images.shape[3], channels) == (1, 3):
        images = np.repeat(images, 3, axis=3)
    elif (images.shape[3], channels) == (3, 1):
        images = _grey(images)
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
