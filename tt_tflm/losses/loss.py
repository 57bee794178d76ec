# SPDX-License-Identifier: Apache-2.0
"""What a loss is, and the list of them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TypeVar

from tt_tflm.errors import InputError
from tt_tflm.extensions.registry import Registry
from tvm_passes.specs import CLASS, VECTOR, LossSpec


class Loss:
    """A loss: how the model's output and a label make one number, and its gradient with respect to the output.

    A subclass is a frozen dataclass whose fields are the loss's settings, registered by ``register_loss``. Its maths is
    a C source with two things, ``<name>`` being that of the class::

        /* gradient: out, [elements], of the loss with respect to output; it may be output. loss: out.
         * TT_ERROR_NOT_FINITE: nothing that is not finite was written as loss. */
        tt_status_t tt_<name>_loss(const float *output, uint32_t elements, uint32_t label or const float *target,
                                   float *gradient, float *loss);
        const tt_loss_t tt_loss_<name>;      /* ops/include/tt_loss.h */

    Attributes:
        name: on the command line, in reports and in C.
        label: ``class``, a class index, or ``vector``, float32 numbers.
        sources: of C: names of files in ops/src, or paths of one's own.
        temperature: factor on cosines to prototypes; None where the loss has no prototypes.
    """

    name: ClassVar[str]
    temperature: float | None = None
    label: ClassVar[str] = CLASS
    sources: ClassVar[tuple[str | Path, ...]]

    def check(self, model: str, output_elements: int, ends_in_softmax: bool) -> None:
        """Refuse a model whose output does not fit.

        Args:
            model: its name, for the message.
            output_elements: length of its output.
            ends_in_softmax: whether that is what a softmax gives.

        Raises:
            InputError: it does not fit.
        """

    def label_elements(self, output_elements: int) -> int:
        """Length of a label that is a vector; 1 for a class."""
        return 1 if self.label == CLASS else output_elements

    def spec(self, output_elements: int) -> LossSpec:
        """The loss as the passes know it."""
        return LossSpec(
            self.name,
            output_elements,
            f"tt_{self.name}_loss",
            self.label,
            self.label_elements(output_elements),
        )


LOSSES: Registry[type[Loss]] = Registry("a loss", "tt_tflm.losses", in_c=True)
_AnyLoss = TypeVar("_AnyLoss", bound=type[Loss])


def register_loss(cls: _AnyLoss) -> _AnyLoss:
    """Class decorator: the loss is known under its name from now on.

    Raises:
        InputError: the name is malformed or another loss's, or the label is of no known kind.
    """
    if cls.label not in (CLASS, VECTOR):
        raise InputError(f"loss {cls.__name__}: expected a label of {CLASS} or {VECTOR}, received {cls.label!r}")
    LOSSES.add(cls.name, cls)
    return cls
