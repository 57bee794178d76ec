# SPDX-License-Identifier: Apache-2.0
"""Losses and optimisers as the passes know them: what they compute is a function of C, named here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

CLASS, VECTOR = "class", "vector"


@dataclass(frozen=True)
class LossSpec:
    """A loss as the passes know it.

    Args:
        kind: its name, that of its ``tt_loss_t`` too: ``tt_loss_<kind>``.
        classes: length of the scores; with prototypes their number.
        function: of C, ``(output, elements, label, gradient, loss)`` and a ``tt_status_t``; with prototypes as
            ``tt_prototypes_loss``. The gradient may lie where the output lies.
        label: ``class``, a uint32, or ``vector``, float32 (label_elements,).
        label_elements: of a vector; 1 for a class.
        prototypes: whether it compares with prototypes.
        of_logits: whether a softmax at the end of the network is left out, since the loss takes the logits.
    """

    kind: str
    classes: int
    function: str
    label: str = CLASS
    label_elements: int = 1
    prototypes: bool = False
    of_logits: bool = False


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimiser as the passes know it.

    Args:
        kind: its name; C has ``tt_optimizer_<kind>``, and ``tt_<kind>_update(row, moments..., gradient, count,
        hyper)``.
        batch_size: samples whose mean gradient makes one update.
        at_run_time: channels are chosen on the board, so no buffer of the arena can hold just their gradients.
        constants: what ``hyper`` holds behind the learning rate, in order.
        counters: what ``hyper`` holds behind the constants, as it begins.
        moments: the buffers that it keeps for every trained layer, each as large as its rows.
        fusible: whether the update can be part of the gradient kernel: row -= learning_rate * gradient.
    """

    kind: str
    batch_size: int = 1
    at_run_time: bool = False
    constants: Mapping[str, float] = field(default_factory=dict)
    counters: tuple[float, ...] = ()
    moments: tuple[str, ...] = ()
    fusible: bool = False

    @property
    def hyper_elements(self) -> int:
        """Length of ``hyper``."""
        return 1 + len(self.constants) + len(self.counters)

    @property
    def fused(self) -> bool:
        """Whether the update is part of the gradient kernel."""
        return self.fusible and self.batch_size == 1

    @property
    def accumulates(self) -> bool:
        """Whether gradients persist until ``apply_update``."""
        return self.batch_size > 1 or (self.at_run_time and not self.fused)

    @property
    def state(self) -> tuple[str, ...]:
        """The buffers that persist for every trained layer beside its rows."""
        return self.moments + (("gradient",) if self.accumulates else ())

    def keeping_gradients(self) -> OptimizerSpec:
        """The same optimiser with updates that are no part of gradient kernels."""
        return replace(self, fusible=False)
