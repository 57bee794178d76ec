# SPDX-License-Identifier: Apache-2.0
"""Data to try things with: scikit-learn's handwritten digits, which the starter model has never seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.files.new_folder import new_folder

SIDE = 32
WAYS, SHOTS, QUERIES = 5, 5, 15
EPISODE, IMAGES = "episode.npz", "images.npz"


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 digits of scikit-learn's data set: grey images, uint8 (N, 32, 32, 1), enlarged from 8 x 8, and their
    labels, int64 (N,), 0 to 9.

    Raises:
        InputError: scikit-learn or Pillow is not installed.
    """
    try:
        from PIL import Image
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError(
            f"sample data: expected scikit-learn and Pillow, received no {error.name}: pip install 'tt-tflm[demo]'"
        ) from None
    content = load_digits()
    pixels = np.round(content.images * (255 / 16)).astype(np.uint8)
    scaled = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for image in pixels]
    return np.stack([np.asarray(image) for image in scaled])[..., None], content.target.astype(np.int64)


def digit_episode(seed: int) -> dict[str, Any]:
    """An episode of five digits drawn by ``seed``: five samples of each to learn from, fifteen to be judged by. What is
    returned are the arrays of an episode's file, ``support_x``, ``support_y``, ``query_x``, ``query_y``.

    Raises:
        InputError: scikit-learn or Pillow is not installed.
    """
    x, y = digits()
    draw = np.random.default_rng(seed)
    support: list[int] = []
    query: list[int] = []
    for digit in draw.choice(10, WAYS, replace=False):
        rows = draw.choice(np.flatnonzero(y == digit), SHOTS + QUERIES, replace=False)
        support.extend(rows[:SHOTS])
        query.extend(rows[SHOTS:])
    return {
        "support_x": x[support],
        "support_y": np.repeat(np.arange(WAYS), SHOTS),
        "query_x": x[query],
        "query_y": np.repeat(np.arange(WAYS), QUERIES),
    }


def write_sample_data(folder: str | Path, seed: int) -> None:
    """Write ``episode.npz``, an episode drawn by ``seed``, and ``images.npz``, all digits as labelled images, to a
    folder that does not exist yet or is empty; on any error nothing is left behind.

    Raises:
        InputError: the folder is not empty or cannot be written, or scikit-learn or Pillow is not installed.
    """
    with new_folder(folder) as draft:
        x, y = digits()
        np.savez_compressed(draft / IMAGES, x=x, y=y)
        np.savez_compressed(draft / EPISODE, **digit_episode(seed))
