# SPDX-License-Identifier: Apache-2.0
"""The text files of a build, of which one may be too long to be held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

SOURCE_SUFFIXES = (".c", ".cc", ".S")
"""Of what is compiled."""


class SourceFiles(Mapping[str, str]):
    """Path below the build's folder -> text.

    A long file is known by what makes its pieces: it is made anew whenever it is asked for, and `pieces` is the way to
    write it.

    Args:
        texts: of the other files.
        long: path -> what makes the pieces.
    """

    def __init__(self, texts: Mapping[str, str], long: Mapping[str, Callable[[], Iterator[str]]]) -> None:
        self._texts = dict(texts)
        self._long = dict(long)

    def __getitem__(self, name: str) -> str:
        return "".join(self._long[name]()) if name in self._long else self._texts[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._texts
        yield from self._long

    def __len__(self) -> int:
        return len(self._texts) + len(self._long)

    def __contains__(self, name: object) -> bool:
        return name in self._texts or name in self._long

    def pieces(self, name: str) -> Iterator[str]:
        """A text, piece by piece."""
        return self._long[name]() if name in self._long else iter((self._texts[name],))

    def with_texts(self, texts: Mapping[str, str]) -> SourceFiles:
        """These files and more."""
        return SourceFiles({**self._texts, **texts}, self._long)


def pieces_of(files: Mapping[str, str], name: str) -> Iterator[str]:
    """A text of any mapping of files, piece by piece."""
    return files.pieces(name) if isinstance(files, SourceFiles) else iter((files[name],))
