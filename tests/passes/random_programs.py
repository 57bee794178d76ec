# SPDX-License-Identifier: Apache-2.0
"""Random functions of kernel calls: chains, joins, results in place, rows that are read and later updated."""

from __future__ import annotations

import tvm
from hypothesis import strategies as st

from tvm_passes.kernel import INOUT, OUT, ROWS, Kernel, Param
from tvm_passes.kernels.elementwise import MASK_BITS

from .programs import Call, accumulate, binary, concat, module_of, unary
from .trials import Draw

FUNCTION = "f"
ROWS_ELEMENTS = 6
SIZES = (1, 3, 8, 20, 64)


class _Sketch:
    """The calls so far, and the tensors that may still be read: name to elements."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.params = {"x": draw(st.sampled_from(SIZES)), "total": 8}
        self.readable = dict(self.params)
        self.calls: list[Call] = []
        self.untouched_rows = [f"rows_{i}" for i in range(draw(st.integers(0, 3)))]
        for rows in self.untouched_rows:
            self.params[rows] = ROWS_ELEMENTS
            self.params[rows.replace("rows", "pool")] = ROWS_ELEMENTS

    def pick(self, names: list[str] | None = None) -> str:
        return self.draw(st.sampled_from(sorted(self.readable) if names is None else names))

    def call(self, kernel: Kernel, *arguments: str) -> None:
        name = f"v{len(self.calls)}"
        self.calls.append((name, kernel, arguments))
        self.readable[name] = kernel.params[-1].elements

    def of_size(self, name: str) -> list[str]:
        return sorted(n for n, size in self.readable.items() if size == self.readable[name])

    # -------------------------------------------------------------- kinds of calls

    def unary(self) -> None:
        x = self.pick()
        self.call(unary(self.draw(st.sampled_from(("clip", "tanh"))), self.readable[x]), x)

    def binary(self) -> None:
        a = self.pick()
        self.call(binary("add", self.readable[a]), a, self.pick(self.of_size(a)))

    def resize(self) -> None:
        x, n = self.pick(), self.draw(st.sampled_from(SIZES))
        self.call(Kernel("slice", (Param("x", self.readable[x]), Param("y", n, OUT))), x)

    def join(self) -> None:
        names = [self.pick() for _ in range(self.draw(st.integers(2, 3)))]
        self.call(concat(*(self.readable[n] for n in names)), *names)

    def mask(self) -> None:
        x = self.pick()
        n = self.readable[x]
        words = -(-n // MASK_BITS)
        self.call(Kernel("clip_mask", (Param("y", n), Param("mask", words, OUT, "uint32")), {}), x)
        mask = f"v{len(self.calls) - 1}"
        del self.readable[mask]
        g = self.pick(self.of_size(x))
        params = (Param("g", n), Param("mask", words, dtype="uint32"), Param("dx", n, OUT))
        self.call(Kernel("mask_grad", params, {}, ("g",)), g, mask)

    def in_place(self) -> None:
        target = self.pick([n for n in sorted(self.readable) if n != "x"])
        g = self.pick(self.of_size(target))
        if g != target:
            self.call(accumulate(self.readable[target]), g, target)
            del self.readable[target]

    def read_rows(self) -> None:
        if self.untouched_rows:
            x, n = self.pick(), self.draw(st.sampled_from(SIZES))
            params = (Param("x", self.readable[x]), Param("rows", ROWS_ELEMENTS, ROWS), Param("y", n, OUT))
            self.call(Kernel("conv2d", params), x, self.pick(self.untouched_rows))

    def update_rows(self) -> None:
        if self.untouched_rows:
            rows, g = self.pick(self.untouched_rows), self.pick()
            self.untouched_rows.remove(rows)
            pool = rows.replace("rows", "pool")
            params = (
                Param("g", self.readable[g]),
                Param("rows", ROWS_ELEMENTS, ROWS),
                Param("pool", ROWS_ELEMENTS, INOUT),
            )
            self.call(Kernel("conv2d_grad_weights", params), g, rows, pool)
            # Nothing reads the updated rows before the next call of the function.
            self.updated.append(f"v{len(self.calls) - 1}")
            del self.readable[self.updated[-1]]

    def run(self) -> tvm.IRModule:
        self.updated: list[str] = []
        kinds = (
            *(self.unary, self.unary, self.binary, self.resize, self.join),
            *(self.mask, self.in_place, self.read_rows, self.update_rows),
        )
        for _ in range(self.draw(st.integers(1, 14))):
            self.draw(st.sampled_from(kinds))()
        if not any(name.startswith("v") for name in self.readable):
            self.unary()
        # A parameter that nothing has written is no result.
        results = sorted(name for name in self.readable if name.startswith("v"))
        outputs = self.draw(st.lists(st.sampled_from(results), min_size=1, max_size=3, unique=True))
        return module_of(FUNCTION, self.params, self.calls, [*outputs, *self.updated])


@st.composite
def programs(draw: Draw) -> tvm.IRModule:
    """A module with one function."""
    return _Sketch(draw).run()
