# SPDX-License-Identifier: Apache-2.0
"""TensorFlow checkpoints (`variables.index` and its data files) from outside: read without TensorFlow, whose reader
takes the memory that a file declares before it looks at what the file holds.

The index is a sorted string table as LevelDB has it: blocks of keys that share their beginnings, an index of blocks, a
footer. Its values say where in which data file a tensor lies.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tt_tflm.errors import InputError, shown
from tt_tflm.files import protobuf_wire as wire
from tt_tflm.files.limits import CHECKPOINT_INDEX_BYTES, SHARDS, TENSOR_AXES
from tt_tflm.files.regular_file import open_regular, read_whole

_FOOTER = 48
_MAGIC = 0xDB4775248B80FB57
_TRAILER = 5  # kind of compression, checksum
_STRING = 7
# Numbers of tensorflow.DataType; bfloat16 is widened by hand.
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 14: "<u2", 17: "<u2", 19: "<f2",
          22: "<u4", 23: "<u8"}  # fmt: skip
_BFLOAT16 = 14


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies.

    Attributes:
        dtype: number of its ``tensorflow.DataType``.
        shape: of the tensor.
        shard: number of the data file.
        offset, size: in bytes, in that file.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


class TensorBundle:
    """A checkpoint.

    Args:
        prefix: path of its files without ``.index`` and ``.data-00000-of-00001``.

    Raises:
        InputError: the index is missing or damaged.
    """

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        self._prefix = Path(prefix)
        path = self._prefix.with_name(self._prefix.name + ".index")
        self._where = f"{path}: expected the index of a checkpoint"
        content = read_whole(path, "the index of a checkpoint", CHECKPOINT_INDEX_BYTES)
        self._shards = 1
        self.entries: dict[str, Entry] = {}
        for key, value in _table(content, self._where):
            if not key:
                self._shards = wire.number(value, 1, self._where)
                if not 0 < self._shards <= SHARDS:
                    raise InputError(f"{self._where} of at most {SHARDS} data files, received {self._shards:,}")
                continue
            self.entries[key.decode("utf-8", "replace")] = _entry(value, self._where)

    def tensors(self, keys: Sequence[str]) -> list[np.ndarray]:
        """Several tensors, which together take no more than the data files hold; errors as for `tensor`."""
        total = sum(self._entry(key).size for key in keys)
        held = sum(self._shard(number).stat().st_size for number in range(self._shards) if self._shard(number).exists())
        if len(set(keys)) != len(keys) or total > held:
            raise InputError(f"{self._where}, received one that names the same numbers twice: damaged")
        return [self.tensor(key) for key in keys]

    def tensor(self, key: str) -> np.ndarray:
        """A tensor of numbers, bfloat16 as float32.

        Raises:
            InputError: there is none of this key, it holds no numbers, or the data file lacks its bytes.
        """
        entry = self._entry(key)
        if entry.dtype not in _TYPES:
            raise InputError(f"{self._where}, received '{shown(key)}' of data type {entry.dtype}: expected numbers")
        dtype = np.dtype(_TYPES[entry.dtype])
        needed = math.prod(entry.shape) * dtype.itemsize
        if needed != entry.size:
            raise InputError(
                f"{self._where}, received '{shown(key)}', which declares {needed:,} bytes and stores {entry.size:,}"
            )
        values = np.frombuffer(self._bytes(key, entry), dtype)
        if entry.dtype == _BFLOAT16:
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.reshape(entry.shape)

    def text(self, key: str, most: int) -> bytes:
        """The bytes of a scalar of text, at most that many; errors as for `tensor`."""
        entry = self._entry(key)
        if entry.dtype != _STRING or entry.shape or entry.size > most:
            raise InputError(f"{self._where}, received '{shown(key)}' of {entry.size:,} bytes: expected one short text")
        content = self._bytes(key, entry)
        length, at = wire.varint(content, 0, self._where)
        at += 4  # checksum of the lengths
        if at + length != len(content):
            raise InputError(f"{self._where}, received '{shown(key)}', whose text has another length than it says")
        return content[at:]

    def _entry(self, key: str) -> Entry:
        if key not in self.entries:
            raise InputError(f"{self._where} with '{shown(key)}', received one without: save the model again")
        return self.entries[key]

    def _bytes(self, key: str, entry: Entry) -> bytes:
        if entry.shard >= self._shards:
            raise InputError(f"{self._where}, received '{shown(key)}' in file {entry.shard} of {self._shards}")
        path = self._shard(entry.shard)
        with open_regular(path, "the data of a checkpoint") as file:
            left = os.fstat(file.fileno()).st_size - entry.offset
            if entry.size > left:
                raise InputError(
                    f"{path}: expected {entry.size:,} bytes for '{shown(key)}', received {max(0, left):,}: cut off"
                )
            file.seek(entry.offset)
            content = file.read(entry.size)
        if len(content) != entry.size:
            raise InputError(f"{path}: expected a file of a fixed size, received one that changed while it was read")
        return content

    def _shard(self, number: int) -> Path:
        return self._prefix.with_name(f"{self._prefix.name}.data-{number:05d}-of-{self._shards:05d}")


def _table(content: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted string table."""
    if len(content) < _FOOTER or int.from_bytes(content[-8:], "little") != _MAGIC:
        raise InputError(f"{where}, received a file that does not end as one: cut off, or of another kind")
    footer = content[-_FOOTER:]
    at = 0
    for _ in range(2):  # the block of meta data, which is empty
        _, at = wire.varint(footer, at, where)
    offset, at = wire.varint(footer, at, where)
    size, at = wire.varint(footer, at, where)
    met: set[int] = set()
    for _, handle in _block(content, offset, size, where):
        offset, at = wire.varint(handle, 0, where)
        size, _ = wire.varint(handle, at, where)
        if offset in met:
            raise InputError(f"{where}, received one that names a block twice: damaged")
        met.add(offset)
        yield from _block(content, offset, size, where)


def _block(content: bytes, offset: int, size: int, where: str) -> Iterator[tuple[bytes, bytes]]:
    end = offset + size
    if end + _TRAILER > len(content) or size < 4:
        raise InputError(f"{where}, received a block beyond its end: cut off")
    if content[end] != 0:
        raise InputError(f"{where} that is not compressed, received compression {content[end]}: save the model again")
    restarts = int.from_bytes(content[end - 4 : end], "little")
    end -= 4 * (restarts + 1)
    key = b""
    at = offset
    while at < end:
        shared, at = wire.varint(content, at, where)
        added, at = wire.varint(content, at, where)
        length, at = wire.varint(content, at, where)
        if shared > len(key) or at + added + length > end:
            raise InputError(f"{where}, received a key beyond its block: damaged")
        key = key[:shared] + content[at : at + added]
        at += added
        yield key, content[at : at + length]
        at += length


def _entry(value: bytes, where: str) -> Entry:
    shape: tuple[int, ...] = ()
    for message in wire.submessages(value, 2, where):
        shape = tuple(wire.number(axis, 1, where) for axis in wire.submessages(message, 2, where))
    if len(shape) > TENSOR_AXES:
        raise InputError(f"{where}, received a tensor of {len(shape)} axes: expected at most {TENSOR_AXES}")
    dtype, shard, offset, size = (wire.number(value, field, where) for field in (1, 3, 4, 5))
    if wire.submessages(value, 7, where):
        raise InputError(f"{where} of whole tensors, received one of slices: save the model on one device")
    return Entry(dtype, shape, shard, offset, size)
