# SPDX-License-Identifier: Apache-2.0
"""Models of one custom op, run in TFLM's interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.tflite.op_params import Op
from tt_tflm.tflite.writer import TfliteWriter

EVERY = np.int32([-1, -1])
NONE = np.int32([0, 0])
ARENA_BYTES = 1 << 21


@dataclass(frozen=True)
class OneOp:
    """A model.

    Args:
        op: the op.
        params: its custom options.
        inputs: content of its inputs, float32 or int32. They are variable tensors, inputs and outputs of the model at
            once, so that what an op writes in place can be read.
        outputs: shapes and dtypes of its outputs.
        constants: which inputs are constants instead.
        missing: which inputs the node leaves out.
    """

    op: Op
    params: bytes
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[tuple[tuple[int, ...], str], ...] = ()
    constants: frozenset[int] = field(default_factory=frozenset)
    missing: frozenset[int] = field(default_factory=frozenset)

    def content(self) -> bytes:
        """The .tflite file."""
        writer = TfliteWriter()
        ins = []
        for i, value in enumerate(self.inputs):
            constant = i in self.constants
            data = value if constant else None
            ins.append(writer.add_tensor(f"in{i}", value.shape, value.dtype.name, data, variable=not constant))
        outs = [writer.add_tensor(f"out{i}", shape, dtype) for i, (shape, dtype) in enumerate(self.outputs)]
        given = [None if i in self.missing else number for i, number in enumerate(ins)]
        writer.add_custom(self.op.tflite_name, given, outs, self.params)
        own = [number for i, number in enumerate(ins) if i not in self.constants]
        return writer.finish(own, [*own, *outs])

    def run(self, times: int = 1) -> Result:
        """The model run from its inputs' content, that many times."""
        interpreter = TflmInterpreter(self.content(), ARENA_BYTES)
        own = [value for i, value in enumerate(self.inputs) if i not in self.constants]
        for index, value in enumerate(own):
            interpreter.set_input(index, value)
        for _ in range(times):
            interpreter.invoke()
        values = [interpreter.output(i) for i in range(len(own) + len(self.outputs))]
        after = iter(values[: len(own)])
        return Result(
            [value if i in self.constants else next(after) for i, value in enumerate(self.inputs)], values[len(own) :]
        )

    def with_inputs(self, changed: dict[int, np.ndarray]) -> OneOp:
        """The same with other content of some inputs."""
        return replace(self, inputs=tuple(changed.get(i, value) for i, value in enumerate(self.inputs)))


@dataclass(frozen=True)
class Result:
    """Content of all inputs and outputs after a run."""

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


def floats(count: int) -> tuple[tuple[int, ...], str]:
    """A flat float32 output."""
    return (count,), "float32"


def ints(count: int) -> tuple[tuple[int, ...], str]:
    """A flat int32 output."""
    return (count,), "int32"


def choice_words(candidates: Sequence[tuple[Sequence[int], int]]) -> np.ndarray:
    """The tensor ``choice``: for each candidate its chosen channels and the offset of its part of the pool."""
    words = np.zeros(3 * len(candidates) + sum(len(channels) for channels, _ in candidates), np.int32)
    place = 3 * len(candidates)
    for i, (channels, offset) in enumerate(candidates):
        words[3 * i : 3 * i + 3] = len(channels), offset, place
        words[place : place + len(channels)] = channels
        place += len(channels)
    return words
