# SPDX-License-Identifier: Apache-2.0
"""The plain float model behind ``export_tflite``: the forward pass in TFLite's own operators, for any runtime.

A build carries it with the base weights; what a board has learned is written over them. With the prototype loss it
ends in the scores: embedding and prototypes of length 1, multiplied, times the temperature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tflite
import tvm

from tt_tflm.program.emitted import EmittedModel
from tt_tflm.tflite.forward import forward_pass
from tt_tflm.tflite.graph import TfliteGraph, Value
from tvm_passes.kernel import steps_of

_SMALLEST_NORM = np.float32(1e-6)  # as in ops/include/tt_prototype.h
_FILTERS = ("filter", "depthwise_filter")
_PROTOTYPES, _MISSING = "prototypes", "missing_classes"


def emit_infer(model: EmittedModel, canonical: tvm.IRModule) -> bytes:
    """The model with base weights.

    Args:
        model: what is emitted.
        canonical: the module with ``predict`` as kernel calls, not planned.

    Returns:
        A .tflite file: input ``x``, output ``scores``, with the prototype loss ``embedding`` as a second one.
    """
    graph = TfliteGraph(placed=False)
    steps, (output,) = steps_of(canonical, "predict")
    image = canonical["predict"].params[0]
    values = forward_pass(graph, image, steps, [layer.rows for layer in model.layers], model.input_shape)
    x, result = values[image], graph.shaped(values[output], (1, values[output].elements))
    if model.temperature is None:
        return graph.finish([x], [result], model.name)
    return graph.finish([x], [_prototype_scores(graph, result, model.classes), result], model.name)


def _prototype_scores(graph: TfliteGraph, embedding: Value, classes: int) -> Value:
    unit = graph.builtin("L2_NORMALIZATION", [embedding], graph.tensor("unit", embedding.shape), "L2NormOptions")
    weights = graph.constant(_PROTOTYPES, np.zeros((classes, embedding.elements), np.float32))
    missing = graph.constant(_MISSING, np.zeros(classes, np.float32))
    scores = graph.tensor("scores", (1, classes))
    return graph.builtin("FULLY_CONNECTED", [unit, weights, missing], scores, "FullyConnectedOptions")


def with_rows(content: bytes, rows: Sequence[np.ndarray]) -> bytes:
    """The model with other weights.

    Args:
        content: of ``emit_infer``.
        rows: of every layer, float32 (channels, stride).
    """
    file = bytearray(content)
    constants = _constants(file)
    biases = {name: data for name, data in constants if name.endswith("/bias")}
    # A layer that is used in several places has a filter of each shape that its uses give it.
    for name, data in constants:
        layer, _, kind = name.partition("/")
        if kind not in _FILTERS:
            continue
        values = rows[int(layer.removeprefix("layer_"))]
        length = data.size // len(values)
        weights = values[:, :length]
        data[:] = (weights.T if kind == "depthwise_filter" else weights).ravel()
        biases[f"{layer}/bias"][:] = values[:, length]
    return bytes(file)


def with_prototypes(content: bytes, sums: np.ndarray, counts: np.ndarray, temperature: float) -> bytes:
    """The model with prototypes.

    Args:
        content: of ``emit_infer``, with the prototype loss.
        sums: of the embeddings of each class, float32 (classes, elements).
        counts: of samples of each class, (classes,); a class without any scores the lowest float32.
        temperature: factor on the cosine.
    """
    file = bytearray(content)
    constants = dict(_constants(file))
    means = sums / np.maximum(counts, 1).astype(np.float32)[:, None]
    norms = np.maximum(np.linalg.norm(means, axis=1), _SMALLEST_NORM)
    constants[_PROTOTYPES][:] = (np.float32(temperature) * means / norms[:, None]).ravel()
    constants[_MISSING][:] = np.where(counts == 0, np.finfo(np.float32).min, np.float32(0))
    return bytes(file)


def _constants(file: bytearray) -> list[tuple[str, np.ndarray]]:
    """Writable views of the float constants, with the names of their tensors."""
    model = tflite.Model.GetRootAsModel(file, 0)
    graph = model.Subgraphs(0)
    found = []
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        buffer = model.Buffers(tensor.Buffer())
        if tensor.Type() == tflite.TensorType.FLOAT32 and buffer.DataLength():
            found.append((tensor.Name().decode(), buffer.DataAsNumpy().view("<f4")))
    return found
