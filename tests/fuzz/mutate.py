# SPDX-License-Identifier: Apache-2.0
"""What spoils a file: bytes of any format, values of JSON and TOML, members of zip archives, headers of arrays."""

from __future__ import annotations

import ast
import copy
import io
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes]

_DEEP = 100_000
_NUMBERS = (-1, 0, 1, 7, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30, -(2**63), 0.5, 1e308, -0.0)
_VALUES: tuple[Any, ...] = (
    None, True, False, "", "x", "all", "\x00", "\x1b[31m", "\ud800", "ü" * 300, "A" * 70_000, [], {}, [[]], [None],
    {"": 0},
    float("nan"), float("inf"), -float("inf"), *_NUMBERS, [0] * 1000,
    [-1, 0], ["0"], [[1, 2], [3]],
)  # fmt: skip
_SIZES = (0, 1, 2, 4, 255, 65535, 65536, 2**31 - 1, 2**32 - 1)


def spoil_bytes(data: bytes, random_: random.Random) -> bytes:
    """A few bytes changed, taken out or put in, or the end cut off."""
    spoilt = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 4, 16))):
        at = random_.randrange(len(spoilt) + 1)
        kind = random_.randrange(7)
        if kind == 0:
            del spoilt[at:]
        elif kind == 1:
            del spoilt[at : at + random_.randrange(1, 40)]
        elif kind == 2:
            spoilt[at:at] = random_.randbytes(random_.randrange(1, 40))
        elif kind == 3:
            other = random_.randrange(len(spoilt) + 1)
            spoilt[at:at] = spoilt[other : other + random_.randrange(1, 200)]
        elif kind == 4:
            form = random_.choice(("<H", "<I", ">H", ">I", "<Q"))
            size = struct.calcsize(form)
            spoilt[at : at + size] = struct.pack(form, random_.choice(_SIZES) % 256**size)
        elif at < len(spoilt):
            spoilt[at] = random_.choice((0, 255, random_.randrange(256), spoilt[at] ^ (1 << random_.randrange(8))))
    return bytes(spoilt)


def spoil_value(value: Any, random_: random.Random) -> Any:
    """A parsed value with one to three places of it changed: another value, another key, one too many or too few."""
    value = json.loads(json.dumps(value))
    for _ in range(random_.choice((1, 1, 2, 3))):
        places = [(None, None)]
        pending = [value]
        while pending:
            outer = pending.pop()
            keys = outer.keys() if isinstance(outer, dict) else range(len(outer)) if isinstance(outer, list) else ()
            for key in keys:
                places.append((outer, key))
                pending.append(outer[key])
        outer, key = random_.choice(places)
        new = copy.deepcopy(random_.choice(_VALUES)) if random_.random() < 0.7 else _copy(random_.choice(places))
        if outer is None:
            value = new if random_.random() < 0.1 else value
        elif random_.random() < 0.15:
            del outer[key]
        elif isinstance(outer, dict) and random_.random() < 0.1:
            outer[random_.choice(("", "name", "x" * 500, "\x00", key.upper()))] = outer.pop(key)
        else:
            outer[key] = new
    return value


def _copy(place: tuple[Any, Any]) -> Any:
    outer, key = place
    return None if outer is None else json.loads(json.dumps(outer[key]))


def spoil_json(data: bytes, random_: random.Random) -> bytes:
    """Another value, deep nesting, or other bytes."""
    kind = random_.random()
    if kind < 0.05:
        return nested(random_)
    if kind < 0.2:
        return spoil_bytes(data, random_)
    text = json.dumps(spoil_value(json.loads(data), random_))
    if random_.random() < 0.03:
        text = text.replace("1", random_.choice(("1" * 5000, "1e999", "[" * 500 + "1" + "]" * 500)), 1)
    return text.encode()


def nested(random_: random.Random) -> bytes:
    """Values that lie in each other, some tens to some ten thousands deep."""
    depth = random_.choice((100, 900, 1500, _DEEP))
    opening, closing = random_.choice(((b"[", b"]"), (b'{"layers":', b"}"), (b'{"config":[', b"]}"), (b"[[],", b"]")))
    return opening * depth + b"0" + closing * random_.choice((depth, 0))


def spoil_toml(data: bytes, random_: random.Random) -> bytes:
    """Other bytes, deep nesting, keys with many dots, or other values in some lines."""
    kind = random_.random()
    if kind < 0.3:
        return spoil_bytes(data, random_)
    lines = data.decode().splitlines()
    for _ in range(random_.choice((1, 1, 2, 3))):
        at = random_.randrange(len(lines))
        key, equals, _ = lines[at].partition("=")
        if not equals or random_.random() < 0.15:
            lines[at] = random_.choice(("", "[a.b.c]", "[[ram]]", lines[random_.randrange(len(lines))]))
            continue
        if random_.random() < 0.1:
            depth = random_.choice((3, 20, 500, 9000))
            lines[at] = f"{key.strip()}{random_.choice(('.a', '.' + key.strip())) * depth} = 1"
        else:
            values = ("1", "-1", "nan", "inf", "true", '""', '"x"', "[]", "{}", "[1, 2]", "1979-05-27", "0x_1", "1e400",
                      '"\\u0000"', '"\\u001b"', "9" * 5000, "18446744073709551616", "[" * 2000 + "]" * 2000,
                      '{ a = "b" }', "'''x\ny'''")  # fmt: skip
            lines[at] = f"{key}= {random_.choice(values)}"
    return "\n".join(lines).encode()


def spoil_zip(data: bytes, random_: random.Random, member: Callable[[str, bytes, random.Random], bytes]) -> bytes:
    """Members changed by ``member``, left out, doubled, renamed, packed otherwise; or the archive's own bytes."""
    if random_.random() < 0.3:
        return spoil_bytes(data, random_)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    at = random_.randrange(len(parts))
    kind = random_.random()
    if kind < 0.06:
        del parts[at]
    elif kind < 0.12:
        parts.append(parts[at])
    elif kind < 0.18:
        parts[at] = (
            random_.choice(("../x", "/x", "\x01", "x" * 1000, parts[0][0], "config.json/", "ü.npy")),
            parts[at][1],
        )
    else:
        parts[at] = (parts[at][0], member(*parts[at], random_))
    stream = io.BytesIO()
    method = random_.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, content in parts:
            archive.writestr(name, content)
    packed = bytearray(stream.getvalue())
    if random_.random() < 0.2:
        _spoil_directory(packed, random_)
    return bytes(packed)


def _spoil_directory(packed: bytearray, random_: random.Random) -> None:
    """A field of an entry, or of the directory's end: method, flags, sizes, offsets, counts."""
    fields = {b"PK\x01\x02": ((8, "<H"), (10, "<H"), (20, "<I"), (24, "<I"), (28, "<H"), (30, "<H"), (42, "<I")),
              b"PK\x03\x04": ((6, "<H"), (8, "<H"), (18, "<I"), (22, "<I"), (26, "<H"), (28, "<H")),
              b"PK\x05\x06": ((8, "<H"), (10, "<H"), (12, "<I"), (16, "<I"), (20, "<H"))}  # fmt: skip
    magic = random_.choice(list(fields))
    at = packed.find(magic)
    offset, form = random_.choice(fields[magic])
    if at >= 0 and at + offset + struct.calcsize(form) <= len(packed):
        value = random_.choice((*_SIZES, 99, 12, 1)) % 256 ** struct.calcsize(form)
        struct.pack_into(form, packed, at + offset, value)


def spoil_array(name: str, data: bytes, random_: random.Random) -> bytes:
    """An .npy member with another type, shape or order in its header, or other bytes."""
    if random_.random() < 0.3 or not data.startswith(b"\x93NUMPY"):
        return spoil_bytes(data, random_)
    length = struct.unpack_from("<H", data, 8)[0]
    header = ast.literal_eval(data[10 : 10 + length].decode("latin-1"))
    kind = random_.randrange(4)
    if kind == 0:
        types = ("<m8[s]", "<M8[ns]", "|O", "<c16", "|b1", "<u8", "<i8", "<f4", "<f8", "<f2", "|u1", "<U5", "|S9",
                 "|V8", "(1000000000,)i4", "i1000", [("a", "<i4"), ("b", "|O")], "nonsense", 5, "<i4, <i4", ">i2",
                 "<U1000000000")  # fmt: skip
        header["descr"] = random_.choice(types)
    elif kind == 1:
        sizes = (*_SIZES, -1, 10**9, 2**62, 2**63, 2**64, 10**30, True, "4", None)
        shape = list(header["shape"])
        for _ in range(random_.choice((1, 2))):
            if shape and random_.random() < 0.8:
                shape[random_.randrange(len(shape))] = random_.choice(sizes)
            else:
                shape.append(random_.choice(sizes))
        header["shape"] = tuple(shape)
    elif kind == 2:
        header["fortran_order"] = random_.choice((True, False, 1, None, "x"))
    else:
        header[random_.choice(("descr", "x", "shape"))] = random_.choice(((), "<i8", 0))
    text = repr(header).encode() if random_.random() < 0.95 else b"(" * random_.choice((50, 300, 9000)) + b")"
    text = text[:60_000].ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data[10 + length :]
