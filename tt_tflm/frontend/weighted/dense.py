# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers over the last axis, whatever the others are."""

from __future__ import annotations

import math
from typing import Any

from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.linear import Linear, Place
from tt_tflm.frontend.quiet import import_tensorflow
from tt_tflm.frontend.weighted.rule import Apply, Call, WeightedLayer, activated, first, weighted


def dense_map(
    name: str, kernel: Any, bias: Place | None, input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> Linear:
    """A map of the last axis.

    Args:
        name: of the layer.
        kernel: a place, or a variable; of (inputs, outputs) numbers in that order, whatever its shape.
        bias: of as many numbers as outputs.
        input_shape: (..., inputs).
        output_shape: (..., outputs).
    """
    shape = (input_shape[-1], output_shape[-1])
    layer = Layer.of(name, "dense", shape, bias is not None, input_shape, output_shape)
    return Linear(layer, kernel if isinstance(kernel, Place) else Place(kernel), bias)


def _dense(call: Call) -> list[Linear]:
    bias = Place(call.layer.bias) if call.layer.use_bias else None
    return [dense_map(call.name, call.layer.kernel, bias, call.input_shapes[0], call.output_shape)]


def _run(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    return activated(call.layer, apply(0, first(inputs)))


# -------------------------------------------------------------- einsum


def einsum_axes(layer: Any) -> tuple[int, int] | None:
    """How many trailing axes an EinsumDense contracts and makes; None where it is no map of trailing axes."""
    inputs, outputs = layer.equation.replace(" ", "").split("->")
    inputs, kernel = inputs.split(",")
    if "..." in inputs:
        inputs, outputs = inputs.replace("...", "0"), outputs.replace("...", "0")
    shared = [axis for axis in kernel if axis in inputs]
    made = [axis for axis in kernel if axis not in inputs]
    kept = [axis for axis in inputs if axis not in kernel]
    if list(inputs) != kept + shared or list(kernel) != shared + made or list(outputs) != kept + made:
        return None
    return len(shared), len(made)


def _check_einsum(call: Call) -> None:
    if einsum_axes(call.layer) is None:
        raise call.refuse(
            "an equation that maps the last axes, like 'abc,cde->abde'", call.layer.equation, "transpose before it"
        )
    bias = call.layer.bias
    if bias is not None and math.prod(bias.shape) != math.prod(_shapes(call)[2]):
        raise call.refuse("a bias over all axes that it makes", f"bias_axes {call.layer.bias_axes}", "give it all")


def _shapes(call: Call) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The axes that are kept, contracted and made. Keras may not know how many are kept."""
    contracted, made = einsum_axes(call.layer) or (0, 0)
    (shape,) = call.input_shapes
    place = len(shape) - contracted
    return shape[:place], shape[place:], tuple(call.output_shape[len(call.output_shape) - made :])


def _einsum(call: Call) -> list[Linear]:
    kept, contracted, made = _shapes(call)
    bias = None if call.layer.bias is None else Place(call.layer.bias)
    flat_in, flat_out = (*kept, math.prod(contracted)), (*kept, math.prod(made))
    return [dense_map(call.name, call.layer.kernel, bias, flat_in, flat_out)]


def _run_einsum(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    tf = import_tensorflow()
    kept, contracted, made = _shapes(call)
    y = apply(0, tf.reshape(first(inputs), (-1, *kept, math.prod(contracted))))
    return activated(call.layer, tf.reshape(y, (-1, *kept, *made)))


weighted(WeightedLayer(("Dense",), _dense, _run, ends_linear=True, int8=True))
weighted(
    WeightedLayer(("EinsumDense",), _einsum, _run_einsum, _check_einsum, limits="equations that map the last axes")
)
