# SPDX-License-Identifier: Apache-2.0
"""Drawing episodes as Meta-Dataset does, and reading them from files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tt_tflm.boards.input_range import InputScaling
from tt_tflm.errors import InputError
from tt_tflm.meta.episodes import Sampling, draw_episodes, load_episode_rows
from tt_tflm.meta.images import ImageSet, load_images


def image_set(*sizes: int) -> ImageSet:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    x = np.zeros((len(labels), 4, 4, 3), np.uint8)
    x[:] = np.arange(len(labels))[:, None, None, None]
    return load_images((x, labels))


def test_fixed_numbers_give_ways_and_shots() -> None:
    images = image_set(9, 10, 11, 12)
    for episode in draw_episodes(images, 20, ways=3, shots=4, queries=5):
        assert [len(rows) for rows in episode.support] == [4] * 3
        assert [len(rows) for rows in episode.query] == [5] * 3
        used = [row for rows in (*episode.support, *episode.query) for row in rows]
        assert len(set(used)) == len(used)
        for support, query in zip(episode.support, episode.query, strict=True):
            assert len({int(images.labels[row]) for row in (*support, *query)}) == 1
        assert len({int(images.labels[rows[0]]) for rows in episode.support}) == 3


def test_an_episode_depends_on_seed_and_number_alone() -> None:
    images = image_set(9, 10, 11, 12)
    few, many = draw_episodes(images, 2, 3, 1, 2, seed=5), draw_episodes(images, 6, 3, 1, 2, seed=5)
    assert few == many[:2]
    assert len(set(many)) == 6
    assert draw_episodes(images, 2, 3, 1, 2, seed=6) != few


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_variable_episodes_stay_within_their_ranges(data: st.DataObject) -> None:
    queries = data.draw(st.integers(1, 4))
    low, high = sorted((data.draw(st.integers(1, 4)), data.draw(st.integers(1, 20))))
    sizes = data.draw(st.lists(st.integers(low + queries, 40), min_size=4, max_size=9))
    fewest = data.draw(st.integers(2, 4))
    sampling = Sampling((fewest, data.draw(st.integers(fewest, 12))), (low, high), queries, most_support=30)
    images = image_set(*sizes)
    members = images.members()
    sampling.check(images, members)
    episode = sampling.draw(members, np.random.default_rng(data.draw(st.integers(0, 1000))))
    assert fewest <= episode.ways <= min(len(sizes), sampling.ways[1])
    assert all(low <= len(rows) <= high for rows in episode.support)
    assert all(len(rows) == queries for rows in episode.query)
    rows = [row for group in (*episode.support, *episode.query) for row in group]
    assert len(set(rows)) == len(rows)


def test_variable_shots_and_ways_vary_and_larger_classes_get_more() -> None:
    images = image_set(12, 12, 12, 100, 100, 100)
    sampling = Sampling((2, 6), (1, 20), 2)
    drawn = [sampling.draw(images.members(), np.random.default_rng(i)) for i in range(300)]
    assert {episode.ways for episode in drawn} == {2, 3, 4, 5, 6}
    shots = {True: [], False: []}
    for episode in drawn:
        for rows in episode.support:
            shots[bool(images.labels[rows[0]] < 3)].append(len(rows))
    assert len(set(shots[False])) > 10
    assert np.mean(shots[False]) > 1.5 * np.mean(shots[True])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ways": 1}, "ways: expected a whole number of at least 2"),
        ({"ways": (5, 3)}, "two of them that rise"),
        ({"shots": 0}, "shots: expected"),
        ({"shots": 1.5}, "shots: expected"),
        ({"queries": 0}, "queries: expected"),
        ({"queries": True}, "queries: expected"),
    ],
)
def test_bad_samplings_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sampling(**arguments)


def test_data_that_is_too_small_is_refused() -> None:
    with pytest.raises(InputError, match="at least 5 classes to draw from, received 3"):
        draw_episodes(image_set(30, 30, 30), 1)
    with pytest.raises(
        InputError, match=r"at least 20 images of every class \(5 shots, 15 queries\), received 6 of class '1'"
    ):
        draw_episodes(image_set(30, 6, 30, 30, 30), 1)


def test_episodes_from_a_file(tmp_path: Path) -> None:
    images = image_set(4, 4)
    path = tmp_path / "episodes.json"
    entry = {"support": [[0, 1], [4, 5]], "query": [[2], [6, 7]]}
    path.write_text(json.dumps({"dataset": "ignored", "episodes": [entry]}))
    (rows,) = load_episode_rows(path, images)
    episode = rows.load(images, (4, 4, 3), InputScaling(1.0, 0.0))
    assert episode.support_x[:, 0, 0, 0].tolist() == [0, 1, 4, 5]
    assert episode.support_y.tolist() == [0, 0, 1, 1]
    assert episode.query_x[:, 0, 0, 0].tolist() == [2, 6, 7]
    assert episode.query_y.tolist() == [0, 1, 1]


BAD_FILES = {
    "no JSON": ("{", "expected episodes in JSON"),
    "no object": ("[]", "an object with a list 'episodes'"),
    "no episodes": ('{"episodes": []}', "an object with a list 'episodes'"),
    "no query": ('{"episodes": [{"support": [[0], [4]]}]}', "'query' as a list of rows"),
    "no list": ('{"episodes": [{"support": [0, 4], "query": [[1], [5]]}]}', "'support' as a list of rows"),
    "an empty class": ('{"episodes": [{"support": [[], [4]], "query": [[1], [5]]}]}', "'support' as a list of rows"),
    "a row too large": ('{"episodes": [{"support": [[0], [8]], "query": [[1], [5]]}]}', "rows below 8 .* received 8"),
    "a negative row": ('{"episodes": [{"support": [[0], [-1]], "query": [[1], [5]]}]}', "rows below 8 .* received -1"),
    "a row of text": ('{"episodes": [{"support": [[0], ["4"]], "query": [[1], [5]]}]}', "rows below 8"),
    "one class": ('{"episodes": [{"support": [[0]], "query": [[1]]}]}', "at least two, received 1 and 1"),
    "other classes": ('{"episodes": [{"support": [[0], [4]], "query": [[1]]}]}', "received 2 and 1"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused(case: str, tmp_path: Path) -> None:
    text, message = BAD_FILES[case]
    path = tmp_path / "episodes.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        load_episode_rows(path, image_set(4, 4))
    assert "\n" not in str(refused.value)
