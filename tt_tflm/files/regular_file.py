# SPDX-License-Identifier: Apache-2.0
"""Regular files, opened: a pipe would be waited for, a device never ends."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tt_tflm.errors import InputError

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: str | os.PathLike[str], what: str) -> BinaryIO:
    """Opens a regular file to read; links are followed.

    Args:
        path: of the file.
        what: is expected in it, for errors, such as ``an .npz file``.

    Raises:
        InputError: there is no such file, it is not a regular one, or it may not be read.
    """
    try:
        found = os.stat(path)
        # Asked before opening: opening a pipe waits for its other end, and opening some devices moves them.
        _check_regular(found, path, what)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        # ValueError: the path holds a NUL byte, or characters that the file system's encoding lacks.
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"expected {what}, received '{path}': {reason}") from None
    file = os.fdopen(descriptor, "rb")
    try:
        _check_regular(os.fstat(descriptor), path, what)
    except InputError:
        file.close()
        raise
    return file


def read_whole(path: str | os.PathLike[str], what: str, limit: int) -> bytes:
    """The content of a regular file.

    Args:
        path, what: as for `open_regular`.
        limit: the most bytes it may have; more is refused before any is read.

    Raises:
        InputError: as `open_regular`, or the file is larger than that.
    """
    with open_regular(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise InputError(f"expected {what} of at most {limit:,} bytes, received '{path}' of {size:,} bytes")
        try:
            content = file.read(size + 1)
        except OSError as error:
            raise InputError(f"expected {what}, received '{path}': {error.strerror}") from None
    if len(content) != size:
        raise InputError(f"expected {what} of a fixed size, received '{path}', which changed while it was read")
    return content


def read_text(path: str | os.PathLike[str], what: str, limit: int) -> str:
    """The content of a regular file in UTF-8, line ends as they are; arguments and errors as for `read_whole`."""
    try:
        return read_whole(path, what, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"expected {what}, received '{path}': no UTF-8 ({error.reason} at byte {error.start})"
        ) from None


def is_folder(path: Path) -> bool:
    """Whether there is a folder at a path; of what is no path there is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def check_inside(path: Path, folder: Path) -> None:
    """Refuses what leads out of a folder.

    Raises:
        InputError: ``path`` is a link to something outside of ``folder``, to nothing, or to itself.
    """
    try:
        inside = path.resolve(strict=True).is_relative_to(folder.resolve(strict=True))
    except (OSError, RuntimeError):
        inside = False
    if not inside:
        raise InputError(f"expected files inside of '{folder}', received '{path}', a link that leads out of it")


def _check_regular(found: os.stat_result, path: str | os.PathLike[str], what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for test, name in _KINDS if test(found.st_mode)), "something else")
        raise InputError(f"expected {what}, received '{path}', which is no file but {kind}")
