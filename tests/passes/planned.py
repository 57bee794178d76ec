# SPDX-License-Identifier: Apache-2.0
"""Running planned functions: the kernels as C, the calls from Python, the arena a NumPy array."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import numpy as np
import tvm

from tvm_passes.kernels.tiling import HOST, Tiling
from tvm_passes.pipeline import lower_to_c, planned_functions
from tvm_passes.plan_arena import Place, PlannedFunction

from .compiled import HEAD, Guarded, Rows, compile_library

PREFIX = "net_"


class Program:
    """A planned module whose functions can be called with arrays."""

    def __init__(self, module: tvm.IRModule, tiling: Tiling = HOST, source: str = "") -> None:
        """source: C that the kernels call."""
        self.functions = planned_functions(module)
        kernels = lower_to_c(module, tiling, PREFIX)
        self._library = ctypes.CDLL(str(compile_library(HEAD + source + kernels.declarations + kernels.definitions)))

    def run(self, name: str, arguments: Mapping[str, object]) -> list[np.ndarray]:
        """Call a function; what it writes in place changes the arrays of ``arguments``. The arena holds NaN before.

        Args:
            arguments: parameter name to contiguous array, ``Rows`` or a ctypes structure. Trained rows and their pool
                must be given as the rows of ``trained_rows`` and its pool.

        Returns:
            The function's outputs.
        """
        function = self.functions[name]
        arena = Guarded(np.full(function.arena_bytes, 0xFF, np.uint8))
        keep: list[object] = []
        pointers = {key: _pointer(value, keep) for key, value in arguments.items() if key in function.params}

        def address(operand: object) -> object:
            if isinstance(operand, Place):
                return ctypes.c_void_p(arena.address + operand.offset)
            if isinstance(operand, str):
                return pointers[operand]
            keep.append(operand.value.numpy())
            return ctypes.c_void_p(keep[-1].ctypes.data)

        for call in function.calls:
            getattr(self._library, PREFIX + call.name)(*map(address, call.operands))
        arena.check(f"arena of {name}")
        return [_output(function, output, arena, arguments) for output in function.outputs]


class TrainedRows(Rows):
    """Rows whose trained channels lie in ``pool``, which a program may change."""

    def __init__(self, values: np.ndarray, row_length: int, trained: tuple[int, ...]) -> None:
        super().__init__(values, row_length, trained)
        self.pool = np.ascontiguousarray(values[list(trained)])

    def struct(self, keep: list[object]) -> ctypes.Structure:
        struct = super().struct(keep)
        struct.pool = self.pool.ctypes.data
        return struct


def _pointer(value: object, keep: list[object]) -> object:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    struct = value.struct(keep) if isinstance(value, Rows) else value
    keep.append(struct)
    return ctypes.byref(struct)


def _output(
    function: PlannedFunction, output: str | Place, arena: Guarded, arguments: Mapping[str, object]
) -> np.ndarray:
    if isinstance(output, str):
        return np.asarray(arguments[output]).copy()
    assert output.offset + 4 * output.elements <= function.arena_bytes
    end = output.offset + 4 * output.elements
    return arena.array[output.offset : end].view(output.dtype).copy()
