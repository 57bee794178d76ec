# SPDX-License-Identifier: Apache-2.0
"""Accuracy of an episode, means with confidence intervals, and differences on the same episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tt_tflm.meta.prototypical import SMALLEST_NORM

# Two-sided 95% quantiles of Student's t for 1 to 30 degrees of freedom; beyond, a series is exact to 1e-4.
_T95 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip
_NORMAL95 = 1.959964
# Of ops/include/tt_episode.h.
SPREAD, TIGHT, LEAST_RATE = 0.4, 0.55, 0.03


def student_t95(degrees: int) -> float:
    """Two-sided 95% quantile of Student's t distribution."""
    if degrees <= len(_T95):
        return _T95[degrees - 1]
    z = _NORMAL95
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


def mean_and_ci95(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and half the width of its 95% interval (Student's t); NaN with a single value."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return float(array.mean()), math.nan
    return float(array.mean()), float(student_t95(len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))


def nearest_prototype(
    support: np.ndarray, support_labels: np.ndarray, query: np.ndarray, query_labels: np.ndarray
) -> float:
    """Share of the queries whose embedding has the largest cosine with the mean support embedding of its class.

    Args:
        support: (S, E).
        support_labels: integers (S,) from 0 without a gap.
        query: (Q, E).
        query_labels: integers (Q,).
    """
    means = np.stack([support[support_labels == c].mean(axis=0) for c in range(int(support_labels.max()) + 1)])
    return float((np.argmax(_unit(query) @ _unit(means).T, axis=1) == query_labels).mean())


def tightness(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """How alike the samples of a class are, as ``tt_episode_tightness`` has it: the mean cosine of two embeddings of
    one class, over all pairs of a class and then over the classes with at least two samples; 1 without any.

    Args:
        embeddings: (N, E).
        labels: integers (N,).
    """
    vectors = _unit(embeddings.astype(np.float64))
    means = []
    for label in np.unique(labels):
        group = vectors[labels == label]
        if len(group) > 1:
            cosines = group @ group.T
            means.append((cosines.sum() - np.trace(cosines)) / (len(group) * (len(group) - 1)))
    return float(np.mean(means)) if means else 1.0


def paced_rate(value: float) -> float:
    """The share of the learning rate that an adaptation takes by the tightness of its support set, as
    ``tt_episode_rate`` has it."""
    return min(1.0, max(LEAST_RATE, (value - SPREAD) / (TIGHT - SPREAD)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), SMALLEST_NORM)
