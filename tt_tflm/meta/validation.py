# SPDX-License-Identifier: Apache-2.0
"""Validation on classes that training never sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tt_tflm.boards.input_range import InputScaling
from tt_tflm.errors import InputError
from tt_tflm.meta.episodes import Sampling
from tt_tflm.meta.images import ImageSet
from tt_tflm.meta.statistics import mean_and_ci95, nearest_prototype

_MOST_IMAGES = 40
_EPISODES = 200
_WAYS, _SHOTS, _QUERIES = 5, 5, 10
_BATCH = 50


def hold_out(images: ImageSet, share: float, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Classes to train on and classes to validate on, as rows of each.

    Args:
        images: with their labels.
        share: of the classes held out, at least two where it is above 0.
        seed: of which.

    Raises:
        InputError: no two classes would be left to train on.
    """
    members = images.members()
    if share == 0:
        return members, []
    count = max(2, round(share * len(members)))
    if len(members) - count < 2:
        raise InputError(
            f"{images.name}: expected at least 4 classes to hold {count} out for validation, received {len(members)}: "
            "add classes, or train without validation (0)"
        )
    order = np.random.default_rng([seed, 0]).permutation(len(members))
    held_out = sorted(order[:count].tolist())
    return [rows for c, rows in enumerate(members) if c not in held_out], [members[c] for c in held_out]


class Validation:
    """The same episodes each time: up to 200 of up to 5 ways and 5 shots, from up to 40 images of each class.

    Raises:
        InputError: a class has fewer than two images.
    """

    def __init__(
        self, images: ImageSet, held_out: list[np.ndarray], shape: tuple[int, ...], scaling: InputScaling, seed: int
    ) -> None:
        random = np.random.default_rng([seed, 2])
        rows = [np.sort(random.permutation(members)[:_MOST_IMAGES]) for members in held_out]
        least = min(len(part) for part in rows)
        shots = min(_SHOTS, least // 2)
        sampling = Sampling(min(_WAYS, len(rows)), max(1, shots), max(1, min(_QUERIES, least - shots)))
        sampling.check(images, rows)
        self._images, self._shape, self._scaling = images, shape, scaling
        self._rows = np.concatenate(rows)
        places = np.split(np.arange(len(self._rows)), np.cumsum([len(part) for part in rows])[:-1])
        self._episodes = [sampling.draw(places, random) for _ in range(_EPISODES)]

    def accuracy(self, model: Callable[[np.ndarray], Any]) -> tuple[float, float]:
        """Mean share of right answers over the episodes, and half its 95% interval.

        Args:
            model: images, float32 (N, *shape), to embeddings (N, ...).
        """
        parts = []
        for first in range(0, len(self._rows), _BATCH):
            images = self._images.images(self._rows[first : first + _BATCH].tolist(), self._shape, self._scaling)
            parts.append(np.asarray(model(images)).reshape(len(images), -1))
        embeddings = np.concatenate(parts)
        shares = []
        for episode in self._episodes:
            (support, support_y), (query, query_y) = episode.flat("support"), episode.flat("query")
            shares.append(nearest_prototype(embeddings[support], support_y, embeddings[query], query_y))
        return mean_and_ci95(shares)
