# SPDX-License-Identifier: Apache-2.0
"""What a board has learned, as it saves it: reading, writing, and bringing it back to Keras.

The format is described in ops/include/tt_state.h, how it is kept on a board in docs/persistence.md.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.files.limits import STATE_BYTES
from tt_tflm.files.output import check_writable, write_whole
from tt_tflm.files.regular_file import read_whole

if TYPE_CHECKING:
    import keras

MAGIC = b"TTPS"
VERSION = 1
OUTPUT_SUFFIXES = (".keras", ".tflite")
_HEADER = struct.Struct("<4sHHII8sIIII")
_ENTRY = struct.Struct("<HHI")
_ENTRY_TYPE = np.dtype([("number", "<u2"), ("chosen", "<u2"), ("stride", "<u4")])
_CRC = struct.Struct("<I")
_SIZE_OFFSET = 12
_LEAST = _HEADER.size + _CRC.size
# A storage has two slots; a dump may hold stale copies beside them. What damaged states that do not overlap declare is
# no more than the dump itself.
_MOST_STATES = 64
_MOST_LAYERS = 4096
_MOST_DAMAGED = 1000
_OVERLAP = 16
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
        return 0 if self.sums is None or self.counts is None else self.sums.nbytes + self.counts.nbytes

    @property
    def plan_fingerprint(self) -> int:
        """CRC-32 of the plan as stored."""
        return zlib.crc32(self._plan())

    def to_bytes(self) -> bytes:
        """The state as a board saves it."""
        plan = self._plan()
        body = plan + b"".join(layer.rows.astype("<f4").tobytes() for layer in self.layers)
        classes = elements = 0
        if self.sums is not None and self.counts is not None:
            classes, elements = self.sums.shape
            body += self.sums.astype("<f4").tobytes() + self.counts.astype("<u4").tobytes()
        header = _HEADER.pack(
            MAGIC, VERSION, len(self.layers), self.sequence, _HEADER.size + len(body) + _CRC.size,
            bytes.fromhex(self.fingerprint), zlib.crc32(plan), self.steps, classes, elements,
        )  # fmt: skip
        return header + body + _CRC.pack(zlib.crc32(header + body))

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Personalisation:
        """The state at the beginning of ``data``; what follows it is ignored.

        Raises:
            InputError: there is none, it is damaged, of another version of the format, or holds what no board saves.
        """
        header = _checked_header(data)
        _, _, layer_count, sequence, size, model, plan, steps, classes, elements = header
        parts = _Parts.of(data, layer_count, size - _CRC.size, classes, elements)
        found = zlib.crc32(data[_HEADER.size : parts.rows_offset])
        if found != plan:
            raise InputError(f"expected the plan {plan:08x} in the saved state, received {found:08x}")
        sums = counts = None
        if classes:
            sums = _finite(data, parts.sums_offset, (classes, elements))
            counts = np.frombuffer(data, "<u4", classes, parts.sums_offset + sums.nbytes).astype(np.uint32)
        return cls(model.hex(), sequence, steps, parts.layers(data), sums, counts)

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


def _checked_header(data: bytes | memoryview) -> tuple[Any, ...]:
    if len(data) < _LEAST or data[: len(MAGIC)] != MAGIC:
        raise InputError(f"expected a saved state (it begins with {MAGIC.decode()}), received {len(data)} other bytes")
    header = _HEADER.unpack_from(data)
    version, size = header[1], header[4]
    if version != VERSION:
        raise InputError(f"expected a saved state of format version {VERSION}, received version {version}")
    if not _LEAST <= size <= len(data):
        raise InputError(f"expected a saved state of {size} bytes, received {len(data)}: it is cut off")
    (crc,) = _CRC.unpack_from(data, size - _CRC.size)
    found = zlib.crc32(data[: size - _CRC.size])
    if found != crc:
        raise InputError(f"expected a saved state with checksum {crc:08x}, received {found:08x}: it is damaged")
    return header


@dataclass(frozen=True)
class _Parts:
    """Where the parts of a state lie that fill it exactly: known before any of them is copied.

    Attributes:
        entries: int64 (layers, 3): number, chosen channels, stride.
        channels: of all layers in a row.
        rows_offset, sums_offset: of the first row, and of the sums of prototypes.
    """

    entries: np.ndarray
    channels: np.ndarray
    rows_offset: int
    sums_offset: int

    @classmethod
    def of(cls, data: bytes | memoryview, layers: int, end: int, classes: int, elements: int) -> _Parts:
        plan = _HEADER.size + layers * _ENTRY.size
        if not 0 < layers <= _MOST_LAYERS or plan > end:
            raise InputError(f"expected a saved state of 1 to {_MOST_LAYERS} layers, received one of {layers}")
        stored = np.frombuffer(data, _ENTRY_TYPE, layers, _HEADER.size)
        entries = np.stack([stored[name].astype(np.int64) for name in ("number", "chosen", "stride")], axis=1)
        numbers, chosen, strides = entries.T
        total = int(chosen.sum())
        rows = plan + 2 * (total + total % 2)
        sums = rows + 4 * sum(int(c) * int(s) for c, s in zip(chosen, strides, strict=True))
        if sums + 4 * classes * (elements + 1) != end:
            raise InputError(
                "expected a saved state whose parts fill it, received one whose sizes contradict each other"
            )
        channels = np.frombuffer(data, "<u2", total, plan).astype(np.int64)
        first = np.cumsum(chosen)[:-1]
        descends = np.diff(channels) <= 0
        descends[first[(first > 0) & (first < total)] - 1] = False  # from one layer to the next
        if descends.any() or (np.diff(numbers) <= 0).any() or not strides.all() or (classes and not elements):
            raise InputError(
                "expected a saved state of layers and channels that ascend, with rows and prototypes of at least one "
                "number, received another"
            )
        return cls(entries, channels, rows, sums)

    def layers(self, data: bytes | memoryview) -> tuple[SavedLayer, ...]:
        layers, first, offset = [], 0, self.rows_offset
        for number, chosen, stride in self.entries.tolist():
            channels = tuple(self.channels[first : first + chosen].tolist())
            layers.append(SavedLayer(number, channels, _finite(data, offset, (chosen, stride))))
            first += chosen
            offset += layers[-1].rows.nbytes
        return tuple(layers)


def _finite(data: bytes | memoryview, offset: int, shape: tuple[int, int]) -> np.ndarray:
    numbers = np.frombuffer(data, "<f4", shape[0] * shape[1], offset).astype(np.float32)
    if not np.isfinite(numbers).all():
        raise InputError("expected finite rows and prototypes in the saved state, received NaN or infinity")
    return numbers.reshape(shape)


def find_states(data: bytes) -> dict[int, Personalisation]:
    """All complete states in a dump of a storage, or the one in a file of its own: offset -> state.

    Raises:
        InputError: there are more than a storage holds, or so many damaged ones that lie in each other that telling
            them apart would take time by the square of the dump's size.
    """
    found: dict[int, Personalisation] = {}
    view, end, damaged, to_check = memoryview(data), 0, 0, _OVERLAP * len(data)
    for offset, size in _candidates(data):
        if offset < end:
            continue  # inside of a complete one
        to_check -= size
        if to_check < 0 or damaged > _MOST_DAMAGED or len(found) == _MOST_STATES:
            raise InputError(
                f"expected a dump of a storage, which holds two states, received one of more than {_MOST_STATES}, or "
                "of damaged ones that overlap: cut the storage out of it"
            )
        try:
            found[offset] = Personalisation.from_bytes(view[offset : offset + size])
            end = offset + size
        except InputError:
            damaged += 1
    return found


def _candidates(data: bytes) -> Iterator[tuple[int, int]]:
    """Offset and size of what begins like a state of this version and lies in the data as a whole."""
    numbers = np.frombuffer(data, np.uint8)
    offsets = np.arange(max(len(data) - _LEAST + 1, 0))
    for i, byte in enumerate(MAGIC + struct.pack("<H", VERSION)):
        offsets = offsets[numbers[offsets + i] == byte]
    sizes = sum((numbers[offsets + _SIZE_OFFSET + i].astype(np.int64) << 8 * i for i in range(4)), np.int64(0))
    fits = (sizes >= _LEAST) & (sizes <= len(data) - offsets)
    return zip(offsets[fits].tolist(), sizes[fits].tolist(), strict=True)


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
    data = read_whole(path, "a saved state", STATE_BYTES)
    try:
        states = find_states(data)
        if not states:
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
    with tempfile.TemporaryDirectory(prefix="tt-tflm-model-") as folder:
        draft = Path(folder) / f"model{path.suffix}"
        try:
            with silence():
                if path.suffix == ".keras":
                    model.save(draft)
                else:
                    draft.write_bytes(import_tensorflow().lite.TFLiteConverter.from_keras_model(model).convert())
            content = draft.read_bytes()
        except OSError as error:
            raise InputError(f"expected room for a model in {folder}, received: {error.strerror or error}") from error
    write_whole(path, lambda file: file.write(content))


def check_output(path: Path) -> None:
    """Refuses a path that cannot become a merged model, before the work is done.

    Raises:
        InputError: it ends in neither .keras nor .tflite, is a folder, or lies in no folder.
    """
    if path.suffix not in OUTPUT_SUFFIXES:
        raise InputError(f"expected an output that ends in {' or '.join(OUTPUT_SUFFIXES)}, received {path}")
    check_writable(path, "a model")
