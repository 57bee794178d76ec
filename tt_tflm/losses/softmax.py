# SPDX-License-Identifier: Apache-2.0
"""Cross-entropy of a classifier."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tt_tflm.errors import InputError
from tt_tflm.losses.loss import Loss, register_loss
from tvm_passes.specs import LossSpec


@register_loss
@dataclass(frozen=True)
class SoftmaxLoss(Loss):
    """Cross-entropy of softmax(logits) against the label, on a classifier whose output is logits or a softmax.

    loss = log(sum_c exp(z_c)) - z_label
    """

    name = "softmax"
    sources = ("tt_softmax_loss.c", "tt_softmax_cross_entropy.c")

    def check(self, model: str, output_elements: int, ends_in_softmax: bool) -> None:
        if output_elements < 2:
            raise InputError(
                f"model '{model}': expected an output of at least 2 classes for SoftmaxLoss, received {output_elements}"
            )

    def spec(self, output_elements: int) -> LossSpec:
        return replace(super().spec(output_elements), function="tt_softmax_cross_entropy", of_logits=True)
