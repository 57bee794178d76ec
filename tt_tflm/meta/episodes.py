# SPDX-License-Identifier: Apache-2.0
"""Which images make up a few-shot task: drawn as Meta-Dataset draws them, or read from a file of episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from tt_tflm.boards.episode import Episode
from tt_tflm.boards.input_range import InputScaling
from tt_tflm.errors import InputError
from tt_tflm.files.json_input import read_json
from tt_tflm.meta.images import ImageSet

Range = int | tuple[int, int]


@dataclass(frozen=True)
class Rows:
    """An episode as rows of an image set: for every class of the episode its support and its query rows."""

    support: tuple[tuple[int, ...], ...]
    query: tuple[tuple[int, ...], ...]

    @property
    def ways(self) -> int:
        """Number of classes."""
        return len(self.support)

    def flat(self, part: str) -> tuple[list[int], np.ndarray]:
        """Rows of ``support`` or ``query``, class by class, and their labels, int64."""
        rows = getattr(self, part)
        labels = np.repeat(np.arange(len(rows)), [len(group) for group in rows])
        return [row for group in rows for row in group], labels

    def load(self, images: ImageSet, input_shape: tuple[int, ...], scaling: InputScaling) -> Episode:
        """The images, fitted to a model's input."""
        (support, support_y), (query, query_y) = self.flat("support"), self.flat("query")
        return Episode(
            images.images(support, input_shape, scaling), support_y, images.images(query, input_shape, scaling), query_y
        )


@dataclass(frozen=True)
class Sampling:
    """How episodes are drawn.

    Fixed numbers give N-way K-shot episodes. A range of ways is drawn from uniformly. A range of shots makes a class as
    large as Meta-Dataset does (Triantafillou et al., 2020, appendix): the size of the support set is drawn, and the
    classes share it at random in proportion to how many images they have, each within the range.

    Args:
        ways: classes of an episode, at least 2, or (fewest, most).
        shots: support images of a class, at least 1, or (fewest, most).
        queries: query images of a class, at least 1.
        most_support: images of a support set, at most; binding with a range of shots.

    Raises:
        InputError: an argument is out of range.
    """

    ways: Range = 10
    shots: Range = 5
    queries: int = 5
    most_support: int = 100

    def __post_init__(self) -> None:
        for name, least in (("ways", 2), ("shots", 1)):
            low, high = span(getattr(self, name))
            if not (_whole(low) and _whole(high) and least <= low <= high):
                raise InputError(
                    f"{name}: expected a whole number of at least {least}, or two of them that rise, received "
                    f"{getattr(self, name)!r}"
                )
        for name in ("queries", "most_support"):
            if not _whole(getattr(self, name)) or getattr(self, name) < 1:
                raise InputError(f"{name}: expected a whole number of at least 1, received {getattr(self, name)!r}")

    def check(self, images: ImageSet, members: Sequence[np.ndarray]) -> None:
        """Refuses data that episodes cannot be drawn from.

        Args:
            images: for its names.
            members: rows of each class that may be drawn.

        Raises:
            InputError: too few classes, or a class with fewer images than the fewest shots and the queries.
        """
        fewest, needed = span(self.ways)[0], span(self.shots)[0] + self.queries
        if len(members) < fewest:
            raise InputError(f"{images.name}: expected at least {fewest} classes to draw from, received {len(members)}")
        small = [rows for rows in members if len(rows) < needed]
        if small:
            first = min(small, key=len)
            title = images.classes[images.labels[first[0]]] if len(first) else "?"
            raise InputError(
                f"{images.name}: expected at least {needed} images of every class ({span(self.shots)[0]} shots, "
                f"{self.queries} queries), received {len(first)} of class '{title}'"
                + (f" and too few of {len(small) - 1} more" if len(small) > 1 else "")
                + ": add images, remove the class, or ask for fewer"
            )

    def draw(self, members: Sequence[np.ndarray], random: np.random.Generator) -> Rows:
        """An episode.

        Args:
            members: rows of each class, as ``check`` accepts them.
            random: all that the episode depends on beside the arguments.
        """
        low, high = span(self.ways)
        ways = int(random.integers(low, min(high, len(members)) + 1))
        chosen = [members[c] for c in random.choice(len(members), ways, replace=False)]
        shots = self._shots([len(rows) for rows in chosen], random)
        support, query = [], []
        for rows, count in zip(chosen, shots, strict=True):
            drawn = random.choice(rows, count + self.queries, replace=False).tolist()
            support.append(tuple(drawn[:count]))
            query.append(tuple(drawn[count:]))
        return Rows(tuple(support), tuple(query))

    def _shots(self, sizes: Sequence[int], random: np.random.Generator) -> list[int]:
        low, high = span(self.shots)
        if low == high:
            return [low] * len(sizes)
        share = 1.0 - random.random()  # in (0, 1]
        room = [min(high, size - self.queries) for size in sizes]
        total = min(self.most_support, sum(int(np.ceil(share * most)) for most in room))
        weights = np.exp(random.uniform(np.log(0.5), np.log(2.0), len(sizes))) * np.array(sizes)
        parts = np.floor(weights / weights.sum() * max(0, total - len(sizes))).astype(int) + 1
        return [int(np.clip(part, low, most)) for part, most in zip(parts, room, strict=True)]


def span(value: Range) -> tuple[int, int]:
    """(fewest, most) of a number or a range."""
    return value if isinstance(value, tuple) and len(value) == 2 else (value, value)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def draw_episodes(
    images: ImageSet, count: int, ways: int = 5, shots: int = 5, queries: int = 15, seed: int = 0
) -> list[Rows]:
    """Episodes for an evaluation, each from (seed, its number) alone.

    Raises:
        InputError: the data is too small, or an argument out of range.
    """
    sampling = Sampling(ways, shots, queries)
    members = images.members()
    sampling.check(images, members)
    return [sampling.draw(members, np.random.default_rng([seed, number])) for number in range(count)]


def load_episode_rows(path: str | PathLike[str], images: ImageSet) -> list[Rows]:
    """Episodes from a JSON file: ``{"episodes": [{"support": [[row, ...], ...], "query": [[row, ...], ...]}, ...]}``,
    where ``support[c]`` and ``query[c]`` are rows of the data with label c. Other keys are ignored.

    Raises:
        InputError: the file is not as described, or names rows that the data does not have.
    """
    content = read_json(path, "episodes in JSON")
    entries = content.get("episodes") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"episodes {path}: expected an object with a list 'episodes', received none")
    if images.skipped:
        raise InputError(f"episodes {path}: expected data without skipped files, whose rows would be others")
    return [
        _rows(f"episodes {path}, episode {number}", entry, len(images.labels)) for number, entry in enumerate(entries)
    ]


def _rows(where: str, entry: Any, images: int) -> Rows:
    parts = []
    for name in ("support", "query"):
        groups = entry.get(name) if isinstance(entry, dict) else None
        if not isinstance(groups, list) or not all(isinstance(group, list) and group for group in groups):
            raise InputError(f"{where}: expected '{name}' as a list of rows for every class, received {groups!r:.60}")
        for row in (row for group in groups for row in group):
            if not _whole(row) or not 0 <= row < images:
                raise InputError(f"{where}: expected rows below {images} in '{name}', received {row!r:.60}")
        parts.append(tuple(tuple(group) for group in groups))
    if len(parts[0]) < 2 or len(parts[0]) != len(parts[1]):
        raise InputError(
            f"{where}: expected support and query of the same classes, at least two, received {len(parts[0])} and "
            f"{len(parts[1])}"
        )
    return Rows(*parts)
