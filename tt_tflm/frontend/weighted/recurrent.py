# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers of a fixed length, unrolled: one map of all inputs, and one of the state that every step uses.

The equations are those of Keras: Hochreiter and Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU, ``reset_after`` as in
cuDNN or not).
"""

from __future__ import annotations

from typing import Any

from tt_tflm.frontend.linear import Linear, Place
from tt_tflm.frontend.quiet import import_tensorflow
from tt_tflm.frontend.weighted.dense import dense_map
from tt_tflm.frontend.weighted.rule import Apply, Call, WeightedLayer, weighted

_INPUT, _STATE = 0, 1


def _check(call: Call) -> None:
    if call.layer.stateful:
        raise call.refuse("a layer without state between samples", "stateful=True", "make it with stateful=False")
    if call.arguments is not None and call.arguments.kwargs.get("mask") is not None:
        raise call.refuse("whole sequences", "a mask", "cut or pad the sequences before the model")


def _parts(call: Call) -> list[Linear]:
    cell = call.layer.cell
    (steps, inputs), units = call.input_shapes[0], int(cell.units)
    width = int(cell.kernel.shape[-1])
    bias = None if cell.bias is None else Place(cell.bias)
    of_state = None
    if bias is not None and len(cell.bias.shape) == 2:  # a GRU with reset_after has one for each map
        bias, of_state = Place(cell.bias, 0), Place(cell.bias, 1)
    of_inputs = dense_map(f"{call.name}/kernel", cell.kernel, bias, (steps, inputs), (steps, width))
    if steps == 1 and len(call.input_shapes) == 1 and type(call.layer).__name__ != "GRU":
        return [of_inputs]  # the state is zero wherever it is read
    return [of_inputs, dense_map(f"{call.name}/recurrent", cell.recurrent_kernel, of_state, (units,), (width,))]


def _lstm(cell: Any, x: Any, states: list[Any], apply: Apply) -> list[Any]:
    tf = import_tensorflow()
    gate, squash = cell.recurrent_activation, cell.activation
    z = x if states[0] is None else x + apply(_STATE, states[0])
    i, f, g, o = tf.split(z, 4, axis=-1)
    carry = gate(i) * squash(g)
    if states[1] is not None:
        carry = gate(f) * states[1] + carry
    return [gate(o) * squash(carry), carry]


def _gru(cell: Any, x: Any, states: list[Any], apply: Apply) -> list[Any]:
    tf = import_tensorflow()
    gate, squash = cell.recurrent_activation, cell.activation
    # The bias of the state's map counts in the first step too: a zero that a converter cannot fold.
    h = tf.minimum(tf.maximum(x[:, : cell.units], 0.0), 0.0) if states[0] is None else states[0]
    xz, xr, xh = tf.split(x, 3, axis=-1)
    hz, hr, hh = tf.split(apply(_STATE, h), 3, axis=-1)
    z, r = gate(xz + hz), gate(xr + hr)
    if cell.reset_after:
        candidate = squash(xh + r * hh)
    else:
        candidate = squash(xh + tf.split(apply(_STATE, r * h), 3, axis=-1)[2])
    return [z * h + (1.0 - z) * candidate]


def _simple(cell: Any, x: Any, states: list[Any], apply: Apply) -> list[Any]:
    z = x if states[0] is None else x + apply(_STATE, states[0])
    return [z if cell.activation is None else cell.activation(z)]


_STEPS = {"LSTM": (_lstm, 2), "GRU": (_gru, 1), "SimpleRNN": (_simple, 1)}


def _run(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    tf = import_tensorflow()
    layer = call.layer
    step, count = _STEPS[type(layer).__name__]
    sequence, *states = inputs
    states = states or [None] * count
    x = apply(_INPUT, sequence)
    times = range(call.input_shapes[0][0])
    outputs = []
    for time in reversed(times) if layer.go_backwards else times:
        states = step(layer.cell, x[:, time], states, apply)
        outputs.append(states[0])
    result = tf.stack(outputs, axis=1) if layer.return_sequences else outputs[-1]
    return [result, *states] if layer.return_state else result


weighted(
    WeightedLayer(
        tuple(_STEPS), _parts, _run, _check, handled="unrolled, step by step", limits="fixed length, no mask, no state"
    )
)
