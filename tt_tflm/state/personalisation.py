# SPDX-License-Identifier: Apache-2.0
"""What a board has learned, as it saves it: reading, writing, and bringing it back to Keras.

The format is described in ops/include/tt_state.h, how it is kept on a board in docs/persistence.md.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError

if TYPE_CHECKING:
    import keras

MAGIC = b"TTPS"
VERSION = 1
OUTPUT_SUFFIXES = (".keras", ".tflite")
_HEADER = struct.Struct("<4sHHII8sIIII")
_ENTRY = struct.Struct("<HHI")
_CRC = struct.Struct("<I")
_PADDING = 0xFFFF


@dataclass(frozen=True)
class SavedLayer:
    """A trainable layer of the build that saved.

    Attributes:
        number: of the layer among those of the model with weights, in forward order from 0.
        channels: the trained output channels, ascending; empty for a layer that was not chosen.
        rows: float32 (channels, stride): weights in (kh, kw, cin) order, bias, padding to an even length.
    """

    number: int
    channels: tuple[int, ...]
    rows: np.ndarray


@dataclass(frozen=True)
class Personalisation:
    """A saved state.

    Attributes:
        fingerprint: of the model, 16 hexadecimal digits.
        sequence: number of the save; the higher one of two slots is the newer (modulo 2^32).
        steps: updates that the rows have seen.
        layers: all trainable layers of the build.
        sums: float32 (classes, embedding elements): sum of the enrolled embeddings; None without prototypes.
        counts: uint32 (classes,): samples enrolled; None without prototypes.
    """

    fingerprint: str
    sequence: int
    steps: int
    layers: tuple[SavedLayer, ...]
    sums: np.ndarray | None = None
    counts: np.ndarray | None = None

    @property
    def rows_bytes(self) -> int:
        """Of all trained rows as stored."""
        return sum(layer.rows.nbytes for layer in self.layers)

    @property
    def prototype_bytes(self) -> int:
        """Of sums and counts as stored."""
        return 0 if self.sums is None else self.sums.nbytes + self.counts.nbytes

    @property
    def plan_fingerprint(self) -> int:
        """CRC-32 of the plan as stored."""
        return zlib.crc32(self._plan())

    def to_bytes(self) -> bytes:
        """The state as a board saves it."""
        plan = self._plan()
        body = plan + b"".join(layer.rows.astype("<f4").tobytes() for layer in self.layers)
        classes = elements = 0
        if self.sums is not None:
            classes, elements = self.sums.shape
            body += self.sums.astype("<f4").tobytes() + self.counts.astype("<u4").tobytes()
        header = _HEADER.pack(
            MAGIC, VERSION, len(self.layers), self.sequence, _HEADER.size + len(body) + _CRC.size,
            bytes.fromhex(self.fingerprint), zlib.crc32(plan), self.steps, classes, elements,
        )  # fmt: skip
        return header + body + _CRC.pack(zlib.crc32(header + body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Personalisation:
        """The state at the beginning of ``data``; what follows it is ignored.

        Raises:
            InputError: there is none, it is damaged, or of another version of the format.
        """
        header = _checked_header(data)
        _, _, layer_count, sequence, size, model, plan, steps, classes, elements = header
        try:
            layers, offset = _read_layers(data[: size - _CRC.size], layer_count)
            sums = counts = None
            if classes:
                sums = _floats(data, offset, classes * elements).reshape(classes, elements)
                counts = np.frombuffer(data, "<u4", classes, offset + sums.nbytes).astype(np.uint32)
                offset += sums.nbytes + counts.nbytes
        except (struct.error, ValueError):
            offset = -1
        if offset != size - _CRC.size:
            raise InputError(
                "expected a saved state whose parts fill it, received one whose sizes contradict each other"
            )
        state = cls(model.hex(), sequence, steps, layers, sums, counts)
        if state.plan_fingerprint != plan:
            raise InputError(f"expected the plan {plan:08x} in the saved state, received {state.plan_fingerprint:08x}")
        return state

    def to_json(self) -> dict[str, Any]:
        """What `tt-tflm inspect` shows."""
        return {
            "fingerprint": self.fingerprint,
            "plan_fingerprint": f"{self.plan_fingerprint:08x}",
            "sequence": self.sequence,
            "steps": self.steps,
            "bytes": len(self.to_bytes()),
            "rows_bytes": self.rows_bytes,
            "prototype_bytes": self.prototype_bytes,
            "prototypes": None if self.counts is None else [int(count) for count in self.counts],
            "embedding_elements": None if self.sums is None else int(self.sums.shape[1]),
            "layers": [
                {
                    "number": layer.number,
                    "channels": list(layer.channels),
                    "row_floats": int(layer.rows.shape[1]),
                    "rows_bytes": layer.rows.nbytes,
                }
                for layer in self.layers
                if layer.channels
            ],
        }

    def _plan(self) -> bytes:
        entries = b"".join(_ENTRY.pack(s.number, len(s.channels), s.rows.shape[1]) for s in self.layers)
        channels = [channel for layer in self.layers for channel in layer.channels]
        channels += [_PADDING] * (len(channels) % 2)
        return entries + np.array(channels, "<u2").tobytes()


def _checked_header(data: bytes) -> tuple[Any, ...]:
    if len(data) < _HEADER.size + _CRC.size or data[: len(MAGIC)] != MAGIC:
        raise InputError(f"expected a saved state (it begins with {MAGIC.decode()}), received {len(data)} other bytes")
    header = _HEADER.unpack_from(data)
    version, size = header[1], header[4]
    if version != VERSION:
        raise InputError(f"expected a saved state of format version {VERSION}, received version {version}")
    if not _HEADER.size + _CRC.size <= size <= len(data):
        raise InputError(f"expected a saved state of {size} bytes, received {len(data)}: it is cut off")
    (crc,) = _CRC.unpack_from(data, size - _CRC.size)
    found = zlib.crc32(data[: size - _CRC.size])
    if found != crc:
        raise InputError(f"expected a saved state with checksum {crc:08x}, received {found:08x}: it is damaged")
    return header


def _read_layers(data: bytes, count: int) -> tuple[tuple[SavedLayer, ...], int]:
    offset = _HEADER.size
    entries = [_ENTRY.unpack_from(data, offset + i * _ENTRY.size) for i in range(count)]
    offset += count * _ENTRY.size
    total = sum(chosen for _, chosen, _ in entries)
    channels = np.frombuffer(data, "<u2", total + total % 2, offset)
    offset += channels.nbytes
    layers, first = [], 0
    for number, chosen, stride in entries:
        of_layer = tuple(int(c) for c in channels[first : first + chosen])
        if list(of_layer) != sorted(set(of_layer)):
            raise ValueError("channels do not ascend")
        layers.append(SavedLayer(number, of_layer, _floats(data, offset, chosen * stride).reshape(chosen, stride)))
        first += chosen
        offset += layers[-1].rows.nbytes
    return tuple(layers), offset


def _floats(data: bytes, offset: int, count: int) -> np.ndarray:
    return np.frombuffer(data, "<f4", count, offset).astype(np.float32)


def find_states(data: bytes) -> dict[int, Personalisation]:
    """All complete states in a dump of a storage, or the one in a file of its own: offset -> state."""
    found: dict[int, Personalisation] = {}
    offset = data.find(MAGIC)
    while offset >= 0:
        following = offset + 1
        try:
            found[offset] = Personalisation.from_bytes(data[offset:])
            following = offset + len(found[offset].to_bytes())
        except InputError:
            pass
        offset = data.find(MAGIC, following)
    return found


def newest(states: Sequence[Personalisation]) -> Personalisation:
    """The state that a board would load: that of the higher sequence number, modulo 2^32; of equal ones the first."""
    best = states[0]
    for state in states[1:]:
        if 0 < (state.sequence - best.sequence) % 2**32 < 2**31:
            best = state
    return best


def load_states(path: str | Path) -> dict[int, Personalisation]:
    """The complete states in a file: one that was saved, or a dump of a whole storage. Offset -> state.

    Raises:
        InputError: the file cannot be read, or there is no complete state in it; the message says what is wrong with
            the one at its beginning.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"expected a saved state at '{path}', received {error.strerror}") from None
    states = find_states(data)
    if not states:
        try:
            Personalisation.from_bytes(data)
        except InputError as error:
            raise InputError(f"'{path}': {error}") from None
    return states


def merge(model: keras.Model, state: Personalisation) -> None:
    """Write a board's trained rows back into the Keras model it was converted from; prototypes stay in the state.

    The outputs of the model are then those of the board, to the rounding of float32: folding of batch norms is undone.

    Args:
        model: changed in place.
        state: of a build of this model.

    Raises:
        InputError: the state is of another model.
    """
    from tt_tflm.frontend.unfold import write_rows
    from tt_tflm.program.static import import_model

    imported = import_model(model)
    if imported.fingerprint != state.fingerprint:
        raise InputError(
            f"expected a state saved by a build of model '{model.name}' ({imported.fingerprint}), received one of "
            f"model {state.fingerprint}: merge it into the model that was converted"
        )
    rows = {}
    for saved in state.layers:
        layer = imported.layers[saved.number] if saved.number < len(imported.layers) else None
        if layer is None or saved.rows.shape[1] != layer.stride or any(c >= layer.channels for c in saved.channels):
            raise InputError(f"expected layers of model '{model.name}' in the state, received layer {saved.number}")
        if saved.channels:
            rows[layer.name] = (saved.channels, saved.rows)
    write_rows(model, rows)


def save_model(model: keras.Model, path: str | Path) -> None:
    """Save a Keras model as ``.keras``, or as ``.tflite`` in float32; a reader meets the whole file or none.

    Raises:
        InputError: the name ends otherwise, the model cannot be converted, or the file cannot be written.
    """
    from tt_tflm.frontend.quiet import import_tensorflow, silence

    path = Path(path)
    check_output(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
        draft = Path(scratch) / path.name
        try:
            with silence():
                if path.suffix == ".keras":
                    model.save(draft)
                else:
                    draft.write_bytes(import_tensorflow().lite.TFLiteConverter.from_keras_model(model).convert())
            os.replace(draft, path)
        except OSError as error:
            raise InputError(f"expected a file that can be written, received {path}: {error}") from None


def check_output(path: Path) -> None:
    """Refuses a path that cannot become a merged model, before the work is done.

    Raises:
        InputError: it ends in neither .keras nor .tflite, is a folder, or lies in no folder.
    """
    if path.suffix not in OUTPUT_SUFFIXES:
        raise InputError(f"expected an output that ends in {' or '.join(OUTPUT_SUFFIXES)}, received {path}")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"expected an output file in an existing folder, received {path}")
