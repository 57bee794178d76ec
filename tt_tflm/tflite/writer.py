# SPDX-License-Identifier: Apache-2.0
"""A writer of TensorFlow Lite flatbuffers (schema version 3) with one subgraph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import tflite

# TFLM reads constants in place; its optimised kernels load 16 bytes at once.
BUFFER_ALIGNMENT = 16
_SCHEMA_VERSION = 3
_IDENTIFIER = b"TFL3"
# Codes above this one do not fit the field that the first versions of the schema had.
_LAST_OLD_CODE = 127
# Of a table with its vectors: what the file grows by beside contents and names. One that turns out larger is copied.
_TABLE_BYTES = 256
_NO_TENSOR = -1
_TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "int32": tflite.TensorType.INT32,
    "uint32": tflite.TensorType.UINT32,
    "int16": tflite.TensorType.INT16,
    "uint16": tflite.TensorType.UINT16,
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "bool": tflite.TensorType.BOOL,
}


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str
    buffer: int
    variable: bool


@dataclass(frozen=True)
class _Operator:
    code: tuple[int, str, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: tuple[str, Mapping[str, Any]] | None
    params: bytes | None


class TfliteWriter:
    """Collects tensors and operators, then writes the file; operators run in the order in which they are added.

    Example:
        >>> writer = TfliteWriter()
        >>> x = writer.add_tensor("x", (1, 4), "float32")
        >>> y = writer.add_tensor("y", (1, 4), "float32")
        >>> writer.add_builtin("TANH", [x], [y])
        >>> content = writer.finish([x], [y])
    """

    def __init__(self) -> None:
        self._tensors: list[_Tensor] = []
        self._operators: list[_Operator] = []
        # Buffer 0 is empty by convention: tensors without content point at it.
        self._buffers: list[bytes | memoryview] = [b""]
        self._metadata: list[tuple[str, int]] = []

    def add_tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        data: np.ndarray | None = None,
        variable: bool = False,
    ) -> int:
        """Declare a tensor.

        Args:
            name: for people and for interpreters that look tensors up by name.
            shape: every size positive; () for a scalar.
            dtype: ``float32``, ``int32``, ``uint32``, ``int16``, ``uint16``, ``int8``, ``uint8`` or ``bool``.
            data: makes it a constant, of that shape and dtype, with a buffer of its own; contiguous ones are not
                copied.
            variable: it keeps its content from one run to the next; all zeros at first.

        Returns:
            The number of the tensor.

        Raises:
            ValueError: an argument is not as described.
        """
        shape = tuple(int(size) for size in shape)
        if dtype not in _TYPES:
            raise ValueError(f"tensor '{name}': expected a dtype of {', '.join(_TYPES)}, received {dtype}")
        if any(size <= 0 for size in shape):
            raise ValueError(f"tensor '{name}': expected positive sizes, received {shape}")
        buffer = 0
        if data is not None:
            if variable:
                raise ValueError(f"tensor '{name}': expected a constant or a variable, received both")
            if data.shape != shape or data.dtype != np.dtype(dtype):
                raise ValueError(f"tensor '{name}': expected data {dtype} {shape}, received {data.dtype} {data.shape}")
            data = np.asarray(data, np.dtype(dtype).newbyteorder("<"), order="C")
            buffer = self._buffer(data.reshape(-1).view(np.uint8).data)
        self._tensors.append(_Tensor(name, shape, dtype, buffer, variable))
        return len(self._tensors) - 1

    def add_builtin(
        self,
        op: str,
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        options: str | None = None,
        version: int = 1,
        **fields: Any,
    ) -> None:
        """Add an operator of TFLite.

        Args:
            op: its name in the schema, such as ``CONV_2D``.
            inputs: numbers of tensors; None for an optional one that is left out.
            outputs: numbers of tensors.
            options: name of its options table in the schema, such as ``Conv2DOptions``.
            version: of the operator.
            **fields: of the table, named as in the schema's accessors (``StrideW=2``).

        Raises:
            ValueError: the schema knows no such operator or field, or there is no such tensor.
        """
        code = getattr(tflite.BuiltinOperator, op, None)
        if code is None or op == "CUSTOM":
            raise ValueError(f"expected a builtin operator of TFLite, received {op}")
        if options is None and fields:
            raise ValueError(f"{op}: expected an options table for {', '.join(fields)}, received none")
        for field in fields:
            if not hasattr(tflite, f"{options}Add{field}"):
                raise ValueError(f"{op}: expected a field of {options}, received {field}")
        self._add((code, "", version), inputs, outputs, (options, fields) if options else None, None)

    def add_custom(self, name: str, inputs: Sequence[int | None], outputs: Sequence[int], params: bytes) -> None:
        """Add a custom operator.

        Args:
            name: under which it is registered.
            inputs: numbers of tensors; None for an optional one that is left out.
            outputs: numbers of tensors.
            params: what its Init gets.

        Raises:
            ValueError: there is no such tensor.
        """
        self._add((tflite.BuiltinOperator.CUSTOM, name, 1), inputs, outputs, None, params)

    def add_metadata(self, name: str, content: bytes) -> None:
        """Add an entry of metadata."""
        self._metadata.append((name, self._buffer(content)))

    def finish(self, inputs: Sequence[int], outputs: Sequence[int], description: str = "") -> bytes:
        """The file.

        Args:
            inputs, outputs: numbers of the tensors that a user sets and gets, in order.
            description: for people.

        Raises:
            ValueError: there is no such tensor.
        """
        self._check(inputs)
        self._check(outputs)
        builder = flatbuffers.Builder(self._estimated_bytes())
        codes = sorted({operator.code for operator in self._operators})
        buffers = _tables(builder, [_buffer(builder, content) for content in self._buffers])
        tensors = _tables(builder, [_tensor(builder, tensor) for tensor in self._tensors])
        operators = _tables(builder, [_operator(builder, o, codes.index(o.code)) for o in self._operators])
        subgraph_name = builder.CreateString("main")
        ins, outs = _ints(builder, inputs), _ints(builder, outputs)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddInputs(builder, ins)
        tflite.SubGraphAddOutputs(builder, outs)
        tflite.SubGraphAddOperators(builder, operators)
        tflite.SubGraphAddName(builder, subgraph_name)
        subgraphs = _tables(builder, [tflite.SubGraphEnd(builder)])
        operator_codes = _tables(builder, [_operator_code(builder, *code) for code in codes])
        metadata = _tables(builder, [_metadata(builder, *entry) for entry in self._metadata])
        text = builder.CreateString(description)
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, _SCHEMA_VERSION)
        tflite.ModelAddOperatorCodes(builder, operator_codes)
        tflite.ModelAddSubgraphs(builder, subgraphs)
        tflite.ModelAddDescription(builder, text)
        tflite.ModelAddBuffers(builder, buffers)
        tflite.ModelAddMetadata(builder, metadata)
        builder.Finish(tflite.ModelEnd(builder), file_identifier=_IDENTIFIER)
        return bytes(memoryview(builder.Bytes)[builder.Head() :])

    def _estimated_bytes(self) -> int:
        contents = sum(map(len, self._buffers)) + sum(len(o.params or b"") for o in self._operators)
        names = sum(len(tensor.name) for tensor in self._tensors)
        tables = 16 + len(self._buffers) + len(self._tensors) + len(self._operators)
        return contents + names + _TABLE_BYTES * tables

    def _add(
        self,
        code: tuple[int, str, int],
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        options: tuple[str, Mapping[str, Any]] | None,
        params: bytes | None,
    ) -> None:
        self._check([i for i in inputs if i is not None])
        self._check(outputs)
        numbers = tuple(_NO_TENSOR if i is None else int(i) for i in inputs)
        self._operators.append(_Operator(code, numbers, tuple(map(int, outputs)), options, params))

    def _check(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if not 0 <= number < len(self._tensors):
                raise ValueError(f"expected a tensor from 0 to {len(self._tensors) - 1}, received {number}")

    def _buffer(self, content: bytes | memoryview) -> int:
        self._buffers.append(content)
        return len(self._buffers) - 1


def _bytes(builder: flatbuffers.Builder, content: bytes | memoryview) -> int:
    builder.StartVector(1, len(content), BUFFER_ALIGNMENT)
    head = builder.head = builder.head - len(content)
    builder.Bytes[head : head + len(content)] = content
    return builder.EndVector()


def _ints(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return builder.CreateNumpyVector(np.array(values, np.int32))


def _tables(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _buffer(builder: flatbuffers.Builder, content: bytes | memoryview) -> int:
    data = _bytes(builder, content) if len(content) else None
    tflite.BufferStart(builder)
    if data is not None:
        tflite.BufferAddData(builder, data)
    return tflite.BufferEnd(builder)


def _tensor(builder: flatbuffers.Builder, tensor: _Tensor) -> int:
    name, shape = builder.CreateString(tensor.name), _ints(builder, tensor.shape)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, _TYPES[tensor.dtype])
    tflite.TensorAddBuffer(builder, tensor.buffer)
    tflite.TensorAddName(builder, name)
    tflite.TensorAddIsVariable(builder, tensor.variable)
    return tflite.TensorEnd(builder)


def _operator(builder: flatbuffers.Builder, operator: _Operator, code: int) -> int:
    ins, outs = _ints(builder, operator.inputs), _ints(builder, operator.outputs)
    params = None if operator.params is None else _bytes(builder, operator.params)
    table = None if operator.options is None else _options(builder, *operator.options)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, ins)
    tflite.OperatorAddOutputs(builder, outs)
    if table is not None and operator.options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, operator.options[0]))
        tflite.OperatorAddBuiltinOptions(builder, table)
    if params is not None:
        tflite.OperatorAddCustomOptions(builder, params)
    return tflite.OperatorEnd(builder)


def _options(builder: flatbuffers.Builder, name: str, fields: Mapping[str, Any]) -> int:
    getattr(tflite, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(builder, value)
    return getattr(tflite, f"{name}End")(builder)


def _operator_code(builder: flatbuffers.Builder, code: int, custom: str, version: int) -> int:
    name = builder.CreateString(custom) if custom else None
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, _LAST_OLD_CODE))
    tflite.OperatorCodeAddBuiltinCode(builder, code)
    tflite.OperatorCodeAddVersion(builder, version)
    if name is not None:
        tflite.OperatorCodeAddCustomCode(builder, name)
    return tflite.OperatorCodeEnd(builder)


def _metadata(builder: flatbuffers.Builder, name: str, buffer: int) -> int:
    text = builder.CreateString(name)
    tflite.MetadataStart(builder)
    tflite.MetadataAddName(builder, text)
    tflite.MetadataAddBuffer(builder, buffer)
    return tflite.MetadataEnd(builder)
