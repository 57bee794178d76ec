# SPDX-License-Identifier: Apache-2.0
"""Cross-entropy over cosines to class prototypes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tt_tflm.errors import InputError, expect_count, expect_positive
from tt_tflm.losses.loss import Loss, register_loss
from tvm_passes.specs import LossSpec


@register_loss
@dataclass(frozen=True)
class PrototypeLoss(Loss):
    """Cross-entropy over the cosine similarities of an embedding to class prototypes (Snell et al., 2017; Kwon et
    al., 2024).

    z_c = temperature * cos(embedding, mean of the enrolled embeddings of class c);
    loss = log(sum_c exp(z_c)) - z_label.
    Prototypes are held constant within a train step.

    Args:
        classes: number of prototypes, at least 2.
        temperature: factor on the cosine, positive.

    Raises:
        InputError: an argument is out of range.
    """

    classes: int = 5
    temperature: float = 5.0
    name = "prototype"
    sources = ("tt_prototype_loss.c", "tt_prototypes.c", "tt_softmax_cross_entropy.c")

    def __post_init__(self) -> None:
        expect_count("PrototypeLoss", "classes", self.classes, 2)
        expect_positive("PrototypeLoss", "temperature", self.temperature)

    def check(self, model: str, output_elements: int, ends_in_softmax: bool) -> None:
        if ends_in_softmax:
            raise InputError(
                f"model '{model}': expected an embedding as output for PrototypeLoss, received a softmax: "
                "cut the classifier off, or use SoftmaxLoss"
            )

    def spec(self, output_elements: int) -> LossSpec:
        spec = super().spec(output_elements)
        return replace(spec, classes=self.classes, function="tt_prototypes_loss", prototypes=True)
