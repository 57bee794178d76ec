# SPDX-License-Identifier: Apache-2.0
"""A float model of TensorFlow Lite as a Keras model, operator by operator, each a layer that is named after its output.

What is not translated to the same numbers is refused; each output has to have the shape that the file says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tt_tflm.errors import InputError, UnsupportedLayerError, shown
from tt_tflm.files.tflite_model import Operator, Tensor, TfliteModel
from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras

_PADDINGS = {0: "same", 1: "valid"}
_FUSED = {0: None, 1: "relu", 3: "relu6", 4: "tanh"}
# With a batch of any size, shapes are computed by these; for one sample the file tells them.
_SHAPE_ARITHMETIC = ("SHAPE", "STRIDED_SLICE", "GATHER", "PACK", "CONCATENATION", "REDUCE_PROD", "CAST")
_NAME = re.compile(r"[^A-Za-z0-9_.\-]+")


def build_tflite(parsed: TfliteModel, where: str) -> keras.Model:
    """The Keras model that computes what a model of TensorFlow Lite does.

    Args:
        parsed: checked by ``tt_tflm.files.tflite_model``.
        where: begins every error.

    Raises:
        InputError: it is quantised, or its inputs are not of floating point for one sample.
        UnsupportedLayerError: an operator, or an option of one, is not translated; names it by its output.
    """
    for tensor in parsed.tensors:
        if tensor.quantised and tensor.dtype is not None and tensor.dtype.kind in "iu" and tensor.dtype.itemsize < 4:
            raise InputError(
                f"{where}: expected a float model of TensorFlow Lite, received a quantised one (tensor "
                f"'{shown(tensor.name)}' in {tensor.dtype}); give the Keras model that it was made of, or convert that "
                "without quantisation"
            )
    return _Builder(parsed, where).model()


class _Builder:
    def __init__(self, parsed: TfliteModel, where: str) -> None:
        self._parsed = parsed
        self._where = where
        self._values: dict[int, Any] = {}
        self._constants = {i: tensor.data for i, tensor in enumerate(parsed.tensors) if tensor.data is not None}
        self._shapes: set[int] = set()
        self._names: set[str] = set()
        self._keras = import_keras()

    def model(self) -> keras.Model:
        inputs = [self._input(number) for number in self._parsed.inputs]
        for operator in self._parsed.operators:
            self._add(operator)
        missing = [number for number in self._parsed.outputs if number not in self._values]
        if missing or not inputs or not self._parsed.outputs:
            raise InputError(f"{self._where}: expected a model from inputs to outputs, received one without a way")
        outputs = [self._values[number] for number in self._parsed.outputs]
        return self._keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0])

    def _input(self, number: int) -> Any:
        tensor = self._parsed.tensors[number]
        if tensor.dtype != np.float32 or not tensor.shape or tensor.shape[0] != 1 or min(tensor.shape) < 1:
            raise InputError(
                f"{self._where}: expected float32 inputs for one sample, (1, ...), received '{shown(tensor.name)}' of "
                f"{tensor.dtype} {tensor.shape}; convert the model with a fixed input for one sample"
            )
        self._values[number] = self._keras.Input(tensor.shape[1:], name=self._name(tensor.name))
        return self._values[number]

    def _add(self, operator: Operator) -> None:
        if len(operator.outputs) != 1:
            self._refuse(operator, "operators of one output", f"{len(operator.outputs)}")
        output = operator.outputs[0]
        if operator.kind == "DEQUANTIZE" and operator.inputs[0] in self._constants:
            # Weights in half precision: widened, which is exact.
            self._constants[output] = self._constants[operator.inputs[0]].astype(np.float32)
            return
        if operator.kind in _SHAPE_ARITHMETIC and self._is_shape(operator):
            self._shapes.add(output)
            return
        translate = _TRANSLATIONS.get(operator.kind)
        if translate is None:
            self._refuse(operator, f"one of {', '.join(sorted(_TRANSLATIONS))}", operator.kind)
        call = _Call(self, operator)
        result = translate(call)
        tensor = self._parsed.tensors[output]
        if tuple(result.shape[1:]) != tensor.shape[1:]:
            self._refuse(operator, f"an output of shape {tensor.shape[1:]}", str(tuple(result.shape[1:])))
        self._values[output] = result

    def _is_shape(self, operator: Operator) -> bool:
        """Whether an operator's output comes of the shapes of tensors alone."""
        return operator.kind == "SHAPE" or all(
            number in self._shapes or number in self._constants for number in operator.inputs if number >= 0
        )

    def _name(self, name: str) -> str:
        """Of a layer: of names that were fused, the first; without what means something elsewhere."""
        base = _NAME.sub("_", name.partition(";")[0]).strip("_.") or "layer"
        found, number = base, 2
        while found in self._names:
            found, number = f"{base}_{number}", number + 1
        self._names.add(found)
        return found

    def _refuse(self, operator: Operator, expected: str, received: str) -> NoReturn:
        name = self._parsed.tensors[operator.outputs[0]].name if operator.outputs else "?"
        raise UnsupportedLayerError(
            f"{self._where}: operator '{shown(name)}' ({operator.kind}): expected {expected}, received {received}; "
            "give the Keras model that it was made of"
        )


class _Call:
    """One operator while it is translated."""

    def __init__(self, builder: _Builder, operator: Operator) -> None:
        self._builder = builder
        self._operator = operator
        self.layers = builder._keras.layers
        self.ops = builder._keras.ops
        self.output: Tensor = builder._parsed.tensors[operator.outputs[0]]

    def option(self, name: str) -> Any:
        return self._operator.options.get(name, 0)

    def value(self, place: int) -> Any:
        """An input that is computed."""
        number = self._number(place)
        if number not in self._builder._values:
            self.refuse("an input that is computed", "a constant or none")
        return self._builder._values[number]

    def constant(self, place: int) -> np.ndarray:
        number = self._number(place)
        if number not in self._builder._constants:
            self.refuse("a constant", f"an input {place} that is computed")
        return self._builder._constants[number]

    def has(self, place: int) -> bool:
        """Whether there is an input at this place."""
        return self._number(place) >= 0

    def is_constant(self, place: int) -> bool:
        return self._number(place) in self._builder._constants

    @property
    def places(self) -> range:
        return range(len(self._operator.inputs))

    def name(self, base: str | None = None) -> str:
        """Of the layer that is made, which is the output's unless told."""
        return self._builder._name(self.output.name if base is None else base)

    def refuse(self, expected: str, received: str) -> NoReturn:
        self._builder._refuse(self._operator, expected, received)

    def activation(self) -> str | None:
        fused = self.option("FusedActivationFunction")
        if fused not in _FUSED:
            self.refuse("relu, relu6 or tanh as fused activation", f"number {fused}")
        return _FUSED[fused]

    def activated(self, value: Any, name: str) -> Any:
        """With the operator's own activation, in a layer of its own."""
        fused = self.activation()
        return value if fused is None else self.layers.Activation(fused, name=self.name(f"{name}_{fused}"))(value)

    def layer(self, layer: Any, value: Any, weights: Sequence[np.ndarray] = ()) -> Any:
        """The output of a layer that has these weights."""
        result = layer(value)
        if weights:
            if [tuple(weight.shape) for weight in layer.weights] != [values.shape for values in weights]:
                self.refuse("weights that fit its input", str([values.shape for values in weights]))
            layer.set_weights(list(weights))
        return result

    def window(self) -> dict[str, Any]:
        padding = _PADDINGS.get(self.option("Padding"))
        return {"strides": (self.option("StrideH"), self.option("StrideW")), "padding": padding, "name": self.name()}

    def dilation(self) -> tuple[int, int]:
        return max(self.option("DilationHFactor"), 1), max(self.option("DilationWFactor"), 1)

    def bias(self, place: int) -> list[np.ndarray]:
        return [self.constant(place).reshape(-1)] if self.has(place) else []

    def _number(self, place: int) -> int:
        return self._operator.inputs[place] if place < len(self._operator.inputs) else -1


def _conv_2d(call: _Call) -> Any:
    kernel, value = call.constant(1).transpose(1, 2, 3, 0), call.value(0)
    bias = call.bias(2)
    groups = value.shape[-1] // max(kernel.shape[2], 1)
    if groups * kernel.shape[2] != value.shape[-1]:
        call.refuse(f"weights for {value.shape[-1]} channels", f"weights for {kernel.shape[2]}")
    layer = call.layers.Conv2D(
        kernel.shape[3], kernel.shape[:2], **call.window(), dilation_rate=call.dilation(), groups=groups,
        use_bias=bool(bias), activation=call.activation(),
    )  # fmt: skip
    return call.layer(layer, value, [kernel, *bias])


def _depthwise_conv_2d(call: _Call) -> Any:
    kernel, value = call.constant(1), call.value(0)
    bias = call.bias(2)
    kernel = kernel.reshape(*kernel.shape[1:3], value.shape[-1], -1)
    layer = call.layers.DepthwiseConv2D(
        kernel.shape[:2], **call.window(), dilation_rate=call.dilation(), depth_multiplier=kernel.shape[3],
        use_bias=bool(bias), activation=call.activation(),
    )  # fmt: skip
    return call.layer(layer, value, [kernel, *bias])


def _fully_connected(call: _Call) -> Any:
    kernel, value, bias = call.constant(1).T, call.value(0), call.bias(2)
    if call.option("WeightsFormat"):
        call.refuse("weights in their plain order", "shuffled ones")
    name = call.name()
    if len(value.shape) > 2 and not call.option("KeepNumDims"):
        value = call.layers.Flatten(name=call.name(f"{name}_flatten"))(value)
    if kernel.shape[:1] != (value.shape[-1],):
        call.refuse(f"weights for {value.shape[-1]} inputs", f"weights for {kernel.shape[0]}")
    layer = call.layers.Dense(kernel.shape[1], use_bias=bool(bias), activation=call.activation(), name=name)
    return call.layer(layer, value, [kernel, *bias])


def _pool(kind: str) -> Callable[[_Call], Any]:
    def translate(call: _Call) -> Any:
        window = call.window()
        size = (call.option("FilterHeight"), call.option("FilterWidth"))
        return call.activated(getattr(call.layers, kind)(size, **window)(call.value(0)), window["name"])

    return translate


def _merge(kind: str, operation: str) -> Callable[[_Call], Any]:
    def translate(call: _Call) -> Any:
        name = call.name()
        if call.is_constant(0) or call.is_constant(1):
            sides = [call.constant(i) if call.is_constant(i) else call.value(i) for i in (0, 1)]
            return call.activated(getattr(call.ops, operation)(*sides), name)
        return call.activated(getattr(call.layers, kind)(name=name)([call.value(0), call.value(1)]), name)

    return translate


def _concatenation(call: _Call) -> Any:
    name = call.name()
    layer = call.layers.Concatenate(axis=call.option("Axis"), name=name)
    return call.activated(layer([call.value(i) for i in call.places]), name)


def _mean(call: _Call) -> Any:
    value = call.value(0)
    axes = sorted(int(axis) % len(value.shape) for axis in call.constant(1).reshape(-1))
    keepdims = bool(call.option("KeepDims"))
    kind = {(4, (1, 2)): "GlobalAveragePooling2D", (3, (1,)): "GlobalAveragePooling1D"}.get(
        (len(value.shape), tuple(axes))
    )
    if kind is None:
        return call.ops.mean(value, axis=tuple(axes), keepdims=keepdims)
    return getattr(call.layers, kind)(keepdims=keepdims, name=call.name())(value)


def _reshape(call: _Call) -> Any:
    value, shape = call.value(0), call.output.shape
    if shape[:1] != (1,) or math.prod(shape) != math.prod(value.shape[1:]):
        call.refuse(
            f"{tuple(value.shape[1:])} as the shape of one sample, (1, ...)",
            f"{shape}: convert the model with an input of a fixed batch of 1",
        )
    return call.layers.Reshape(shape[1:], name=call.name())(value)


def _softmax(call: _Call) -> Any:
    if call.option("Beta") != 1:
        call.refuse("beta 1", f"{call.option('Beta')}")
    return call.layers.Softmax(name=call.name())(call.value(0))


def _pad(call: _Call) -> Any:
    value = call.value(0)
    widths = [(int(before), int(after)) for before, after in call.constant(1)]
    if call.has(2) and np.any(call.constant(2)):
        call.refuse("zeros as padding", "another value")
    if widths[0] != (0, 0) or widths[-1] != (0, 0) or len(widths) not in (3, 4) or len(value.shape) != len(widths):
        call.refuse("padding of one or two axes in space", str(widths))
    if len(widths) == 3:
        return call.layers.ZeroPadding1D(widths[1], name=call.name())(value)
    return call.layers.ZeroPadding2D(widths[1:3], name=call.name())(value)


def _transpose(call: _Call) -> Any:
    order = [int(axis) for axis in call.constant(1).reshape(-1)]
    if order[:1] != [0]:
        call.refuse("the batch first", str(order))
    return call.layers.Permute(order[1:], name=call.name())(call.value(0))


def _resize(interpolation: str) -> Callable[[_Call], Any]:
    def translate(call: _Call) -> Any:
        value = call.value(0)
        size = [int(number) for number in call.constant(1).reshape(-1)]
        factors = [new // old for new, old in zip(size, value.shape[1:3], strict=True)]
        half = call.option("HalfPixelCenters")
        if call.option("AlignCorners") or not (half or interpolation == "nearest"):
            call.refuse("half-pixel centres", "another grid")
        if [old * factor for old, factor in zip(value.shape[1:3], factors, strict=True)] != size:
            call.refuse("a whole multiple of the size", f"{tuple(value.shape[1:3])} to {tuple(size)}")
        return call.layers.UpSampling2D(factors, interpolation=interpolation, name=call.name())(value)

    return translate


def _activation(name: str) -> Callable[[_Call], Any]:
    return lambda call: call.layers.Activation(name, name=call.name())(call.value(0))


def _prelu(call: _Call) -> Any:
    slopes, value = call.constant(1), call.value(0)
    shape = tuple(value.shape[1:])
    if slopes.ndim == len(value.shape) and slopes.shape[0] == 1:
        slopes = slopes.reshape(slopes.shape[1:])
    if slopes.ndim != len(shape) or any(
        slope not in (1, size) for slope, size in zip(slopes.shape, shape, strict=True)
    ):
        call.refuse("a slope for each axis", f"slopes of shape {slopes.shape}")
    shared = [axis + 1 for axis, size in enumerate(slopes.shape) if size == 1 and shape[axis] != 1]
    return call.layer(call.layers.PReLU(shared_axes=shared or None, name=call.name()), value, [slopes])


_TRANSLATIONS: dict[str, Callable[[_Call], Any]] = {
    "ADD": _merge("Add", "add"),
    "AVERAGE_POOL_2D": _pool("AveragePooling2D"),
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "ELU": _activation("elu"),
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _fully_connected,
    "GELU": lambda call: (
        call.layers.Activation("gelu", name=call.name())(call.value(0))
        if not call.option("Approximate")
        else call.ops.gelu(call.value(0), approximate=True)
    ),
    "HARD_SWISH": _activation("hard_swish"),
    "LEAKY_RELU": lambda call: call.layers.LeakyReLU(call.option("Alpha"), name=call.name())(call.value(0)),
    "LOGISTIC": _activation("sigmoid"),
    "MAX_POOL_2D": _pool("MaxPooling2D"),
    "MAXIMUM": _merge("Maximum", "maximum"),
    "MEAN": _mean,
    "MINIMUM": _merge("Minimum", "minimum"),
    "MUL": _merge("Multiply", "multiply"),
    "PAD": _pad,
    "PADV2": _pad,
    "PRELU": _prelu,
    "RELU": lambda call: call.layers.ReLU(name=call.name())(call.value(0)),
    "RELU6": lambda call: call.layers.ReLU(6.0, name=call.name())(call.value(0)),
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize("bilinear"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "SUB": _merge("Subtract", "subtract"),
    "TANH": _activation("tanh"),
    "TRANSPOSE": _transpose,
}
