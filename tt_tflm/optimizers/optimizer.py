# SPDX-License-Identifier: Apache-2.0
"""What an optimiser is, and the list of them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from tt_tflm.errors import InputError, expect_count, expect_positive
from tt_tflm.extensions.registry import Registry
from tvm_passes.specs import OptimizerSpec

_NO_CONSTANTS = ("learning_rate", "batch_size")


class Optimizer:
    """An optimiser: how a gradient changes a row.

    A subclass is a frozen dataclass with ``learning_rate`` first and ``batch_size`` last; the fields between are its
    constants. It is registered by ``register_optimizer``. Its maths is a C source with two things, ``<name>`` being
    that of the class::

        /* hyper: learning rate, constants, counters. Moments: in and out, [count], as the class lists them. */
        void tt_<name>_update(float *row, float *moment..., const float *gradient, uint32_t count, const float *hyper);
        const tt_optimizer_t tt_optimizer_<name>;      /* ops/include/tt_optimizer.h */

    Attributes:
        name: on the command line, in reports and in C.
        moments: names of what it keeps for every trained parameter, one float each, 0 at the start.
        counters: what it keeps once: the numbers at the start.
        fusible: whether a batch of one may be applied by the gradient kernels: row -= learning_rate * gradient.
        sources: of C: names of files in ops/src, or paths of one's own.

    Args:
        learning_rate: positive.
        batch_size: samples, given one at a time, whose mean gradient makes one update.

    Raises:
        InputError: an argument is out of range.
    """

    name: ClassVar[str]
    moments: ClassVar[tuple[str, ...]] = ()
    counters: ClassVar[tuple[float, ...]] = ()
    fusible: ClassVar[bool] = False
    sources: ClassVar[tuple[str | Path, ...]]

    # Of the subclass, which decides their order: a dataclass would put these before its constants.
    learning_rate: float
    batch_size: int

    def __post_init__(self) -> None:
        expect_positive(type(self).__name__, "learning_rate", self.learning_rate)
        expect_count(type(self).__name__, "batch_size", self.batch_size, 1)

    def spec(self, *, at_run_time: bool = False) -> OptimizerSpec:
        """The optimiser as the passes know it; ``at_run_time``: channels are chosen on the board."""
        names = [f.name for f in fields(self)]  # type: ignore[arg-type]  # registered classes are dataclasses
        constants = {name: float(getattr(self, name)) for name in names if name not in _NO_CONSTANTS}
        return OptimizerSpec(
            self.name, self.batch_size, at_run_time, constants, self.counters, self.moments, self.fusible
        )


OPTIMIZERS: Registry[type[Optimizer]] = Registry("an optimiser", "tt_tflm.optimizers", in_c=True)
_AnyOptimizer = TypeVar("_AnyOptimizer", bound=type[Optimizer])


def register_optimizer(cls: _AnyOptimizer) -> _AnyOptimizer:
    """Class decorator: the optimiser is known under its name from now on.

    Raises:
        InputError: the name is malformed or another optimiser's, or the class no dataclass of the fields that it has to
            have.
    """
    names: list[str] = [field.name for field in fields(cls)] if is_dataclass(cls) else []
    if names[:1] != ["learning_rate"] or names[-1:] != ["batch_size"]:
        raise InputError(
            f"optimiser {cls.__name__}: expected a dataclass with learning_rate first and batch_size last, received "
            f"{', '.join(names) or 'no fields'}"
        )
    OPTIMIZERS.add(cls.name, cls)
    return cls
