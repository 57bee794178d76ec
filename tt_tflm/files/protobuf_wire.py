# SPDX-License-Identifier: Apache-2.0
"""Protocol buffers from outside, field by field, without their schemas' code: nothing is allocated but slices."""

from __future__ import annotations

from collections.abc import Iterator

from tt_tflm.errors import InputError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BITS = 64

Value = int | bytes


def fields(message: bytes, where: str) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message, in its order: a number, or the bytes of text or of a message.

    Args:
        message: in the wire format.
        where: begins every error.

    Raises:
        InputError: it is cut off, or holds what protocol buffers do not.
    """
    at = 0
    while at < len(message):
        key, at = varint(message, at, where)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = varint(message, at, where)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = varint(message, at, where)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise InputError(f"{where}: expected a protocol buffer, received a field of wire type {kind}: damaged")
        if size > len(message) - at:
            raise InputError(
                f"{where}: expected {size:,} bytes at byte {at:,}, received {len(message) - at:,}: cut off"
            )
        piece = message[at : at + size]
        at += size
        yield number, piece if kind == _BYTES else int.from_bytes(piece, "little")


def submessages(message: bytes, number: int, where: str) -> list[bytes]:
    """The values of a repeated field of text or messages; errors as for `fields`."""
    return [value for field, value in fields(message, where) if field == number and isinstance(value, bytes)]


def text(message: bytes, number: int, where: str) -> str:
    """The last value of a field of text, "" without one; errors as for `fields`, and for what is no UTF-8."""
    values = submessages(message, number, where)
    try:
        return values[-1].decode() if values else ""
    except UnicodeDecodeError:
        raise InputError(f"{where}: expected text in UTF-8, received other bytes: damaged") from None


def number(message: bytes, field: int, where: str) -> int:
    """The last value of a field of a number, 0 without one; errors as for `fields`."""
    values = [value for key, value in fields(message, where) if key == field and isinstance(value, int)]
    return values[-1] if values else 0


def varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    """A number of variable length at a place, and the place behind it; errors as for `fields`."""
    value = 0
    for shift in range(0, _VARINT_BITS + 6, 7):
        if at >= len(data):
            raise InputError(f"{where}: expected a number at byte {at:,}, received the end: cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**_VARINT_BITS - 1), at
    raise InputError(
        f"{where}: expected a number of at most {_VARINT_BITS} bits at byte {at:,}, received more: damaged"
    )
