# SPDX-License-Identifier: Apache-2.0
"""How alike the samples of a class are, and the share of the learning rate that follows from it."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.boards.simulated.toolchain import find_compiler
from tt_tflm.devices import get_profile
from tt_tflm.meta.statistics import LEAST_RATE, SPREAD, TIGHT, paced_rate, tightness

OPS = Path(__file__).parents[2] / "ops"
SOURCES = [OPS / "src" / f"tt_{name}.c" for name in ("episode", "prototypes", "softmax_cross_entropy", "all_finite")]
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic", "-O2", "-fPIC", "-shared")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    target = tmp_path_factory.mktemp("episode") / "episode.so"
    compiler = find_compiler(get_profile("host"))
    subprocess.run([compiler, *FLAGS, f"-I{OPS / 'include'}", *map(str, SOURCES), "-o", str(target), "-lm"], check=True)
    loaded = ctypes.CDLL(str(target))
    loaded.tt_episode_tightness.restype = loaded.tt_episode_rate.restype = ctypes.c_float
    return loaded


def in_c(library: ctypes.CDLL, embeddings: np.ndarray, labels: list[int], classes: int) -> float:
    count, elements = embeddings.shape
    given = np.ascontiguousarray(embeddings, np.float32)
    numbers = np.array(labels, np.uint32)
    scratch = np.full(elements + 2, 7.0, np.float32)
    result = library.tt_episode_tightness(
        ctypes.c_void_p(given.ctypes.data),
        ctypes.c_void_p(numbers.ctypes.data),
        *map(ctypes.c_uint32, (count, classes, elements)),
        ctypes.c_void_p(scratch[1:].ctypes.data),
    )
    assert scratch[0] == scratch[-1] == 7.0
    return result


def by_pairs(embeddings: np.ndarray, labels: list[int]) -> float:
    classes = []
    for label in sorted(set(labels)):
        members = [e / np.linalg.norm(e) for e, own in zip(embeddings, labels, strict=True) if own == label]
        pairs = [float(a @ b) for i, a in enumerate(members) for b in members[:i]]
        classes += [np.mean(pairs)] if pairs else []
    return float(np.mean(classes))


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_mean_cosine_of_pairs(library: ctypes.CDLL, seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels = [0, 3, 1, 0, 1, 1, 0, 4, 3, 0]
    embeddings = draw.normal(0.5, 1.0, (len(labels), 7))
    expected = by_pairs(embeddings, labels)
    assert in_c(library, embeddings, labels, 6) == pytest.approx(expected, abs=1e-5)
    assert tightness(embeddings, np.array(labels)) == pytest.approx(expected, abs=1e-6)


def test_ends(library: ctypes.CDLL) -> None:
    same = np.tile(np.array([[1.0, 2.0, 3.0]]), (4, 1))
    assert in_c(library, same, [0, 0, 1, 1], 2) == pytest.approx(1.0, abs=1e-6)
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert in_c(library, opposite, [0, 0], 1) == pytest.approx(-1.0)
    assert in_c(library, opposite, [0, 1], 2) == 1.0  # no pair
    assert in_c(library, np.zeros((2, 3)), [0, 0], 1) == 0.0
    assert in_c(library, np.full((2, 3), np.nan), [0, 0], 1) == 1.0


@pytest.mark.parametrize("value", [-1.0, 0.0, SPREAD, 0.43, 0.47, 0.5, TIGHT, 0.7, 1.0])
def test_the_rate_rises_with_it(library: ctypes.CDLL, value: float) -> None:
    rate = library.tt_episode_rate(ctypes.c_float(value))
    assert rate == pytest.approx(paced_rate(value), abs=1e-6)
    assert LEAST_RATE - 1e-6 <= rate <= 1.0
    assert library.tt_episode_rate(ctypes.c_float(value + 0.01)) >= rate
