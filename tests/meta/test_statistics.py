# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from tt_tflm.meta.statistics import mean_and_ci95, nearest_prototype, student_t95


@pytest.mark.parametrize(
    # From a table of Student's t.
    ("degrees", "quantile"),
    [(1, 12.706), (9, 2.262), (30, 2.042), (31, 2.0395), (49, 2.0096), (99, 1.9842), (10**6, 1.960)],
)
def test_quantiles(degrees: int, quantile: float) -> None:
    assert student_t95(degrees) == pytest.approx(quantile, abs=6e-4)


def test_interval_of_known_numbers() -> None:
    mean, half = mean_and_ci95([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    assert half == pytest.approx(2.7764 * math.sqrt(2.5 / 5))
    assert math.isnan(mean_and_ci95([0.5])[1])


def test_intervals_hold_the_mean_in_95_of_100_samples() -> None:
    draw = np.random.default_rng(0)
    hits = 0
    for _ in range(4000):
        mean, half = mean_and_ci95(draw.normal(3.0, 2.0, 10))
        hits += abs(mean - 3.0) <= half
    assert hits / 4000 == pytest.approx(0.95, abs=0.012)


def test_nearest_prototype_goes_by_the_angle() -> None:
    support = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 0.1]])
    query = np.array([[5.0, 4.0], [0.0, 9.0], [4.0, 5.0]])
    assert nearest_prototype(support, np.array([0, 0, 1]), query, np.array([0, 1, 1])) == 1.0
    assert nearest_prototype(support, np.array([0, 0, 1]), query, np.array([1, 1, 1])) == pytest.approx(2 / 3)
