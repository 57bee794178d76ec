# SPDX-License-Identifier: Apache-2.0
"""A layer for each step of a sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tt_tflm.frontend.linear import Linear
from tt_tflm.frontend.quiet import import_keras, import_tensorflow
from tt_tflm.frontend.weighted.rule import Apply, Call, WeightedLayer, first, weighted


def _step(call: Call) -> Call:
    """The call of the layer within, for one step."""
    from keras.src.ops.symbolic_arguments import SymbolicArguments

    symbol = import_keras().KerasTensor((1, *call.input_shapes[0][1:]), "float32")
    inner = call.layer.layer
    return Call(
        f"{call.name}/{inner.name}",
        inner,
        (call.input_shapes[0][1:],),
        call.output_shape[1:],
        SymbolicArguments(symbol),
        (symbol,),
    )


def _inner(call: Call) -> tuple[Call, WeightedLayer | None]:
    from tt_tflm.frontend.weighted import rule_for

    step = _step(call)
    if type(step.layer).__name__ == "Dense":  # which takes every rank, so that no step needs a call of its own
        step = replace(step, input_shapes=call.input_shapes, output_shape=call.output_shape)
    return step, rule_for(step.layer)


def _check(call: Call) -> None:
    step, rule = _inner(call)
    if rule is not None:
        rule.check(step)


def _parts(call: Call) -> list[Linear]:
    step, rule = _inner(call)
    return [] if rule is None else rule.parts(step)


def _run(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    tf = import_tensorflow()
    x = first(inputs)
    step, rule = _inner(call)
    if rule is not None and step.input_shapes == call.input_shapes:
        return rule.run(step, apply, [x])
    outputs = []
    for time in range(call.input_shapes[0][0]):
        outputs.append(step.layer(x[:, time]) if rule is None else rule.run(step, apply, [x[:, time]]))
    return tf.stack(outputs, axis=1)


weighted(WeightedLayer(("TimeDistributed",), _parts, _run, _check, handled="step by step"))
