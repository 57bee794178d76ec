# SPDX-License-Identifier: Apache-2.0
"""The weights of a layer as integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_CHANNEL_BYTES = 16  # tt_int8_channel_t


@dataclass(frozen=True)
class Int8Layer:
    """The weights of a layer as int8 codes.

    Args:
        rows: int8 (channels, bytes of a row): weights, zeros, and in the last four bytes the int32 bias, little-endian.
        weight_scales: float32 (channels,): weight = scale * code.
        bias_scales: float32 (channels,).
        multipliers, shifts: int32 (channels,): what makes an output code of a sum of products (ops/include/tt_int8.h).
        weights: of a row.
    """

    rows: np.ndarray
    weight_scales: np.ndarray
    bias_scales: np.ndarray
    multipliers: np.ndarray
    shifts: np.ndarray
    weights: int

    @property
    def bytes(self) -> int:
        """In flash, the scales with the rows."""
        return self.rows.nbytes + _CHANNEL_BYTES * len(self.rows)

    def real_rows(self, stride: int) -> np.ndarray:
        """The numbers behind the codes: float32 (channels, stride), the bias after the weights."""
        rows, length = np.zeros((len(self.rows), stride), np.float32), self.weights
        rows[:, :length] = self.weight_scales[:, None] * self.rows[:, :length].astype(np.float32)
        biases = np.ascontiguousarray(self.rows[:, -4:]).view("<i4").ravel()
        rows[:, length] = self.bias_scales * biases.astype(np.float32)
        return rows
