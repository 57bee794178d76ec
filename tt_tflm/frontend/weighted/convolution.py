# SPDX-License-Identifier: Apache-2.0
"""Convolutions of images and sequences: dense, grouped, depthwise, separable, transposed."""

from __future__ import annotations

from typing import Any

from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.linear import Geometry, Linear, Pair, Place, same_padding
from tt_tflm.frontend.weighted.rule import Apply, Call, WeightedLayer, activated, first, weighted


def _pairs(call: Call, what: str) -> Pair:
    *height, width = (int(v) for v in getattr(call.layer, what))
    return height[0] if height else 1, width


def _image(shape: tuple[int, ...]) -> tuple[int, int]:
    *height, width, _ = shape
    return height[0] if height else 1, width


def _taps(call: Call) -> Pair:
    return _pairs(call, "kernel_size")


def _geometry(call: Call, groups: int = 1) -> Geometry:
    strides, dilation = _pairs(call, "strides"), _pairs(call, "dilation_rate")
    axes = zip(_image(call.input_shapes[0]), _taps(call), strides, dilation, strict=True)
    if call.layer.padding == "same":
        padding = tuple(same_padding(*axis) for axis in axes)
    elif call.layer.padding == "causal":
        padding = ((0, 0), ((_taps(call)[1] - 1) * dilation[1], 0))
    else:
        padding = ((0, 0), (0, 0))
    return Geometry(strides, dilation, padding, groups)  # type: ignore[arg-type]


def _bias(call: Call) -> Place | None:
    return Place(call.layer.bias) if call.layer.use_bias else None


def _dense(call: Call) -> list[Linear]:
    kernel, bias = call.layer.kernel, _bias(call)
    shape = tuple(kernel.shape)
    kind = "conv1d" if len(shape) == 3 else "pointwise" if shape[:2] == (1, 1) else "conv2d"
    layer = Layer.of(call.name, kind, shape, bias is not None, call.input_shapes[0], call.output_shape)
    return [Linear(layer, Place(kernel), bias, _geometry(call, int(call.layer.groups)))]


def _depthwise_shape(kernel: Any) -> tuple[int, ...]:
    shape = tuple(kernel.shape)
    return shape if len(shape) == 4 else (1, *shape)


def _depthwise(call: Call) -> list[Linear]:
    kernel, bias = call.layer.kernel, _bias(call)
    shape = _depthwise_shape(kernel)
    layer = Layer.of(call.name, "depthwise", shape, bias is not None, call.input_shapes[0], call.output_shape)
    return [Linear(layer, Place(kernel), bias, _geometry(call))]


def _separable(call: Call) -> list[Linear]:
    depthwise, pointwise, bias = call.layer.depthwise_kernel, call.layer.pointwise_kernel, _bias(call)
    between = (*call.output_shape[:-1], pointwise.shape[-2])
    shape = _depthwise_shape(depthwise)
    taps = Layer.of(f"{call.name}/depthwise", "depthwise", shape, False, call.input_shapes[0], between)
    kind = "pointwise" if len(call.output_shape) == 3 else "conv1d"
    mix = Layer.of(f"{call.name}/pointwise", kind, tuple(pointwise.shape), bias is not None, between, call.output_shape)
    return [Linear(taps, Place(depthwise), None, _geometry(call)), Linear(mix, Place(pointwise), bias)]


def _check_transposed(call: Call) -> None:
    if any(d != 1 for d in _pairs(call, "dilation_rate")):
        raise call.refuse("dilation_rate 1", call.layer.dilation_rate, "use UpSampling2D and a dilated Conv2D")


def _transposed(call: Call) -> list[Linear]:
    kernel, bias = call.layer.kernel, _bias(call)
    shape = tuple(kernel.shape) if len(kernel.shape) == 4 else (1, *kernel.shape)
    strides = _pairs(call, "strides")
    padding, more = [], []
    sizes = zip(_image(call.input_shapes[0]), _image(call.output_shape), _taps(call), strides, strict=True)
    for size, out, taps, stride in sizes:
        whole = (size - 1) * stride + taps
        before = max(whole - out, 0) // 2 if call.layer.padding == "same" else 0
        after = whole - before - out
        padding.append((before, max(after, 0)))
        more.append(max(-after, 0))
    layer = Layer.of(call.name, "conv2d_transpose", shape, bias is not None, call.input_shapes[0], call.output_shape)
    geometry = Geometry(strides, (1, 1), tuple(padding), 1, tuple(more))  # type: ignore[arg-type]
    return [Linear(layer, Place(kernel), bias, geometry)]


def _run(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    return activated(call.layer, apply(0, first(inputs)))


def _run_separable(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    return activated(call.layer, apply(1, apply(0, first(inputs))))


_LAST = "channels_last"
weighted(WeightedLayer(("Conv2D", "Conv1D"), _dense, _run, ends_linear=True, int8=True, limits=_LAST))
weighted(
    WeightedLayer(("DepthwiseConv2D", "DepthwiseConv1D"), _depthwise, _run, ends_linear=True, int8=True, limits=_LAST)
)
weighted(
    WeightedLayer(
        ("SeparableConv2D", "SeparableConv1D"),
        _separable,
        _run_separable,
        ends_linear=True,
        handled="depthwise and pointwise",
        int8=True,
        limits=_LAST,
    )
)
weighted(
    WeightedLayer(
        ("Conv2DTranspose", "Conv1DTranspose"),
        _transposed,
        _run,
        _check_transposed,
        ends_linear=True,
        limits=f"{_LAST}, dilation 1",
    )
)
