# SPDX-License-Identifier: Apache-2.0
"""Small random nets of every layer that has an int8 kernel, with samples and an update plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from oracle.net_weights import randomise_weights

import tt_tflm

kl = keras.layers
CLASSES = 4
ACTIVATIONS = (None, "relu", "relu6")


@dataclass(frozen=True)
class Net:
    """A model, its plan (layer -> channels), samples that it is calibrated by, and others."""

    model: keras.Model
    plan: dict[str, list[int]]
    representative: np.ndarray
    samples: np.ndarray

    def converter(self, target: str = "host") -> tt_tflm.TrainableConverter:
        """Of an int8 build that trains the plan."""
        converter = tt_tflm.TrainableConverter.from_keras_model(self.model)
        converter.precision, converter.representative_data, converter.target = "int8", self.representative, target
        converter.loss, converter.plan = tt_tflm.SoftmaxLoss(), tt_tflm.UpdatePlan(dict(self.plan))
        return converter


class _Sketch:
    """A net so far: odd sizes, and whatever the generator says next."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.image = keras.Input(tuple(int(self.rng.integers(*sizes)) for sizes in ((5, 10), (5, 10), (1, 4))))
        self.value = self.image
        self.count = 0

    def pick(self, *options):
        return options[int(self.rng.integers(len(options)))]

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}_{self.count}"

    def conv(self, channels: int | None = None, stride: int | None = None, kernel=None) -> None:
        size = kernel or (self.pick(1, 2, 3), self.pick(1, 3))
        padding = "valid" if min(self.value.shape[1:3]) >= 3 and self.pick(True, False, False) else "same"
        layer = kl.Conv2D(
            channels or int(self.rng.integers(2, 8)), size, stride or self.pick(1, 1, 2), padding,
            activation=self.pick(*ACTIVATIONS), use_bias=self.pick(True, True, False), name=self.name("conv"),
        )  # fmt: skip
        self.value = layer(self.value)

    def depthwise(self) -> None:
        layer = kl.DepthwiseConv2D(
            self.pick(2, 3, 5), self.pick(1, 2), "same", activation=self.pick(*ACTIVATIONS),
            depth_multiplier=self.pick(1, 1, 2), name=self.name("depthwise"),
        )  # fmt: skip
        self.value = layer(self.value)

    def residual(self) -> None:
        skip = self.value
        self.conv(int(skip.shape[-1]), 1, 1)
        self.value = kl.Add(name=self.name("add"))([skip, self.value])
        if self.pick(True, False):
            self.value = kl.ReLU(self.pick(None, 6.0), name=self.name("relu"))(self.value)

    def pool(self) -> None:
        kind = self.pick(kl.MaxPooling2D, kl.AveragePooling2D)
        self.value = kind(self.pick(2, 3), self.pick(1, 2), "same", name=self.name("pool"))(self.value)

    def pad(self) -> None:
        self.value = kl.ZeroPadding2D(((1, 0), (0, 2)), name=self.name("pad"))(self.value)
        if self.pick(True, False):
            # Into the window of a convolution; before anything else padding is an operation of its own.
            self.conv(stride=2, kernel=3)

    def concat(self) -> None:
        skip = self.value
        self.conv(3, 1, 1)
        self.value = kl.Concatenate(name=self.name("concat"))([skip, self.value])

    def head(self) -> None:
        flat = self.pick(kl.Flatten, kl.GlobalAveragePooling2D, kl.GlobalMaxPooling2D)
        self.value = flat(name=self.name("flat"))(self.value)
        last = kl.Dense(CLASSES, activation=self.pick(None, "softmax"), name="logits")
        self.value = last(self.value)


def random_net(seed: int) -> Net:
    """The net of a seed; all parts of a net occur within a few seeds."""
    sketch = _Sketch(seed)
    sketch.conv()
    parts: list[Callable[[], None]] = [sketch.residual, sketch.depthwise, sketch.pool, sketch.pad, sketch.concat]
    for index in range(3):
        parts[(seed + index) % len(parts)]()
    sketch.head()
    model = keras.Model(sketch.image, sketch.value)
    randomise_weights(model, sketch.rng)
    shape = model.input_shape[1:]
    plan = {}
    for layer in model.layers:
        if layer.weights and (layer.name == "logits" or sketch.pick(True, True, False)):
            channels = int(layer.output.shape[-1])
            count = int(sketch.rng.integers(1, channels + 1))
            plan[layer.name] = sorted(sketch.rng.choice(channels, count, False).tolist())
    samples = sketch.rng.standard_normal((40, *shape)).astype(np.float32)
    # Beyond the calibrated range at times, so that saturation is met.
    return Net(model, plan, samples[:10], 1.5 * samples[10:])
