# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite models from outside, as plain values: tensors and operators, measured before anything is made of
them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tt_tflm.errors import InputError, shown
from tt_tflm.files.damage import told
from tt_tflm.files.limits import TENSOR_AXES, TENSOR_ELEMENTS, TFLITE_BYTES
from tt_tflm.files.regular_file import read_whole

_ENTRY = 4  # bytes that an element of a vector of tables takes at least
_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 6: "?", 7: "<i2", 9: "i1"}

# What is read of the options of an operator, by the names of the schema; others have none that count here.
_CONVOLUTION = ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction")
_POOL = ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction")
_OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": ("Conv2DOptions", _CONVOLUTION),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _CONVOLUTION),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat", "KeepNumDims")),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "SUB": ("SubOptions", ("FusedActivationFunction",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "GELU": ("GeluOptions", ("Approximate",)),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", ("AlignCorners", "HalfPixelCenters")),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", ("AlignCorners", "HalfPixelCenters")),
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model.

    Attributes:
        name: of it.
        shape: the batch axis among it.
        dtype: of its numbers; None for what is none of them.
        quantised: whether it has a scale.
        data: its numbers where it is a constant.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype | None
    quantised: bool
    data: np.ndarray | None


@dataclass(frozen=True)
class Operator:
    """An operator of a model.

    Attributes:
        kind: by its name in the schema, such as ``CONV_2D``.
        inputs: numbers of tensors, -1 for one that is left out.
        outputs: numbers of tensors.
        options: by their names in the schema.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class TfliteModel:
    """A model of one graph: its operators in order, which read and write tensors by their numbers."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_tflite(path: str | os.PathLike[str]) -> TfliteModel:
    """The model in a `.tflite` file.

    Raises:
        InputError: the file is damaged, has several graphs, or declares more than it holds.
    """
    content = read_whole(path, "a TensorFlow Lite model", TFLITE_BYTES)
    expected = f"{path}: expected a complete TensorFlow Lite model"
    with told(expected):
        return _parse(content, expected)


def _parse(content: bytes, expected: str) -> TfliteModel:
    import tflite

    def several(count: int, item: Callable[[int], Any]) -> list[Any]:
        # Lengths are what the file says: a loop over one is as long as that.
        if count * _ENTRY > len(content):
            raise InputError(f"{expected}, received one that declares {count:,} parts in {len(content):,} bytes")
        return [item(i) for i in range(count)]

    model = tflite.Model.GetRootAsModel(content, 0)
    if model.SubgraphsLength() != 1:
        raise InputError(
            f"{expected} of one graph, received {model.SubgraphsLength():,}: control flow is not supported"
        )
    graph = model.Subgraphs(0)
    names = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
    codes = [
        names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "?")
        for code in several(model.OperatorCodesLength(), model.OperatorCodes)
    ]
    held = 0

    def tensor(entry: Any) -> Tensor:
        nonlocal held
        shape = tuple(int(size) for size in several(entry.ShapeLength(), entry.Shape))
        name = (entry.Name() or b"").decode("utf-8", "replace")
        elements = math.prod(shape)
        if len(shape) > TENSOR_AXES or min(shape, default=1) < 0 or elements > TENSOR_ELEMENTS:
            raise InputError(
                f"{expected}, received tensor '{shown(name)}' of shape {shown(shape)}: expected at most "
                f"{TENSOR_ELEMENTS:,} elements"
            )
        dtype = np.dtype(_DTYPES[entry.Type()]) if entry.Type() in _DTYPES else None
        scales = entry.Quantization()
        buffer = model.Buffers(entry.Buffer()) if entry.Buffer() < model.BuffersLength() else None
        data = None
        if buffer is not None and buffer.DataLength() and dtype is not None:
            held += buffer.DataLength()
            if buffer.DataLength() != elements * dtype.itemsize or held > len(content):
                raise InputError(
                    f"{expected}, received constant '{shown(name)}' of {elements * dtype.itemsize:,} bytes, of which "
                    f"it holds {buffer.DataLength():,}"
                )
            data = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype).reshape(shape)
        return Tensor(name, shape, dtype, bool(scales is not None and scales.ScaleLength()), data)

    def operator(entry: Any) -> Operator:
        kind = codes[entry.OpcodeIndex()]
        inputs = several(entry.InputsLength(), entry.Inputs)
        outputs = several(entry.OutputsLength(), entry.Outputs)
        return Operator(kind, tuple(map(int, inputs)), tuple(map(int, outputs)), _options(tflite, kind, entry))

    tensors = tuple(tensor(entry) for entry in several(graph.TensorsLength(), graph.Tensors))
    operators = tuple(operator(entry) for entry in several(graph.OperatorsLength(), graph.Operators))
    ends = [tuple(map(int, several(graph.InputsLength(), graph.Inputs))),
            tuple(map(int, several(graph.OutputsLength(), graph.Outputs)))]  # fmt: skip
    used = [number for op in operators for number in (*op.inputs, *op.outputs)] + [*ends[0], *ends[1]]
    if any(not -1 <= number < len(tensors) for number in used):
        raise InputError(f"{expected}, received an operator on a tensor that is not in it: damaged")
    return TfliteModel(tensors, operators, ends[0], ends[1])


def _options(tflite: Any, kind: str, entry: Any) -> dict[str, Any]:
    if kind not in _OPTIONS:
        return {}
    name, fields = _OPTIONS[kind]
    options, table = getattr(tflite, name)(), entry.BuiltinOptions()
    if table is None:
        return {}
    options.Init(table.Bytes, table.Pos)
    return {field: getattr(options, field)() for field in fields}
