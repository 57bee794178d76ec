# SPDX-License-Identifier: Apache-2.0
"""The .tflite files of a build of the backend ``tflm`` in TFLM's interpreter, their tensors called by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.emit.tflm.params import Command


class TflmModel:
    """A model whose tensors are called by name.

    Args:
        content: of the .tflite file.
        layout: names of its ``inputs`` and ``outputs``, in order.
        x_shape: of its input ``x``.

    Attributes:
        arena: what it takes of TFLM's arena.
    """

    def __init__(self, content: bytes, layout: Mapping[str, Sequence[str]], x_shape: tuple[int, ...]) -> None:
        self._interpreter = TflmInterpreter(content)
        self._inputs = {name: i for i, name in enumerate(layout["inputs"])}
        self._outputs = {name: i for i, name in enumerate(layout["outputs"])}
        self._x_shape = x_shape
        self.arena = self._interpreter.arena

    @property
    def state(self) -> list[str]:
        """Names of the variable tensors."""
        return [name for name in self._outputs if name in self._inputs]

    def read(self, name: str) -> np.ndarray:
        """An output as it is now."""
        return self._interpreter.output(self._outputs[name])

    def write(self, name: str, value: np.ndarray) -> None:
        """Set an input or a variable."""
        self._interpreter.set_input(self._inputs[name], value)

    def clear(self, *names: str) -> None:
        """Variables to zero."""
        for name in names:
            self.write(name, np.zeros_like(self.read(name)))

    def run(self, x: np.ndarray | None, label: int, command: Command, seed: np.ndarray | None = None) -> None:
        """One run.

        Args:
            x: float32, a sample; None where the command needs none.
            label: of the sample.
            command: what to do.
            seed: float32 (elements,), the gradient with respect to the embedding for ACCUMULATE.
        """
        self.write("x", np.zeros(self._x_shape, np.float32) if x is None else x.reshape(self._x_shape))
        self.write("label", np.array([label], np.int32))
        self.write("command", np.array([command], np.int32))
        if "seed" in self._inputs:
            self.write("seed", np.zeros(self.read("embedding").size, np.float32) if seed is None else seed)
        self._interpreter.invoke()

    def reset(self) -> None:
        """All variables to zero."""
        self._interpreter.reset()

    def embedding(self, x: np.ndarray) -> np.ndarray:
        """Embedding of a sample, float32 (elements,)."""
        self.run(x, 0, Command.PREDICT)
        return self.read("embedding").ravel()

    def enroll(self, x: np.ndarray, label: int) -> None:
        """Adds a sample to its prototype."""
        self.run(x, label, Command.ENROLL)

    def forget_prototypes(self) -> None:
        """Forgets what was enrolled."""
        self.clear("sums", "counts")

    def accumulate(self, x: np.ndarray, seed: np.ndarray) -> None:
        """Adds the gradients that follow from that gradient with respect to the embedding of x."""
        self.run(x, 0, Command.ACCUMULATE, seed)

    def update(self) -> None:
        """Updates by what was accumulated, and clears it."""
        self.run(None, 0, Command.UPDATE)
