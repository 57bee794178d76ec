# SPDX-License-Identifier: Apache-2.0
"""A Keras model whose variables are a board's rows: batch norm folded, every activation a layer of its own."""

import keras
import numpy as np

LINEAR_LAYERS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
_DEPTHWISE_PART = ".depthwise"
_POINTWISE_PART = ".pointwise"


def fold_batch_norm(model: keras.Model, dtype: str = "float32") -> keras.Model:
    """Return a model equal in function at inference, in `dtype`, with new weights.

    A batch norm that alone reads a linear layer without activation is folded into it, in float64. Inline activations
    become layers `<name>.activation`; a separable convolution becomes `<name>.depthwise` and `<name>.pointwise`.
    Dropout is dropped. All other layers keep their names.
    """
    source = keras.Model(model.inputs[0], model.outputs[0])
    norms = _norms_to_fold(source)
    folded_norms = {norm.name for norm in norms.values()}
    chains: dict[str, list[keras.layers.Layer]] = {}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in folded_norms or isinstance(layer, keras.layers.Dropout):
            chains[layer.name] = []
            return keras.layers.Identity(name=layer.name)
        chains[layer.name] = _parts(layer, layer.name in norms, dtype)
        # clone_model knows one layer per layer: the original's name finds the chain that stands for it.
        return keras.layers.Identity(name=layer.name)

    def call(placeholder: keras.layers.Layer, *arguments, **options):
        chain = chains[placeholder.name]
        if not chain:
            return arguments[0]
        value = chain[0](*arguments, **options)
        for layer in chain[1:]:
            value = layer(value)
        return value

    folded = keras.models.clone_model(source, clone_function=clone, call_function=call)
    for layer in source.layers:
        if layer.name in chains:
            _copy_weights(layer, norms.get(layer.name), chains[layer.name])
    return folded


def row_layers(folded: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers that have rows, by the name that plans and `board.weights()` give them, in order of the graph."""
    names = {layer.name: layer for layer in folded.layers if isinstance(layer, LINEAR_LAYERS)}
    return {
        name.replace(_DEPTHWISE_PART, "/depthwise").replace(_POINTWISE_PART, "/pointwise"): layer
        for name, layer in names.items()
    }


def weight_variables(folded: keras.Model) -> dict[str, keras.Variable]:
    """Variables of a folded model, as `board.weights()` names them: "layer/kernel" and, if any, "layer/bias"."""
    variables = {}
    for name, layer in row_layers(folded).items():
        variables[f"{name}/kernel"] = layer.kernel
        if layer.use_bias:
            variables[f"{name}/bias"] = layer.bias
    return variables


def channel_count(layer: keras.layers.Layer) -> int:
    """Rows of a layer; a depthwise layer has cin * multiplier of them, numbered c * multiplier + m."""
    shape = layer.kernel.shape
    return shape[-2] * shape[-1] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[-1]


def _norms_to_fold(source: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    norms = {}
    readers: dict[int, int] = {}
    for layer in source.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        for tensor in keras.tree.flatten(layer.input):
            readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for tensor in source.outputs:
        readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for layer in source.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        before = layer.input._keras_history.operation
        linear = isinstance(before, (*LINEAR_LAYERS, keras.layers.SeparableConv2D))
        if linear and before.activation is keras.activations.linear and readers[id(layer.input)] == 1:
            norms[before.name] = layer
    return norms


def _parts(layer: keras.layers.Layer, has_norm: bool, dtype: str) -> list[keras.layers.Layer]:
    config = {**layer.get_config(), "dtype": dtype}
    if isinstance(layer, keras.layers.SeparableConv2D):
        parts = _separable_parts(layer, has_norm, dtype)
    elif isinstance(layer, LINEAR_LAYERS):
        config.update(activation="linear", use_bias=layer.use_bias or has_norm)
        parts = [type(layer).from_config(config)]
    else:
        return [type(layer).from_config(config)]
    if layer.activation is not keras.activations.linear:
        parts.append(keras.layers.Activation(layer.activation, name=f"{layer.name}.activation", dtype=dtype))
    return parts


def _separable_parts(layer: keras.layers.SeparableConv2D, has_norm: bool, dtype: str) -> list[keras.layers.Layer]:
    depthwise = keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        depth_multiplier=layer.depth_multiplier,
        use_bias=False,
        depthwise_initializer="zeros",
        name=layer.name + _DEPTHWISE_PART,
        dtype=dtype,
    )
    pointwise = keras.layers.Conv2D(
        layer.filters,
        1,
        use_bias=layer.use_bias or has_norm,
        kernel_initializer="zeros",
        name=layer.name + _POINTWISE_PART,
        dtype=dtype,
    )
    return [depthwise, pointwise]


def _copy_weights(
    layer: keras.layers.Layer,
    norm: keras.layers.BatchNormalization | None,
    chain: list[keras.layers.Layer],
) -> None:
    linear = [part for part in chain if isinstance(part, LINEAR_LAYERS)]
    if not linear:
        if chain and layer.weights:
            chain[0].set_weights(layer.get_weights())
        return
    kernels = [value.astype("float64") for value in layer.get_weights() if value.ndim > 1]
    bias = layer.bias.numpy().astype("float64") if layer.use_bias else 0.0
    if norm is not None:
        scale, offset = _scale_and_offset(norm)
        per_channel = scale
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            per_channel = scale.reshape(kernels[-1].shape[-2:])
        kernels[-1] = kernels[-1] * per_channel
        bias = bias * scale + offset
    for part, kernel in zip(linear, kernels, strict=True):
        part.kernel.assign(kernel)
    if linear[-1].use_bias:
        linear[-1].bias.assign(bias)


def _scale_and_offset(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    mean = norm.moving_mean.numpy().astype("float64")
    scale = 1.0 / np.sqrt(norm.moving_variance.numpy().astype("float64") + norm.epsilon)
    if norm.scale:
        scale = scale * norm.gamma.numpy()
    offset = -mean * scale
    if norm.center:
        offset = offset + norm.beta.numpy()
    return scale, offset
