# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow makes of a quantised .tflite file: its reference kernels forward, the straight-through rule backward.

Every operator is computed twice: by the interpreter, in integers, and by TensorFlow on the real numbers behind them.
The value of a tensor is the first, its gradient that of the second, and none where a code lies at a bound.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tflite

_BUILTIN = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
_ROUNDING = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "RELU", "RELU6")


class StraightThrough:
    """A quantised model of TensorFlow Lite.

    Attributes:
        variables: filters and biases by the name of their tensor, float32.
    """

    def __init__(self, content: bytes) -> None:
        self._content = bytearray(content)
        self._model = tflite.Model.GetRootAsModel(self._content, 0)
        self._graph = self._model.Subgraphs(0)
        self._tensors = [self._graph.Tensors(i) for i in range(self._graph.TensorsLength())]
        self._names = [tensor.Name().decode() for tensor in self._tensors]
        self._saturated = 0
        self.variables: dict[str, tf.Variable] = {}
        for index, name in enumerate(self._names):
            if name.startswith("layer_"):
                scale = self._spread(index)
                self.variables[name] = tf.Variable(scale * self._codes(index).astype(np.float32))
        self._interpret()

    def _interpret(self) -> None:
        self._interpreter = tf.lite.Interpreter(
            model_content=bytes(self._content),
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()

    def _codes(self, index: int) -> np.ndarray:
        tensor = self._tensors[index]
        dtype = {tflite.TensorType.INT8: "<i1", tflite.TensorType.INT32: "<i4"}[tensor.Type()]
        return self._model.Buffers(tensor.Buffer()).DataAsNumpy().view(dtype).reshape(tensor.ShapeAsNumpy())

    def _spread(self, index: int) -> np.ndarray:
        """Scales of a tensor, laid along its channels."""
        quantization, shape = self._tensors[index].Quantization(), self._tensors[index].ShapeAsNumpy()
        scales = np.asarray(quantization.ScaleAsNumpy(), np.float32)
        if scales.size == 1:
            return scales[0]
        axis = quantization.QuantizedDimension()
        return scales.reshape([scales.size if i == axis else 1 for i in range(len(shape))])

    def set_variables(self, values: dict[str, np.ndarray]) -> None:
        """Round filters and biases to codes: the file is then that of these weights."""
        for name, value in values.items():
            index = self._names.index(name)
            codes = self._codes(index)
            rounded = np.trunc(value / self._spread(index) + np.copysign(np.float32(0.5), value))
            limit = 127 if codes.dtype == np.int8 else 2**30
            codes[...] = np.clip(rounded, -limit, limit).astype(codes.dtype)
        self._interpret()

    def output(self, x: np.ndarray) -> np.ndarray:
        """The model's output, flat float32."""
        details = self._interpreter.get_input_details()[0]
        self._interpreter.set_tensor(details["index"], x.reshape(details["shape"]))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._interpreter.get_output_details()[0]["index"]).ravel()

    def gradients(self, x: np.ndarray, label: int) -> tuple[float, dict[str, np.ndarray]]:
        """Cross-entropy of the softmax of the output, and its gradient with respect to every variable."""
        self.output(x)
        with tf.GradientTape() as tape:
            logits = tf.reshape(self._walk(x), [-1])
            loss = -tf.nn.log_softmax(logits)[label]
        gradients = tape.gradient(loss, self.variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return float(loss), {name: value.numpy() for name, value in gradients.items()}

    def _walk(self, x: np.ndarray) -> tf.Tensor:
        values: dict[int, tf.Tensor] = {}
        for i in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(i)
            name = _BUILTIN[self._model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()]
            inputs, (target,) = operator.InputsAsNumpy().tolist(), operator.OutputsAsNumpy().tolist()
            if name == "QUANTIZE" and inputs[0] not in values:
                values[target] = self._exact(target)
                continue
            operands = [values[j] if j in values else self.variables.get(self._names[j], j) for j in inputs]
            y = getattr(self, f"_{name.lower()}")(operator, *operands)
            if name == "DEQUANTIZE":
                values[target] = y
                continue
            passes = 1.0
            if name in _ROUNDING or name == "QUANTIZE":
                passes = tf.constant(self._unsaturated(operator, name, target).astype(np.float32))
            values[target] = self._exact(target) + passes * (y - tf.stop_gradient(y))
        return values[self._graph.OutputsAsNumpy()[0]]

    def _grid(self, index: int) -> tuple[np.float32, int]:
        quantization = self._tensors[index].Quantization()
        return np.float32(quantization.Scale(0)), int(quantization.ZeroPoint(0))

    def _exact(self, index: int) -> tf.Tensor:
        scale, zero = self._grid(index)
        codes = self._interpreter.get_tensor(index).astype(np.int32)
        return tf.constant(scale * (codes - zero).astype(np.float32))

    def _unsaturated(self, operator: tflite.Operator, name: str, target: int) -> np.ndarray:
        activation = {"RELU": 1, "RELU6": 3}.get(name)
        if activation is None:
            activation = 0 if name == "QUANTIZE" else self._options(operator, name).FusedActivationFunction()
        scale, zero = self._grid(target)
        low = max(-128, zero) if activation in (1, 3) else -128
        high = min(127, zero + int(np.trunc(np.float32(6) / scale + np.float32(0.5)))) if activation == 3 else 127
        codes = self._interpreter.get_tensor(target)
        return (codes > low) & (codes < high)

    def _options(self, operator: tflite.Operator, name: str):
        kind = {
            "CONV_2D": "Conv2DOptions",
            "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
            "ADD": "AddOptions",
            "CONCATENATION": "ConcatenationOptions",
        }.get(name, "Pool2DOptions")
        options = getattr(tflite, kind)()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        return options

    def _window(self, operator: tflite.Operator, name: str) -> dict[str, object]:
        options = self._options(operator, name)
        padding = "SAME" if options.Padding() == tflite.Padding.SAME else "VALID"
        return {"strides": (options.StrideH(), options.StrideW()), "padding": padding}

    def _conv_2d(self, operator, x, weights, bias) -> tf.Tensor:
        return tf.nn.conv2d(x, tf.transpose(weights, (1, 2, 3, 0)), **self._window(operator, "CONV_2D")) + bias

    def _depthwise_conv_2d(self, operator, x, weights, bias) -> tf.Tensor:
        window = self._window(operator, "DEPTHWISE_CONV_2D")
        _, kh, kw, channels = weights.shape
        kernel = tf.reshape(weights, (kh, kw, x.shape[3], channels // x.shape[3]))
        return tf.nn.depthwise_conv2d(x, kernel, (1, *window["strides"], 1), window["padding"]) + bias

    def _add(self, _operator, a, b) -> tf.Tensor:
        return a + b

    def _relu(self, _operator, x) -> tf.Tensor:
        return x

    _relu6 = _quantize = _dequantize = _relu

    def _reshape(self, operator, x, _shape) -> tf.Tensor:
        return tf.reshape(x, self._tensors[operator.Outputs(0)].ShapeAsNumpy())

    def _pad(self, _operator, x, widths) -> tf.Tensor:
        return tf.pad(x, self._codes(widths))

    def _concatenation(self, operator, *parts) -> tf.Tensor:
        return tf.concat(parts, self._options(operator, "CONCATENATION").Axis())

    def _max_pool_2d(self, operator, x) -> tf.Tensor:
        options = self._options(operator, "MAX_POOL_2D")
        size = (options.FilterHeight(), options.FilterWidth())
        return tf.nn.max_pool2d(x, size, **self._window(operator, "MAX_POOL_2D"))

    def _average_pool_2d(self, operator, x) -> tf.Tensor:
        options = self._options(operator, "AVERAGE_POOL_2D")
        size = (options.FilterHeight(), options.FilterWidth())
        return tf.nn.avg_pool2d(x, size, **self._window(operator, "AVERAGE_POOL_2D"))
