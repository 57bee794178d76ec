# SPDX-License-Identifier: Apache-2.0
"""The oracle is checked against what it stands for: the unfolded model, and Keras' own training of all weights."""

import keras
import numpy as np
import pytest
from hypothesis import given

from .fixed_nets import small_classifier, small_embedding, small_inputs
from .folding import fold_batch_norm, row_layers, weight_variables
from .kinks import KinkMeter
from .random_nets import FOCUSES, Net, net_settings, nets
from .reference import NOT_ENROLLED_SCORE, SGD, Adam, Momentum, PrototypeLoss, Reference, SoftmaxLoss, chosen_entries

kl = keras.layers

EVERY_LAYER = {
    *("Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization"),
    *("ReLU", "LeakyReLU", "Activation", "Softmax", "Add", "Multiply", "Concatenate"),
    *("AveragePooling1D", "MaxPooling1D", "GlobalAveragePooling1D", "GlobalMaxPooling1D"),
    *("AveragePooling2D", "MaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
    *("ZeroPadding2D", "Flatten", "Reshape", "Dropout", "Rescaling"),
}


def test_folding_keeps_the_function_on_nets_of_every_layer() -> None:
    met: set[str] = set()

    def check(net: Net) -> None:
        met.update(type(layer).__name__ for layer in net.model.layers)
        folded = fold_batch_norm(net.model)
        x = np.random.default_rng(0).standard_normal((4, *net.model.input_shape[1:])).astype(np.float32)
        expected = net.model(x, training=False).numpy()
        np.testing.assert_allclose(folded(x).numpy(), expected, rtol=0, atol=2e-5 * np.max(np.abs(expected)))
        assert set(net.plan) <= set(row_layers(folded))

    for focus in FOCUSES:
        net_settings(6)(given(nets(focus))(check))()
    assert met >= EVERY_LAYER, EVERY_LAYER - met


def test_separable_convolution_has_two_layers_of_rows() -> None:
    model = keras.Sequential([keras.Input((5, 5, 2)), kl.SeparableConv2D(3, 3, name="separable")])
    folded = fold_batch_norm(model)
    assert list(weight_variables(folded)) == [
        "separable/depthwise/kernel",
        "separable/pointwise/kernel",
        "separable/pointwise/bias",
    ]


def test_depthwise_channels_are_numbered_by_input_channel_then_multiplier() -> None:
    model = fold_batch_norm(small_classifier())
    chosen = chosen_entries(model, {"depthwise": [3]})
    assert np.argwhere(chosen["depthwise/kernel"]).tolist() == [[r, c, 1, 1] for r in (0, 1) for c in (0, 1)]
    assert np.flatnonzero(chosen["depthwise/bias"]).tolist() == [3]


def test_plan_may_leave_biases_out() -> None:
    chosen = chosen_entries(fold_batch_norm(small_classifier()), {"conv": {"channels": [0, 2], "bias": False}})
    assert list(chosen) == ["conv/kernel"]
    assert chosen["conv/kernel"].any(axis=(0, 1, 2)).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("rule", "keras_rule"),
    [
        (SGD(0.1, batch_size=3), keras.optimizers.SGD(0.1)),
        (Momentum(0.1, 0.8, batch_size=3), keras.optimizers.SGD(0.1, momentum=0.8)),
        (Adam(0.01, batch_size=3), keras.optimizers.Adam(0.01)),
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_full_training_equals_keras(rule, keras_rule) -> None:
    model = fold_batch_norm(small_classifier())
    reference = Reference(model, SoftmaxLoss(), rule, dict.fromkeys(("conv", "depthwise", "logits"), "all"))
    model.compile(keras_rule, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for step in range(10):
        x = small_inputs(3, seed=step)
        labels = np.random.default_rng(step).integers(3, size=3)
        losses = [reference.train_step(*sample) for sample in zip(x, labels, strict=True)]
        assert np.mean(losses) == pytest.approx(float(model.train_on_batch(x, labels)), rel=1e-5)
    for key, variable in weight_variables(model).items():
        np.testing.assert_allclose(reference.weights()[key], variable.numpy(), rtol=0, atol=1e-5)


def test_sparse_step_moves_the_chosen_entries_alone_and_reset_returns() -> None:
    reference = Reference(small_classifier(), SoftmaxLoss(), Adam(0.01), {"conv": [1], "logits": [0]})
    before = reference.weights()
    reference.train_step(small_inputs(1)[0], 2)
    after = reference.weights()
    for key in before:
        moved = before[key] != after[key]
        assert not moved[~reference.chosen.get(key, np.zeros(moved.shape, bool))].any()
        assert moved.any() == (key in reference.chosen)
    reference.reset()
    assert all(np.array_equal(before[key], value) for key, value in reference.weights().items())


def test_prototype_scores_are_scaled_cosines_to_class_means() -> None:
    reference = Reference(small_embedding(), PrototypeLoss(4, temperature=5.0), SGD(), {"embedding": "all"})
    x = small_inputs(3)
    with pytest.raises(ValueError, match="received none"):
        reference.predict(x[0])
    reference.enroll(x[0], 2)
    reference.enroll(x[1], 2)
    reference.enroll(x[2], 0)
    scores = reference.predict(x[2])
    mean = (reference.embedding(x[0]) + reference.embedding(x[1])) / 2
    embedding = reference.embedding(x[2])
    cosine = embedding @ mean / (np.linalg.norm(embedding) * np.linalg.norm(mean))
    np.testing.assert_allclose(scores[[0, 2]], [5.0, 5.0 * cosine], rtol=1e-5)
    assert (scores[[1, 3]] == NOT_ENROLLED_SCORE).all()
    with pytest.raises(ValueError, match="received 1"):
        reference.train_step(x[0], 1)


def test_kink_margin_finds_a_pre_activation_near_zero() -> None:
    model = keras.Sequential([keras.Input((3,)), kl.Activation("relu"), kl.Reshape((3, 1)), kl.MaxPooling1D(3)])
    meter = KinkMeter(model)
    assert meter.margin(np.array([1.0, -2.0, 1e-7], np.float32)) == pytest.approx(5e-8)
    assert meter.margin(np.array([2.0, 1.5, -1.0], np.float32)) == pytest.approx(0.25)
    assert KinkMeter(keras.Sequential([keras.Input((3,)), kl.Dense(2)])).margin(np.ones(3, np.float32)) == np.inf
