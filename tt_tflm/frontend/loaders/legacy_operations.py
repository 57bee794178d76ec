# SPDX-License-Identifier: Apache-2.0
"""Operations that Keras 2 notes as layers (`x * 2`, `tf.reduce_mean(x)`, `x[:, -1]`), as operations of Keras 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tt_tflm.errors import UnsupportedLayerError, shown

OPERATION_LAYERS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
"""Classes of such layers."""

_NUMPY, _NN, _MATH = "keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.math"
_BINARY = {
    "__operators__.add": "Add", "math.add": "Add", "math.subtract": "Subtract", "math.multiply": "Multiply",
    "math.truediv": "TrueDivide", "math.divide": "Divide", "realdiv": "TrueDivide", "math.maximum": "Maximum",
    "math.minimum": "Minimum", "math.pow": "Power",
}  # fmt: skip
_UNARY = {
    "math.exp": (_NUMPY, "Exp"), "math.log": (_NUMPY, "Log"), "math.sqrt": (_NUMPY, "Sqrt"),
    "math.rsqrt": (_MATH, "Rsqrt"), "math.square": (_NUMPY, "Square"), "math.abs": (_NUMPY, "Absolute"),
    "math.negative": (_NUMPY, "Negative"), "math.tanh": (_NUMPY, "Tanh"), "nn.tanh": (_NUMPY, "Tanh"),
    "math.sigmoid": (_NN, "Sigmoid"), "nn.sigmoid": (_NN, "Sigmoid"), "nn.relu": (_NN, "Relu"),
    "nn.relu6": (_NN, "Relu6"), "nn.silu": (_NN, "Silu"), "nn.swish": (_NN, "Silu"), "nn.elu": (_NN, "Elu"),
    "nn.softplus": (_NN, "Softplus"), "math.softplus": (_NN, "Softplus"), "identity": (_NUMPY, "Copy"),
}  # fmt: skip
_REDUCTIONS = {"math.reduce_mean": "Mean", "math.reduce_sum": "Sum", "math.reduce_max": "Max", "math.reduce_min": "Min",
               "math.reduce_prod": "Prod"}  # fmt: skip


def operation(layer: Mapping[str, Any], calls: list[tuple[list[Any], dict[str, Any]]], where: str) -> dict[str, Any]:
    """The operation of Keras 3 that computes what such a layer does, with its calls.

    Args:
        layer: configuration of one of `OPERATION_LAYERS`.
        calls: of it: inputs, and keyword arguments that are not None.
        where: begins every error.

    Raises:
        UnsupportedLayerError: there is none.
    """
    function = layer["config"].get("function")
    if len(calls) == 1 and isinstance(function, str):
        inputs, options = calls[0]
        options = {key: value for key, value in options.items() if key != "name"}
        found = _found(function, inputs, options)
        if found is not None:
            module, kind, config, arguments = found
            return {
                "module": module,
                "class_name": kind,
                "config": dict(config),
                "registered_name": kind,
                "inbound_nodes": [{"args": arguments, "kwargs": {}}],
            }
    raise UnsupportedLayerError(
        f"{where}: layer '{shown(layer.get('name', '?'))}' ({layer['class_name']}): expected an operation that Keras 3 "
        f"has too, received tf.{shown(function)} ({len(calls)} calls); build the model with Keras 3, and give it these "
        "weights"
    )


_Found = tuple[str, str, dict[str, Any], list[Any]]


def _found(function: str, inputs: list[Any], options: dict[str, Any]) -> _Found | None:
    first = inputs[0] if len(inputs) == 1 else None
    if function in _BINARY and set(options) == {"y"} and first is not None:
        return _NUMPY, _BINARY[function], {}, [first, options["y"]]
    if function in _UNARY and not options and first is not None:
        return *_UNARY[function], {}, [first]
    if function in _REDUCTIONS and set(options) <= {"axis", "keepdims"} and first is not None:
        return _NUMPY, _REDUCTIONS[function], options, [first]
    if function == "nn.softmax" and set(options) <= {"axis"} and first is not None:
        return _NN, "Softmax", {"axis": options.get("axis", -1)}, [first]
    if function == "nn.leaky_relu" and set(options) <= {"alpha"} and first is not None:
        return _NN, "LeakyRelu", {"negative_slope": options.get("alpha", 0.2)}, [first]
    if function == "nn.gelu" and set(options) <= {"approximate"} and first is not None:
        return _NN, "Gelu", {"approximate": options.get("approximate", False)}, [first]
    if function == "reshape" and set(options) == {"shape"} and first is not None:
        return _NUMPY, "Reshape", {"newshape": options["shape"]}, [first]
    if function == "expand_dims" and set(options) == {"axis"} and first is not None:
        return _NUMPY, "ExpandDims", options, [first]
    if function in ("squeeze", "compat.v1.squeeze") and set(options) <= {"axis"} and first is not None:
        return _NUMPY, "Squeeze", options, [first]
    if function in ("transpose", "compat.v1.transpose") and set(options) == {"perm"} and first is not None:
        return _NUMPY, "Transpose", {"axes": options["perm"]}, [first]
    if function == "concat" and set(options) == {"axis"}:
        return _NUMPY, "Concatenate", options, [inputs]
    if function == "clip_by_value" and set(options) == {"clip_value_min", "clip_value_max"} and first is not None:
        limits = {"x_min": options["clip_value_min"], "x_max": options["clip_value_max"]}
        return _NUMPY, "Clip", limits, [first]
    if (
        function in ("linalg.matmul", "matmul")
        and set(options) <= {"b"} | _FLAGS
        and first is not None
        and "b" in options
    ):
        if not any(options.get(flag) for flag in _FLAGS):
            return _NUMPY, "Matmul", {}, [first, options["b"]]
    if function == "__operators__.getitem" and set(options) == {"slice_spec"} and first is not None:
        return _NUMPY, "GetItem", {}, [first, _key(options["slice_spec"])]
    return None


_FLAGS = {"transpose_a", "transpose_b", "adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"}


def _key(spec: Any) -> list[Any]:
    """What stands in the brackets of ``x[...]``."""
    return [
        {"class_name": "__slice__", "config": part} if isinstance(part, dict) and "start" in part else part
        for part in (spec if isinstance(spec, list) else [spec])
    ]
