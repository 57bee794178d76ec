# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm sample-data` gives what the other commands take, or says in one line what is missing."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.boards.episode import load_episode
from tt_tflm.meta.images import load_images
from tt_tflm.meta.sample_data import QUERIES, SHOTS, WAYS

SHAPE = (32, 32, 1)


def test_what_is_written_is_what_is_read(run: Callable, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "again", "other")]
    for folder, seed in zip(folders, (3, 3, 4), strict=True):
        assert run("sample-data", folder, "--seed", seed).code == 0
    images = load_images(folders[0] / "images.npz", channels=1)
    assert (len(images.labels), len(images.classes), images.read(0).shape) == (1797, 10, SHAPE)
    first, again, other = (load_episode(folder / "episode.npz", SHAPE) for folder in folders)
    assert np.array_equal(np.bincount(first.support_y), np.full(WAYS, SHOTS))
    assert np.array_equal(np.bincount(first.query_y), np.full(WAYS, QUERIES))
    assert np.array_equal(first.support_x, again.support_x)
    assert not np.array_equal(first.support_x, other.support_x)
    # No sample is both learnt from and judged by.
    samples = [x.tobytes() for x in (*first.support_x, *first.query_x)]
    assert len(set(samples)) == len(samples)


def test_a_folder_in_use_and_a_missing_package(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept").write_text("mine")
    run("sample-data", tmp_path).check_refused(
        "expected an output folder that is empty or does not exist", tmp_path.name
    )
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    run("sample-data", tmp_path / "new").check_refused("scikit-learn", "pip install 'tt-tflm[demo]'")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
