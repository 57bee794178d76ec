# SPDX-License-Identifier: Apache-2.0
"""Layers with weights, a file for each family: which linear maps they are made of, and what they do around them. To add
one, register a ``WeightedLayer`` here or anywhere else before a model is converted."""

from __future__ import annotations

from tt_tflm.frontend.weighted import convolution, dense, normalization, recurrent, wrappers
from tt_tflm.frontend.weighted.composite import COMPOSITE, has_weighted_children
from tt_tflm.frontend.weighted.rule import WEIGHTED_LAYERS, Call, WeightedLayer, rule_of, weighted

__all__ = ["COMPOSITE", "WEIGHTED_LAYERS", "Call", "WeightedLayer", "rule_for", "weighted"]

FAMILIES = (convolution, dense, normalization, recurrent, wrappers)


def rule_for(operation: object) -> WeightedLayer | None:
    """What a layer with weights becomes: by the rule of its class, or by those of the layers within it. None for
    everything else: what it has of weights are constants."""
    return rule_of(operation) or (COMPOSITE if has_weighted_children(operation) else None)
