# SPDX-License-Identifier: Apache-2.0
"""Zip archives from outside: what they unpack to is known, and bounded, before anything is unpacked."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from tt_tflm.errors import InputError
from tt_tflm.files.damage import told
from tt_tflm.files.limits import DIRECTORY_BYTES, EXPANSION

_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_ENCRYPTED = 0x1


@contextmanager
def open_zip(stream: BinaryIO, expected: str, floor: int) -> Iterator[zipfile.ZipFile]:
    """An archive whose members are plain: stored or deflated, not encrypted, each name once, bounded in sum.

    ``zipfile`` unpacks no more of a member than its entry declares, so that the declared sizes are what counts.

    Args:
        stream: of the whole file.
        expected: the beginning of every error, up to "received".
        floor: bytes that the members may unpack to, however small the archive is; a large one may unpack to
            `limits.EXPANSION` times its own size.

    Raises:
        InputError: the archive is another one, or damaged.
    """
    size = stream.seek(0, os.SEEK_END)
    source = _Directory(stream, expected)
    with told(expected):
        archive = zipfile.ZipFile(source)
    source.limit = None
    with archive:
        _check_members(archive.infolist(), expected, max(floor, EXPANSION * size))
        yield archive


def read_member(archive: zipfile.ZipFile, name: str, expected: str) -> bytes:
    """The content of a member of `open_zip`'s archive; errors begin with ``expected``."""
    with told(expected):
        return archive.read(name)


def _check_members(members: list[zipfile.ZipInfo], expected: str, limit: int) -> None:
    seen: set[str] = set()
    for member in members:
        name = member.filename
        if member.compress_type not in _METHODS:
            methods = " or ".join(_METHODS.values())
            raise InputError(
                f"{expected}, received '{name}' packed by zip method {member.compress_type}: save it {methods}"
            )
        if member.flag_bits & _ENCRYPTED:
            raise InputError(f"{expected}, received '{name}', which is encrypted: save it without a password")
        if name in seen:
            raise InputError(f"{expected}, received '{name}' twice: save it again")
        seen.add(name)
    total = sum(member.file_size for member in members)
    if total > limit:
        raise InputError(
            f"{expected} that unpacks to at most {limit:,} bytes, received one of {total:,}: save large arrays "
            "uncompressed"
        )


class _Directory(io.RawIOBase):
    """An archive's stream while its directory is read, which ``zipfile`` does in one piece of the size it declares."""

    def __init__(self, stream: BinaryIO, expected: str) -> None:
        self._stream = stream
        self._expected = expected
        self.limit: int | None = DIRECTORY_BYTES

    def read(self, size: int = -1) -> bytes:
        if self.limit is not None and size > self.limit:
            raise InputError(
                f"{self._expected}, received an archive whose directory takes {size:,} bytes, more than {self.limit:,}"
            )
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
