# SPDX-License-Identifier: Apache-2.0
"""Arrays from .npz files: each header is checked against what the file holds before memory is taken; pickle never."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, NamedTuple

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.files.damage import told
from tt_tflm.files.limits import ARRAYS_BYTES
from tt_tflm.files.regular_file import open_regular
from tt_tflm.files.zip_members import open_zip

_SUFFIX = ".npy"
_SINGLE = b"\x93NUMPY"
_KINDS = "biufUS"
_READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Header(NamedTuple):
    """What an array is before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype


class ArrayFile:
    """An .npz file of plain arrays, as `open_arrays` gives it.

    Attributes:
        names: of its arrays.
    """

    def __init__(self, archive: zipfile.ZipFile, where: str) -> None:
        self._archive = archive
        self._where = where
        self.names = tuple(name.removesuffix(_SUFFIX) for name in archive.namelist() if name.endswith(_SUFFIX))

    def header(self, name: str) -> Header:
        """Shape and type of an array; the file holds exactly as many bytes as they take.

        Raises:
            InputError: there is none of this name, or its header is not that of plain numbers or text.
        """
        expected = f"{self._where}: expected a plain array '{name}'"
        with told(expected), self._archive.open(name + _SUFFIX) as member:
            header = _read_header(member)
            left = self._archive.getinfo(name + _SUFFIX).file_size - member.tell()
        if header.dtype.hasobject:
            raise InputError(
                f"{self._where} array {name}: expected plain numbers, received an object array: give all samples one "
                "shape"
            )
        if header.dtype.kind not in _KINDS or header.dtype.subdtype is not None:
            raise InputError(f"{self._where} array {name}: expected plain numbers, received {header.dtype}")
        needed = math.prod(header.shape) * header.dtype.itemsize
        if min(header.shape, default=0) < 0 or needed != left:
            raise InputError(
                f"{self._where} array {name}: expected {needed:,} bytes for {header.dtype} {header.shape}, received "
                f"{left:,}: the file is damaged"
            )
        return header

    def read(self, name: str) -> np.ndarray:
        """An array; errors as for `header`, or its content is damaged."""
        self.header(name)
        expected = f"{self._where}: expected a plain array '{name}'"
        with told(expected), self._archive.open(name + _SUFFIX) as member, _py2_headers():
            return np.lib.format.read_array(member, allow_pickle=False)


@contextmanager
def open_arrays(path: str | os.PathLike[str], what: str) -> Iterator[ArrayFile]:
    """An .npz file.

    Args:
        path: of the file.
        what: it is, for errors, such as ``episode``.

    Raises:
        InputError: the file cannot be opened, or is no .npz file.
    """
    where = f"{what} {path}"
    expected = f"{where}: expected an .npz file of plain arrays"
    with open_regular(path, f"an .npz file for {what}") as stream:
        if stream.read(len(_SINGLE)) == _SINGLE:
            raise InputError(f"{where}: expected an .npz file, received a single array: save with numpy.savez")
        with open_zip(stream, expected, ARRAYS_BYTES) as archive:
            yield ArrayFile(archive, where)


def read_arrays(path: str | os.PathLike[str], what: str, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an .npz file: those of the names, or all.

    Raises:
        InputError: as `open_arrays`, or an array is missing or not plain.
    """
    with open_arrays(path, what) as file:
        missing = [name for name in names or () if name not in file.names]
        if missing:
            raise InputError(
                f"{what} {path}: expected the arrays {', '.join(names or ())}, received "
                f"{', '.join(file.names) or 'none'}"
            )
        return {name: file.read(name) for name in (file.names if names is None else names)}


def _read_header(member: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(member)
    if version not in _READ_HEADER:
        raise ValueError(f"a header of version {version[0]}.{version[1]}")
    with _py2_headers():
        shape, _, dtype = _READ_HEADER[version](member)
    return Header(tuple(shape), dtype)


@contextmanager
def _py2_headers() -> Iterator[None]:
    """numpy warns of headers as Python 2 wrote them, which are as good."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
