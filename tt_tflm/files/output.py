# SPDX-License-Identifier: Apache-2.0
"""Files that are written: regular ones whole or not at all, pipes and devices as they come, ``-`` to stdout."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tt_tflm.errors import InputError

_STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same place, whether or not something is there."""
    return os.path.realpath(one) == os.path.realpath(other)


def is_stdout(path: str | os.PathLike[str] | None) -> bool:
    """Whether a path names this process's stdout."""
    return path is not None and os.fspath(path) in _STDOUT


def check_writable(path: Path, what: str) -> None:
    """Refuses a path that cannot become a file, before the work that would fill it is done.

    Args:
        path: to be written.
        what: is to be written, such as ``a report``.

    Raises:
        InputError: the path is a folder, lies in no folder, or is no path.
    """
    if is_stdout(path):
        return
    try:
        if path.is_dir():
            raise InputError(f"expected a file to write {what} to, received {path}, which is a folder")
        if not path.parent.is_dir():
            raise InputError(f"expected {what} in an existing folder, received {path}: create {path.parent} first")
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _cannot(path, error) from None


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file: a reader of a regular one meets the old or the new one at any moment; a pipe or device is
    written to and stays what it is; a link stays a link.

    Args:
        path: of the file, or a name of stdout.
        write: is given the open file.

    Raises:
        InputError: it cannot be written.
        BrokenPipeError: it is stdout, and nobody reads it any more.
    """
    if is_stdout(path):
        sys.stdout.flush()
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                write(file)
        else:
            _replace(Path(os.path.realpath(path)), write)
    except OSError as error:
        raise _cannot(path, error) from error


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            # Renamed before its content is on the disk, a file can be empty after a cut of power.
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _cannot(path: Path, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"expected a file that can be written, received {path}: {reason}")
