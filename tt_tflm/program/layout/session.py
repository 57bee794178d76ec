# SPDX-License-Identifier: Apache-2.0
"""Sizes of the generated session structure on a 32-bit core, and of a saved state."""

from __future__ import annotations

_WORD = 4
_FIXED_WORDS = 9  # state, arena, row_pool, learning_rate, scale, loss, label, samples, steps
_ROWS_WORDS = 6  # tt_rows_t
_INT8_ROWS_WORDS = 6  # tt_int8_rows_t
_ADAM_WORDS = 6  # tt_adam_t
_PROTOTYPES_WORDS = 5  # tt_prototypes_t


def session_bytes(
    trained_layers: int,
    optimizer: str,
    prototype_classes: int | None,
    *,
    dynamic: bool = False,
    int8: bool = False,
) -> int:
    """``sizeof(tt_session_t)`` where pointers have four bytes; tests compare it with the compiler's."""
    before = words = _FIXED_WORDS + (_ROWS_WORDS + int8 * _INT8_ROWS_WORDS) * trained_layers
    if optimizer == "adam":
        words += _ADAM_WORDS
    if prototype_classes is not None:
        words += _PROTOTYPES_WORDS + prototype_classes
    if dynamic:
        # A set of candidates has eight bytes and begins at a multiple of eight; counts have two bytes each.
        words += before % 2 + 2 + 1 + -(-trained_layers // 2)
        words += words % 2
    return _WORD * words


_STATE_HEADER, _STATE_ENTRY, _STATE_CRC = 40, 8, 4


def state_bytes(layers: int, channels: int, row_floats: int, prototype_bytes: int) -> int:
    """Bytes of a saved state (ops/include/tt_state.h).

    Args:
        layers: trainable layers of the build.
        channels: chosen channels of all layers.
        row_floats: floats of their rows, padding included.
        prototype_bytes: of sums and counts.
    """
    return (
        _STATE_HEADER
        + _STATE_ENTRY * layers
        + (2 * channels + 3) // 4 * 4
        + 4 * row_floats
        + prototype_bytes
        + _STATE_CRC
    )
