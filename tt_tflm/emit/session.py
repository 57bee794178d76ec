# SPDX-License-Identifier: Apache-2.0
"""Size of the generated session structure on a 32-bit core."""

from __future__ import annotations

_WORD = 4
_FIXED_WORDS = 8  # state, arena, row_pool, learning_rate, scale, loss, label, samples
_ROWS_WORDS = 6  # tt_rows_t
_ADAM_WORDS = 6  # tt_adam_t
_PROTOTYPES_WORDS = 5  # tt_prototypes_t


def session_bytes(
    trained_layers: int, optimizer: str, prototype_classes: int | None, *, dynamic: bool = False
) -> int:
    """``sizeof(tt_session_t)`` where pointers have four bytes; tests compare it with the compiler's."""
    words = _FIXED_WORDS + _ROWS_WORDS * trained_layers
    if optimizer == "adam":
        words += _ADAM_WORDS
    if prototype_classes is not None:
        words += _PROTOTYPES_WORDS + prototype_classes
    if dynamic:
        # A set of candidates has eight bytes and begins at a multiple of eight; counts have two bytes each.
        before = _FIXED_WORDS + _ROWS_WORDS * trained_layers
        words += before % 2 + 2 + 1 + -(-trained_layers // 2)
        words += words % 2
    return _WORD * words
