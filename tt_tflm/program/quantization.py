# SPDX-License-Identifier: Apache-2.0
"""int8 as TensorFlow Lite has it: ranges of the activations from samples, codes of the weights, integer kernels.

TensorFlow Lite's own quantiser is given the forward pass as one operator for each canonical kernel, so that every
tensor of what it returns is one of the program's under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import tflite

from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.frontend.quiet import import_tensorflow, most_telling_line, silence
from tt_tflm.program.layout.int8_layer import Int8Layer
from tt_tflm.program.static import ImportedModel
from tt_tflm.tflite.forward import bounds_of, forward_pass, has_fused_bounds, lacks_operator
from tt_tflm.tflite.graph import TfliteGraph
from tvm_passes.imported_graph import UnsupportedGraphError
from tvm_passes.kernel import Step, row_length
from tvm_passes.kernels.geometry import int8_row_stride
from tvm_passes.kernels.int8 import fixed_point
from tvm_passes.ops import WEIGHTED
from tvm_passes.quantize import Grid, Quantize, quantized_steps
from tvm_passes.sparse_gradient import layer_of

# With more, a sum of products could leave int32 once a row has been trained to its limits.
_MOST_WEIGHTS = 32768


def quantized(model: ImportedModel, samples: np.ndarray) -> tuple[ImportedModel, bytes]:
    """A model whose forward pass is integer.

    Args:
        model: float32.
        samples: float32 (N, *input_shape), at least one, that the model's inputs are like.

    Returns:
        The model, its rows the real numbers behind the codes; and the .tflite file that it agrees with to the bit,
        whose input and output are float32 (the output without a softmax at the end).

    Raises:
        InputError: TensorFlow Lite cannot quantise the model.
        UnsupportedLayerError: a layer has no int8 kernel.
    """
    steps = _checked_steps(model)
    content = _quantize(model, steps, samples)
    tensors = _Tensors(content)
    grids = {"x": tensors.grid("x")} | {_name(step): tensors.grid(_name(step)) for step in steps}
    module = Quantize(grids)(model.module)
    layers = {
        layer_of(step): _layer(step, tensors, grids[str(step.args[0].name)], grids[_name(step)])
        for step in steps
        if step.kernel.op in WEIGHTED
    }
    int8_layers = tuple(layers[i] for i in range(len(model.layers)))
    rows = tuple(layer.real_rows(old.stride) for layer, old in zip(int8_layers, model.layers, strict=True))
    return replace(model, module=module, rows=rows, int8_layers=int8_layers), content


def _name(step: Step) -> str:
    return str(step.var.name)


def _checked_steps(model: ImportedModel) -> list[Step]:
    try:
        steps = quantized_steps(model.module)
    except UnsupportedGraphError as error:
        about = _about(model, error.layer)
        raise UnsupportedLayerError(f"{about}, precision int8: {error}; use precision float32") from None
    for step in steps:
        number = layer_of(step)
        about = _about(model, number)
        if not has_fused_bounds(step.kernel):
            raise UnsupportedLayerError(
                f"{about}, precision int8: expected a ReLU or a ReLU with max_value 6, received bounds "
                f"{bounds_of(step.kernel)}; use precision float32"
            )
        lacking = None if number is None else lacks_operator(step.kernel)
        if lacking is not None:
            raise UnsupportedLayerError(f"{about}, precision int8: {lacking}; use precision float32")
        if number is not None and row_length(step.kernel) > _MOST_WEIGHTS:
            raise UnsupportedLayerError(
                f"{about}, precision int8: expected at most {_MOST_WEIGHTS} weights of an output channel, received "
                f"{row_length(step.kernel)}; use precision float32"
            )
    return steps


def _about(model: ImportedModel, layer: int | None) -> str:
    return f"model '{model.name}'" if layer is None else f"layer '{model.layers[layer].name}'"


def _quantize(model: ImportedModel, steps: list[Step], samples: np.ndarray) -> bytes:
    """The forward pass as a .tflite file of int8 operators, by TensorFlow Lite's quantiser."""
    tf = import_tensorflow()
    from tensorflow.lite.python.optimize import calibrator

    image = model.module["predict"].params[0]
    graph = TfliteGraph(placed=False)
    # TensorFlow Lite's reference kernel of a fully connected layer multiplies in floating point; that of a convolution,
    # and TensorFlow Lite Micro's of both, in integers.
    values = forward_pass(graph, image, steps, model.rows, model.input_shape, fully_connected=False)
    result = values[steps[-1].var]
    x, output = values[image], graph.shaped(result, (1, result.elements))
    content = graph.finish([x], [output], model.name)

    def representative() -> Iterator[list[np.ndarray]]:
        for sample in samples:
            yield [np.ascontiguousarray(sample.reshape(x.shape), np.float32)]

    with silence() as captured:
        try:
            # Not public, but the one quantiser that takes a .tflite file and leaves its operators as they are.
            quantiser = calibrator.Calibrator(content)
            return bytes(quantiser.calibrate_and_quantize(representative, tf.float32, tf.float32, False))
        except Exception as error:  # Bare exceptions of many kinds.
            failure = error
    reason = most_telling_line(f"{failure}\n{captured.text}") or type(failure).__name__
    raise InputError(
        f"model '{model.name}': expected a model that TensorFlow Lite can quantise, received: {reason}"
    ) from failure


class _Tensors:
    """The tensors of a .tflite file by name."""

    def __init__(self, content: bytes) -> None:
        self._model = tflite.Model.GetRootAsModel(content, 0)
        graph = self._model.Subgraphs(0)
        tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
        self._tensors = {tensor.Name().decode(): tensor for tensor in tensors}

    def scales(self, name: str) -> np.ndarray:
        """float32, one of the tensor or one for each channel."""
        return np.asarray(self._tensors[name].Quantization().ScaleAsNumpy(), np.float32)

    def grid(self, name: str) -> Grid:
        """Of an activation."""
        # Input and output of the file stay float32 under their names, beside their codes.
        codes = f"{name}_int8"
        name = codes if codes in self._tensors else name
        return Grid(float(self.scales(name)[0]), int(self._tensors[name].Quantization().ZeroPoint(0)))

    def data(self, name: str, dtype: str) -> np.ndarray:
        """Content of a constant in its shape."""
        tensor = self._tensors[name]
        return self._model.Buffers(tensor.Buffer()).DataAsNumpy().view(dtype).reshape(tensor.ShapeAsNumpy())


def _layer(step: Step, tensors: _Tensors, x: Grid, y: Grid) -> Int8Layer:
    kernel, number = step.kernel, layer_of(step)
    depthwise = kernel.op.startswith("depthwise")
    filter_name, bias_name = f"layer_{number}/{'depthwise_filter' if depthwise else 'filter'}", f"layer_{number}/bias"
    weights, bias = tensors.data(filter_name, "<i1"), tensors.data(bias_name, "<i4")
    channels, length = kernel["O"], row_length(kernel)
    rows = np.zeros((channels, int8_row_stride(length)), np.int8)
    rows[:, :length] = weights.reshape(length, channels).T if depthwise else weights.reshape(channels, length)
    rows[:, -4:] = bias.astype("<i4").view(np.int8).reshape(channels, 4)
    scales, bias_scales = (np.broadcast_to(tensors.scales(name), (channels,)) for name in (filter_name, bias_name))
    factors = np.float64(x.scale) * scales.astype(np.float64) / np.float64(y.scale)
    multipliers, shifts = np.array([fixed_point(float(factor)) for factor in factors], np.int32).T
    return Int8Layer(rows, scales.copy(), bias_scales.copy(), multipliers.copy(), shifts.copy(), length)
