# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow says the Fisher potential of every channel is, and what an adaptation does to the weights."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from oracle.folding import row_layers
from oracle.reference import Loss, Optimizer, Plan, Reference

_ACTIVATIONS = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU)
_LINEAR = (keras.activations.linear, keras.activations.softmax)
Samples = Sequence[tuple[np.ndarray, int]]


class AdaptingReference(Reference):
    """A reference that also inspects layers and adapts to an episode."""

    def __init__(
        self, model: keras.Model, loss: Loss, optimizer: Optimizer, plan: Plan | None = None, dtype: str = "float32"
    ) -> None:
        super().__init__(model, loss, optimizer, plan or {}, dtype)
        layers = row_layers(self.model)
        self._names = list(layers)
        outputs = [_output_of(layer) for layer in layers.values()]
        self._tapped = keras.Model(self.model.input, [*outputs, self._logits_model.outputs[0]])
        self._outputs: list[tf.Tensor] = []

    def fisher(self, samples: Samples) -> dict[str, np.ndarray]:
        """Half the mean over the samples of (sum over positions of a * g)^2: layer -> (channels,)."""
        sums: dict[str, np.ndarray] = dict.fromkeys(self._names, 0.0)
        for x, label in samples:
            with tf.GradientTape() as tape:
                loss = self._loss(x, label)
                outputs = list(self._outputs)
            gradients = tape.gradient(loss, outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            for name, a, g in zip(self._names, outputs, gradients, strict=True):
                product = (a * g).numpy()
                sums[name] = sums[name] + product.reshape(-1, product.shape[-1]).sum(axis=0) ** 2
        return {name: total / (2 * len(samples)) for name, total in sums.items()}

    def adapt(self, samples: Samples, iterations: int, *, exact: bool) -> list[float]:
        """Adam on pseudo-queries that are the samples themselves; the mean loss before each update.

        ``exact``: the gradient flows through the prototypes, which are the means of this iteration's embeddings;
        otherwise they are enrolled when an iteration begins and constant within it.
        """
        losses = []
        self.enroll_anew(samples)
        for _ in range(iterations):
            sources = {key: self.variables[key].value for key in self.chosen}
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(list(sources.values()))
                loss = self._episode_loss(samples) if exact else self._loss_of_constant_prototypes(samples)
            gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            losses.append(float(loss))
            self._steps += 1
            for key, gradient in gradients.items():
                self._update(key, np.where(self.chosen[key], gradient.numpy(), 0))
            self.enroll_anew(samples)
        return losses

    def enroll_anew(self, samples: Samples) -> None:
        self._embeddings = {}
        for x, label in samples:
            self.enroll(x, label)

    def _output(self, x: np.ndarray) -> tf.Tensor:
        *self._outputs, logits = self._tapped(x[None], training=False)
        return logits

    def _loss_of_constant_prototypes(self, samples: Samples) -> tf.Tensor:
        return tf.reduce_mean([self._loss(x, label) for x, label in samples])

    def _episode_loss(self, samples: Samples) -> tf.Tensor:
        x, labels = np.stack([x for x, _ in samples]), np.array([label for _, label in samples])
        classes = np.unique(labels)
        embeddings = tf.reshape(self._logits_model(x, training=False), [len(samples), -1])
        means = tf.stack([tf.reduce_mean(embeddings[labels == c], axis=0) for c in classes])
        cosines = tf.matmul(tf.math.l2_normalize(embeddings, 1), tf.math.l2_normalize(means, 1), transpose_b=True)
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(
                np.searchsorted(classes, labels), self._scalar(self.loss.temperature) * cosines
            )
        )


def _output_of(layer: keras.layers.Layer) -> keras.KerasTensor:
    """The layer's output, after the activation that alone reads it."""
    readers = [node.operation for node in layer._outbound_nodes]
    if len(readers) == 1 and isinstance(readers[0], _ACTIVATIONS):
        if getattr(readers[0], "activation", None) not in _LINEAR:
            return readers[0].output
    return layer.output
