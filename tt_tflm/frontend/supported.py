# SPDX-License-Identifier: Apache-2.0
"""What the front end takes, from the tables of weighted layers and of operations."""

from __future__ import annotations

from dataclasses import dataclass

from tt_tflm.frontend.fold import DROPPED
from tt_tflm.frontend.weighted import COMPOSITE, WEIGHTED_LAYERS

WEIGHTS, PASSES, NOTHING = "weights", "passes gradients", "nothing"


@dataclass(frozen=True)
class SupportedLayer:
    """A line of `tt-tflm supported-ops`.

    Attributes:
        layer: classes in `keras.layers`, or an operation that layers, operators and functions of any class are made of.
        handled: what becomes of it in the build.
        trains: "weights" where its rows can be trained, "passes gradients" where only the layers before it can,
            "nothing" where what lies before it gets no gradient.
        int8: whether it has an integer form.
        limits: what is refused.
    """

    layer: str
    handled: str
    trains: str
    int8: bool
    limits: str = ""


def supported_layers() -> tuple[SupportedLayer, ...]:
    """A line for each: layers with weights, layers that vanish, operations."""
    from tvm_passes.ops import OPS  # TVM takes seconds to import, and most commands end before they need it.

    rules = {id(rule): rule for rule in WEIGHTED_LAYERS.values()}
    lines = [
        SupportedLayer(", ".join(rule.names), rule.handled, WEIGHTS, rule.int8, rule.limits) for rule in rules.values()
    ]
    lines.append(SupportedLayer("layers that call these", COMPOSITE.handled, WEIGHTS, False))
    lines.append(SupportedLayer("BatchNormalization", "folded, else scale and shift", PASSES, True, "as at inference"))
    lines.append(SupportedLayer(", ".join((*DROPPED, "Random...")), "dropped", PASSES, True))
    for op in OPS.values():
        sources = [name.removeprefix("relax.").removeprefix("nn.") for name in op.lowers]
        if op.weighted or not (sources or op.pattern):
            continue
        moves_nothing = op.schedule is None  # a name for what is there already
        gradient = moves_nothing or (op.gradient is not None and not op.gradient.zero)
        lines.append(
            SupportedLayer(
                op.name,
                f"of {', '.join(sources)}" if sources else "a pattern of others",
                PASSES if gradient else NOTHING,
                moves_nothing or op.int8 is not None,
            )
        )
    return tuple(lines)
