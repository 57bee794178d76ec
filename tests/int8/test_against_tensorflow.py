# SPDX-License-Identifier: Apache-2.0
"""Random nets: the forward pass to the bit, a step's gradients, and the forward pass with what was learned."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tt_tflm
from tt_tflm.program.quantization import quantized
from tvm_passes.kernel import steps_of
from tvm_passes.ops import QUANTIZERS

from .nets import CLASSES, Net, random_net
from .straight_through import StraightThrough

NETS = 6
TOLERANCE = 1e-4


def reference_of(net: Net, converter: tt_tflm.TrainableConverter) -> StraightThrough:
    """The file that TensorFlow Lite's quantiser makes, in TensorFlow's hands."""
    return StraightThrough(quantized(converter._import_float(), net.representative)[1])


def scores(net: Net, logits: np.ndarray) -> np.ndarray:
    """What a board predicts; a softmax at the end is float32."""
    softmax = net.model.layers[-1].activation is keras.activations.softmax
    return tf.nn.softmax(logits).numpy() if softmax else logits


def rows_of(net: Net, weights: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """A board's weights under the names and in the layouts of the .tflite file."""
    tensors = {}
    for number, name in enumerate(names):
        kernel, bias = weights[f"{name}/kernel"], weights.get(f"{name}/bias")
        layer = net.model.get_layer(name)
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            tensors[f"layer_{number}/depthwise_filter"] = kernel.reshape(1, *kernel.shape[:2], -1)
        elif isinstance(layer, keras.layers.Dense):
            tensors[f"layer_{number}/filter"] = kernel.T[:, None, None]
        else:
            tensors[f"layer_{number}/filter"] = kernel.transpose(3, 0, 1, 2)
        if bias is not None:
            tensors[f"layer_{number}/bias"] = bias
    return tensors


def chosen(net: Net, name: str, tensor: str, shape: tuple[int, ...]) -> np.ndarray:
    """Which entries of a tensor the plan trains."""
    mask = np.zeros(shape, bool)
    channels = net.plan.get(name, [])
    if tensor.endswith("depthwise_filter"):
        mask[..., channels] = True
    else:
        mask[channels] = True
    return mask


def check_codes(board, reference: StraightThrough, net: Net, count: int) -> None:
    softmax = net.model.layers[-1].activation is keras.activations.softmax
    for x in net.samples[:count]:
        expected = reference.output(x)
        if softmax:
            assert np.allclose(board.predict(x), scores(net, expected), rtol=1e-5, atol=1e-7)
        else:
            assert np.array_equal(board.predict(x), expected)


@functools.cache
def prepared(seed: int) -> tuple[Net, tt_tflm.TrainableConverter]:
    """A net, imported and quantised when that is first asked for."""
    net = random_net(seed)
    return net, net.converter()


def test_the_nets_hold_every_operation() -> None:
    modules = [prepared(seed)[1]._import().module for seed in range(NETS)]
    kernels = [step.kernel for module in modules for step in steps_of(module, "predict")[0]]
    own = {"conv2d_transpose"}  # test_windows.py has nets of these
    assert {kernel.op for kernel in kernels} == {*QUANTIZERS, "quantize", "requantize", "dequantize", "softmax"} - own


@pytest.mark.parametrize("seed", range(NETS))
def test_a_net(seed: int) -> None:
    net, converter = prepared(seed)
    reference = reference_of(net, converter)
    x, label = net.samples[0], seed % CLASSES
    loss, gradients = reference.gradients(x, label)
    largest = max(float(np.abs(value).max()) for value in gradients.values())
    names = [layer.name for layer in converter.layers]
    # A power of two that moves weights by about one: neither rounded away nor rounding.
    rate = float(2.0 ** -np.round(np.log2(max(largest, 1e-6))))
    converter.optimizer = tt_tflm.SGD(learning_rate=rate)
    with converter.convert().simulate("host") as board:
        check_codes(board, reference, net, 12)
        before = rows_of(net, board.weights(), names)
        assert board.train_step(x, label) == pytest.approx(loss, rel=1e-5, abs=1e-6)
        after = rows_of(net, board.weights(), names)
        for tensor, value in before.items():
            number = int(tensor.partition("/")[0].removeprefix("layer_"))
            mask = chosen(net, names[number], tensor, value.shape)
            assert np.array_equal(after[tensor][~mask], value[~mask]), tensor
            change = np.where(mask, -rate * gradients[tensor], 0)
            allowed = TOLERANCE * np.abs(change).max() + 1e-6 * np.abs(value).max() + 1e-12
            assert np.abs(after[tensor] - value - change)[mask].max(initial=0) <= allowed, tensor
        reference.set_variables(after)
        check_codes(board, reference, net, 6)
        board.reset()
        again = rows_of(net, board.weights(), names)
        assert all(np.array_equal(again[tensor], value) for tensor, value in before.items())
