# SPDX-License-Identifier: Apache-2.0
"""The device runtime's functions for an adaptation, out of the library that holds the TFLM ops.

A board of the C backend calls them itself; with TFLM the firmware does, and here the simulation.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from tt_tflm.boards.simulated.protocol import Status, status_message
from tt_tflm.boards.simulated.task import Augment
from tt_tflm.boards.simulated.tflm_wheel import ops_library
from tt_tflm.errors import DeviceError

_POINTER, _UINT, _FLOAT = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_float


class _Random(ctypes.Structure):
    _fields_ = (("state", ctypes.c_uint64), ("increment", ctypes.c_uint64))


class _Image(ctypes.Structure):
    _fields_ = (("height", _UINT), ("width", _UINT), ("channels", _UINT))


class _Augment(ctypes.Structure):
    _fields_ = (
        ("min_area", _FLOAT), ("flip", ctypes.c_bool), ("brightness", _FLOAT), ("contrast", _FLOAT), ("low", _FLOAT),
        ("high", _FLOAT),
    )  # fmt: skip


class _Prototypes(ctypes.Structure):
    _fields_ = (
        ("sums", _POINTER), ("counts", _POINTER), ("classes", _UINT), ("elements", _UINT), ("temperature", _FLOAT),
    )  # fmt: skip


class _Table(ctypes.Structure):
    """``tt_wheel_runtime_t`` of ops/tflm/wheel/tt_wheel_runtime.cc."""

    _fields_ = (
        ("random_seed", ctypes.CFUNCTYPE(None, _POINTER, _UINT, _UINT, _UINT)),
        ("augment", ctypes.CFUNCTYPE(None, *[_POINTER] * 5)),
        ("episode_scratch_floats", ctypes.CFUNCTYPE(ctypes.c_size_t, _UINT, _UINT)),
        (
            "episode_gradient",
            ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, *[_UINT] * 4, _FLOAT, _POINTER, _POINTER),
        ),
        ("episode_tightness", ctypes.CFUNCTYPE(_FLOAT, _POINTER, _POINTER, *[_UINT] * 3, _POINTER)),
        ("episode_rate", ctypes.CFUNCTYPE(_FLOAT, _FLOAT)),
        ("prototypes_loss", ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _UINT, _POINTER, _POINTER, _POINTER)),
    )


@functools.cache
def _table() -> _Table:
    return _Table.in_dll(ops_library(), "tt_wheel_runtime")


def pseudo_query(x: np.ndarray, options: Augment, seed: int, iteration: int, index: int) -> np.ndarray:
    """A randomly changed copy of a sample (ops/include/tt_augment.h).

    Args:
        x: float32 (H, W, C), contiguous; a signal (length, C) counts as an image of one row, a vector as a signal of
            one channel.
        options: how far it may be from the sample.
        seed, iteration, index: which of the copies it is.

    Returns:
        float32, of the shape of x.
    """
    shape = {1: (1, x.shape[0], 1), 2: (1, *x.shape)}.get(x.ndim, x.shape)
    random, image, out = _Random(), _Image(*shape), np.empty_like(x)
    given = _Augment(
        options.min_area, options.flip, options.brightness, options.contrast, options.low, options.high
    )  # fmt: skip
    table = _table()
    table.random_seed(ctypes.addressof(random), seed, iteration, index)
    table.augment(
        x.ctypes.data, out.ctypes.data, ctypes.addressof(image), ctypes.addressof(given), ctypes.addressof(random)
    )
    return out


def episode_gradient(
    embeddings: np.ndarray, labels: np.ndarray, support: int, classes: int, temperature: float
) -> tuple[np.float32, np.ndarray]:
    """Loss of an episode and its exact gradient (ops/include/tt_episode.h).

    Args:
        embeddings: float32 (samples, elements), the support first, then the queries.
        labels: uint32 (samples,).
        support: how many are support.
        classes: of the build.
        temperature: of the loss.

    Returns:
        The loss, and the gradient with respect to every embedding.

    Raises:
        DeviceError: a value is not finite.
    """
    gradients, table, loss = embeddings.copy(), _table(), ctypes.c_float()
    samples, elements = embeddings.shape
    scratch = np.empty(table.episode_scratch_floats(classes, elements), np.float32)
    status = table.episode_gradient(
        gradients.ctypes.data, labels.ctypes.data, support, samples - support, classes, elements, temperature,
        scratch.ctypes.data, ctypes.addressof(loss),
    )  # fmt: skip
    return _checked(status, loss), gradients


def constant_gradient(
    embedding: np.ndarray, label: int, sums: np.ndarray, counts: np.ndarray, temperature: float
) -> tuple[np.float32, np.ndarray]:
    """Loss of a sample and its gradient with the prototypes held constant (ops/include/tt_prototype.h).

    Args:
        embedding: float32 (elements,).
        label: of the sample.
        sums, counts: the prototypes, float32 (classes, elements) and int32 (classes,).
        temperature: of the loss.

    Returns, raises:
        As `episode_gradient`.
    """
    gradient, scores, loss = np.empty_like(embedding), np.empty(len(counts), np.float32), ctypes.c_float()
    prototypes = _Prototypes(sums.ctypes.data, counts.ctypes.data, *sums.shape, temperature)
    status = _table().prototypes_loss(
        ctypes.addressof(prototypes), embedding.ctypes.data, label, scores.ctypes.data, gradient.ctypes.data,
        ctypes.addressof(loss),
    )  # fmt: skip
    return _checked(status, loss), gradient


def pace(embeddings: np.ndarray, labels: np.ndarray, classes: int) -> np.float32:
    """The share of the learning rate that an adaptation takes by the tightness of its support set
    (ops/include/tt_episode.h).

    Args:
        embeddings: of the support, float32 (samples, elements).
        labels: uint32 (samples,).
        classes: of the build.
    """
    samples, elements = embeddings.shape
    scratch = np.empty(elements, np.float32)
    tightness = _table().episode_tightness(
        embeddings.ctypes.data, labels.ctypes.data, samples, classes, elements, scratch.ctypes.data
    )
    return np.float32(_table().episode_rate(tightness))


def _checked(status: int, loss: ctypes.c_float) -> np.float32:
    if status != Status.OK:
        raise DeviceError(f"adapt: {status_message(Status(status))}")
    return np.float32(loss.value)
