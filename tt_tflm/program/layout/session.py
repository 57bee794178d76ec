# SPDX-License-Identifier: Apache-2.0
"""Sizes of a session and its tables on a 32-bit core (ops/include/tt_session.h), and of a saved state."""

from __future__ import annotations

_WORD = 4
_ROWS_WORDS = 6  # tt_rows_t
_INT8_ROWS_WORDS = 6  # tt_int8_rows_t

SESSION_BYTES = 112
"""``sizeof(tt_session_t)`` where pointers have four bytes; tests compare it with the compiler's."""


def tables_bytes(layers: int, hyper_elements: int, scores: int, *, int8: bool, dynamic: bool) -> int:
    """``TT_TABLES_BYTES`` where pointers have four bytes: what a session keeps at the end of its row pool.

    Args:
        layers: that are, or may be, trained.
        hyper_elements: numbers of the optimiser.
        scores: classes of a loss with prototypes, else 0.
        int8: whether the forward pass is integer arithmetic.
        dynamic: whether the board chooses.
    """
    tables = [
        _WORD * _ROWS_WORDS * layers,
        _WORD * _INT8_ROWS_WORDS * layers * int8,
        _WORD * hyper_elements,
        _WORD * scores,
        2 * layers * dynamic,
    ]
    return sum(-(-size // 8) * 8 for size in tables)


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
