# SPDX-License-Identifier: Apache-2.0
"""What runs the models of exported firmware in tests: the tflite-micro wheel, asked over a socket by tflm_shim."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import tt_tflm
from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.errors import DeviceError
from tt_tflm.files.ops_path import ops_path

# The operators are compiled in tests/tflm, and run in the wheel here: firmware gets a table of none.
NO_OPS = """#include "tt_register_ops.h"

const tinytrain::OpEntry &tinytrain::RegisteredOp(int)
{
    static const OpEntry op = {};
    return op;
}
"""
KERNELS = frozenset(path.stem for path in (ops_path() / "kernels" / "src").glob("*.c"))


class _Model:
    def __init__(self, content: bytes) -> None:
        self._interpreter = TflmInterpreter(content)
        self._inputs, self._outputs = self._interpreter.tensors()

    def about(self) -> bytes:
        """How many inputs and outputs there are; of each its bytes, and of an output the input that it is, or -1."""
        places = [tensor.ctypes.data for tensor in self._inputs]
        tensors = [(tensor.nbytes, -1) for tensor in self._inputs]
        for tensor in self._outputs:
            place = tensor.ctypes.data
            tensors.append((tensor.nbytes, places.index(place) if place in places else -1))
        words = [len(self._inputs), len(self._outputs), *(word for tensor in tensors for word in tensor)]
        return struct.pack(f"<{len(words)}i", *words)

    def run(self, line: socket.socket) -> None:
        for tensor in self._inputs:
            tensor[:] = np.frombuffer(_received(line, tensor.nbytes), np.uint8)
        refused = 0
        try:
            self._interpreter.invoke()
        except DeviceError:
            refused = 1
        line.sendall(struct.pack("<i", refused))
        for tensor in self._outputs:
            line.sendall(tensor.tobytes())


@contextmanager
def served(build: tt_tflm.Build, path: Path) -> Iterator[None]:
    """The models of a build at a socket of that path, for one firmware after the other."""
    stopped = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(0.1)

        def serve() -> None:
            while not stopped.is_set():
                try:
                    line, _ = listener.accept()
                except TimeoutError:
                    continue
                with line:
                    line.setblocking(True)
                    _answer(line, build)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()


def _answer(line: socket.socket, build: tt_tflm.Build) -> None:
    """Takes requests of two numbers: 0 to open a model or 1 to run it, and which one of the build's it is."""
    names, models = list(build.simulation["tflm"]), {}
    while request := _received(line, 8):
        runs, index = struct.unpack("<2i", request)
        if runs:
            models[index].run(line)
        else:
            name = names[index]
            models[index] = _Model(build.models[name])
            line.sendall(models[index].about())


def _received(line: socket.socket, count: int) -> bytes:
    """That many bytes; none where the other side is gone."""
    parts = []
    while count > 0:
        part = line.recv(count)
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
