# SPDX-License-Identifier: Apache-2.0
"""Simulated int8 weights: they are those that TFLite leaves, and training through them makes rounding cost less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from meta import small

from tt_tflm.boards.input_range import InputScaling
from tt_tflm.frontend.fold import fold
from tt_tflm.frontend.graph import flatten
from tt_tflm.frontend.quiet import silence
from tt_tflm.meta.fake_quantization import call_fake_quantized, fake_quantized, linear_kernels
from tt_tflm.meta.images import load_images
from tt_tflm.meta.mixed_augment import OFF
from tt_tflm.meta.validation import Validation


def _with_dense() -> keras.Model:
    """Conv and batch norm, depthwise, pointwise, dense; statistics and scales of the batch norm are anything."""
    body = small.backbone()
    model = keras.Sequential([body, keras.layers.Dense(7, name="head")])
    draw = np.random.default_rng(1)
    norm = body.get_layer("norm")
    norm.set_weights([draw.uniform(-2, 2, 6), draw.normal(size=6), draw.normal(size=6), draw.uniform(0.1, 3, 6)])
    return model


def _stored_weights(model: keras.Model, inputs: np.ndarray) -> Iterator[np.ndarray]:
    """The int8 weights in a model that TFLite has quantised, times their step sizes, output channels first."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in inputs)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with silence(), pytest.warns(Warning):  # that the interpreter moves elsewhere
        interpreter = tf.lite.Interpreter(model_content=converter.convert())
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] == np.int8 and len(detail["quantization_parameters"]["scales"]) > 1:
            values = interpreter.get_tensor(detail["index"]).astype(np.float64)
            axis = detail["quantization_parameters"]["quantized_dimension"]
            scales = detail["quantization_parameters"]["scales"]
            yield (np.moveaxis(values, axis, -1) * scales).reshape(-1, len(scales)).T


def test_weights_are_rounded_as_tflite_rounds_them_with_batch_norm_folded() -> None:
    model = _with_dense()
    x = np.random.default_rng(0).uniform(-1, 1, (8, *small.SHAPE)).astype(np.float32)
    stored = {rows.shape: rows for rows in _stored_weights(model, x)}
    kernels = linear_kernels(model)
    for kernel, axes in kernels:
        kernel.assign(fake_quantized(kernel.value, axes))
    rounded = fold(flatten(model)).layers()
    assert len(rounded) == len(stored) == len(kernels) == 4
    for entry in rounded:
        layer, rows = entry.layer, entry.rows[:, : entry.layer.row_length]
        runs = rows.reshape(layer.channels, *(layer.kernel_shape[axis] for axis in layer.row_axes[1:]))
        expected = stored[rows.shape]
        # A weight half-way between two steps goes either way; none of these is.
        np.testing.assert_allclose(runs.reshape(expected.shape), expected, rtol=1e-5, atol=1e-7, err_msg=layer.name)


def test_output_channels_are_those_of_the_rows() -> None:
    layers = [
        keras.layers.Conv2DTranspose(3, 2),
        keras.layers.DepthwiseConv2D(2, depth_multiplier=2),
        keras.layers.Reshape((-1, 6)),
        keras.layers.DepthwiseConv1D(2, depth_multiplier=2),
        keras.layers.EinsumDense("abc,cde->abde", (15, 2, 5)),
    ]
    model = keras.Sequential([keras.Input((4, 4, 2)), *layers])
    rows = fold(flatten(model)).layers()
    kernels = linear_kernels(model)
    assert len(rows) == len(kernels) == 4
    for (kernel, channels), entry in zip(kernels, rows, strict=True):
        rounded = entry.layer.kernel_to_rows(
            np.asarray(fake_quantized(kernel.value, channels)).reshape(entry.layer.kernel_shape),
            np.zeros(entry.layer.channels) if entry.layer.bias else None,
        )[:, : entry.layer.row_length]
        steps = np.abs(entry.rows[:, : entry.layer.row_length]).max(axis=1, keepdims=True) / 127
        np.testing.assert_allclose(rounded, np.rint(rounded / steps) * steps, atol=1e-6)


def test_gradients_pass_straight_through_and_zeros_stay() -> None:
    kernel = tf.Variable(
        np.concatenate([np.random.default_rng(2).normal(size=(3, 3, 4, 2)), np.zeros((3, 3, 4, 1))], 3)
    )
    kernel = tf.Variable(tf.cast(kernel, tf.float32))
    weights = tf.constant(np.random.default_rng(3).normal(size=kernel.shape), tf.float32)
    with tf.GradientTape() as tape:
        rounded = fake_quantized(kernel.value(), (-1,))
        loss = tf.reduce_sum(weights * rounded)
    np.testing.assert_array_equal(tape.gradient(loss, kernel), weights)
    np.testing.assert_array_equal(rounded[..., 2], 0)
    steps = np.abs(kernel.numpy()).max(axis=(0, 1, 2))[:2] / 127
    np.testing.assert_allclose(np.rint(rounded[..., :2] / steps) * steps, rounded[..., :2], rtol=1e-5, atol=1e-7)


def test_a_call_moves_statistics_and_no_weight() -> None:
    model, x = small.backbone(), small.images(each=2)[0].astype(np.float32) / 127.5 - 1
    kernels = linear_kernels(model)
    before = [weight.copy() for weight in model.get_weights()]
    rounded = small.backbone()
    for kernel, axes in linear_kernels(rounded):
        kernel.assign(fake_quantized(kernel.value, axes))
    for training in (False, True):
        output = call_fake_quantized(model, kernels, x, training=training)
        np.testing.assert_allclose(output, rounded(x, training=training), rtol=1e-5, atol=1e-6)
    moved = {
        v.path.split("/", 1)[1]
        for v, old in zip(model.weights, before, strict=True)
        if not np.array_equal(v.numpy(), old)
    }
    assert moved == {"norm/moving_mean", "norm/moving_variance"}
    np.testing.assert_allclose(model.get_layer("norm").moving_mean, rounded.get_layer("norm").moving_mean, rtol=1e-5)


def _images(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gratings whose third channel holds nothing: what a layer has there is neither needed nor changed."""
    x, y = small.images(seed=seed)
    x = x.astype(np.float32) / 127.5 - 1
    x[..., 2] = 0
    return x, y


def _badly_ranged() -> keras.Model:
    """As the small backbone on ``_images``, but one idle weight of every stem channel takes its range: the others, 200
    times smaller and less, keep three levels or none."""
    model = small.backbone()
    stem = model.get_layer("stem")
    (kernel,) = stem.get_weights()
    kernel[0, 0, 2] = 200 * np.abs(kernel[:, :, :2]).max(axis=(0, 1, 2))
    stem.set_weights([kernel])
    return model


def test_rounding_costs_less_after_training_through_it() -> None:
    images = load_images(_images(seed=5))
    judge = Validation(images, images.members(), small.SHAPE, InputScaling(), seed=0)
    options = {**small.SETTINGS, "episodes": 60, "learning_rate": 1e-2, "validation": 0.0, "augment": OFF}
    lost = {}
    for share in (0.0, 0.5):
        model = small.fitted(_badly_ranged(), _images(seed=0), fake_quantize=share, **options).model
        kernels = linear_kernels(model)
        exact, _ = judge.accuracy(lambda x, model=model: model(x, training=False))
        rounded, _ = judge.accuracy(
            lambda x, model=model, kernels=kernels: call_fake_quantized(model, kernels, x, training=False)
        )
        assert exact > 0.9
        lost[share] = exact - rounded
    assert lost[0.0] > 0.03
    assert lost[0.5] < lost[0.0] / 2


def test_the_best_is_looked_for_where_weights_are_rounded(tmp_path: Path) -> None:
    options = {**small.SETTINGS, "learning_rate": 0.0, "episodes": 60, "patience": 2}
    result = small.fitted(
        small.backbone(), small.images(), augment=OFF, fake_quantize=0.5, log_folder=tmp_path, **options
    )
    # Nothing gets better: patience begins to count where rounding begins, at episode 30.
    assert [(row["episode"], row["fake_quantized"]) for row in result.history] == [
        (0, False), (10, False), (20, False), (30, True), (40, True), (50, True)
    ]  # fmt: skip
    assert (result.stopped, result.episodes) == ("patience", 50)
    before, rounded = result.history[2]["validation_accuracy"], result.history[3]["validation_accuracy"]
    assert before == result.history[0]["validation_accuracy"]
    assert rounded == result.history[4]["validation_accuracy"]
