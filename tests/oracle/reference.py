# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow says that a sparse train step does: tf.GradientTape, masked to a plan, with Keras' update rules."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from .folding import channel_count, fold_batch_norm, row_layers, weight_variables

# float32, so that a norm is clamped at the same value on the board.
_NORM_FLOOR = np.float32(1e-6)
NOT_ENROLLED_SCORE = -np.finfo(np.float32).max


@dataclass(frozen=True)
class SoftmaxLoss:
    """Softmax cross-entropy on a classifier's logits."""


@dataclass(frozen=True)
class PrototypeLoss:
    """Cross-entropy over temperature * cosine similarity to the mean embedding of each enrolled class."""

    classes: int
    temperature: float = 10.0


@dataclass(frozen=True)
class SGD:
    learning_rate: float = 0.01
    batch_size: int = 1


@dataclass(frozen=True)
class Momentum:
    learning_rate: float = 0.01
    momentum: float = 0.9
    batch_size: int = 1


@dataclass(frozen=True)
class Adam:
    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    batch_size: int = 1


Loss = SoftmaxLoss | PrototypeLoss
Optimizer = SGD | Momentum | Adam
Plan = Mapping[str, object]


class Reference:
    """A board as TensorFlow computes it, in `dtype` ("float32", or "float64" to tell rounding from error).

    `plan`: the layers of an update plan, {layer: "all" | [channels] | {"channels": "all" | [channels], "bias": bool}}.
    Inputs are arrays of the model's input shape, without a batch axis.
    """

    def __init__(self, model: keras.Model, loss: Loss, optimizer: Optimizer, plan: Plan, dtype: str = "float32"):
        self.model = fold_batch_norm(model, dtype)
        self.loss = loss
        self.optimizer = optimizer
        self.dtype = dtype
        self.variables = weight_variables(self.model)
        self.chosen = chosen_entries(self.model, plan)
        self._logits_model = _without_softmax(self.model)
        self._base = self.weights()
        self.reset()

    def reset(self) -> None:
        """Return to the base weights and forget moments, accumulated gradients and prototypes."""
        for key, value in self._base.items():
            self.variables[key].assign(value)
        zeros = {key: np.zeros(mask.shape, self.dtype) for key, mask in self.chosen.items()}
        self._accumulated = dict(zeros)
        self._first_moment = dict(zeros)
        self._second_moment = dict(zeros)
        self._samples = 0
        self._steps = 0
        self._learning_rate = self.optimizer.learning_rate
        self._embeddings: dict[int, list[np.ndarray]] = {}

    def set_learning_rate(self, learning_rate: float) -> None:
        self._learning_rate = learning_rate

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of all kernels and biases, trained or not."""
        return {key: variable.numpy().copy() for key, variable in self.variables.items()}

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Scores of the classes: the model's own output, or for prototypes the scaled cosine similarities."""
        if isinstance(self.loss, SoftmaxLoss):
            return self.model(x[None], training=False).numpy().ravel()
        labels, similarities = self._similarities(tf.reshape(self._output(x), [-1]))
        scores = np.full(self.loss.classes, NOT_ENROLLED_SCORE, self.dtype)
        scores[labels] = similarities.numpy()
        return scores

    def embedding(self, x: np.ndarray) -> np.ndarray:
        return self._output(x).numpy().ravel()

    def enroll(self, x: np.ndarray, label: int) -> None:
        """Add one sample to the mean embedding of its class, with the weights as they are now."""
        self._embeddings.setdefault(label, []).append(self.embedding(x))

    def gradients(self, x: np.ndarray, label: int) -> tuple[float, dict[str, np.ndarray]]:
        """The loss of one sample, and its gradient with respect to each tensor of the plan, zero where not chosen."""
        sources = {key: self.variables[key].value for key in self.chosen}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(sources.values()))
            loss = self._loss(x, label)
        gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return float(loss), {key: np.where(self.chosen[key], value.numpy(), 0) for key, value in gradients.items()}

    def train_step(self, x: np.ndarray, label: int) -> float:
        """Present one sample; weights move when `batch_size` samples have been seen, by their mean gradient."""
        loss, gradients = self.gradients(x, label)
        for key, gradient in gradients.items():
            self._accumulated[key] = self._accumulated[key] + gradient
        self._samples += 1
        if self._samples == self.optimizer.batch_size:
            self._steps += 1
            for key, total in self._accumulated.items():
                self._update(key, total / self._scalar(self.optimizer.batch_size))
                self._accumulated[key] = np.zeros_like(total)
            self._samples = 0
        return loss

    def _update(self, key: str, gradient: np.ndarray) -> None:
        number = self._scalar
        rate = number(self._learning_rate)
        before = self.variables[key].numpy()
        rule = self.optimizer
        if isinstance(rule, SGD):
            after = before - rate * gradient
        elif isinstance(rule, Momentum):
            velocity = number(rule.momentum) * self._first_moment[key] - rate * gradient
            self._first_moment[key] = velocity
            after = before + velocity
        else:
            first, second = self._first_moment[key], self._second_moment[key]
            first = first + (gradient - first) * number(1 - rule.beta_1)
            second = second + (gradient * gradient - second) * number(1 - rule.beta_2)
            self._first_moment[key], self._second_moment[key] = first, second
            alpha = rate * number(np.sqrt(1 - rule.beta_2**self._steps) / (1 - rule.beta_1**self._steps))
            after = before - alpha * first / (np.sqrt(second) + number(rule.epsilon))
        self.variables[key].assign(np.where(self.chosen[key], after, before))

    def _scalar(self, value: float) -> np.floating:
        return np.dtype(self.dtype).type(value)

    def _output(self, x: np.ndarray) -> tf.Tensor:
        return self._logits_model(x[None], training=False)

    def _loss(self, x: np.ndarray, label: int) -> tf.Tensor:
        output = tf.reshape(self._output(x), [-1])
        if isinstance(self.loss, SoftmaxLoss):
            return -tf.nn.log_softmax(output)[label]
        labels, scores = self._similarities(output)
        if label not in labels:
            raise ValueError(f"expected an enrolled label, one of {labels}, received {label}")
        return -tf.nn.log_softmax(scores)[labels.index(label)]

    def _similarities(self, embedding: tf.Tensor) -> tuple[list[int], tf.Tensor]:
        if not self._embeddings:
            raise ValueError("expected at least one enrolled class, received none")
        labels = sorted(self._embeddings)
        means = [np.mean(self._embeddings[label], axis=0, dtype=self.dtype) for label in labels]
        prototypes = tf.constant(np.stack([mean / max(np.linalg.norm(mean), _NORM_FLOOR) for mean in means]))
        floor = tf.constant(_NORM_FLOOR**2, self.dtype)
        norm = tf.sqrt(tf.maximum(tf.reduce_sum(embedding * embedding), floor))
        return labels, self._scalar(self.loss.temperature) * tf.linalg.matvec(prototypes, embedding / norm)


def chosen_entries(folded: keras.Model, plan: Plan) -> dict[str, np.ndarray]:
    """One boolean array per kernel and bias that `plan` touches, true where an entry is trained."""
    chosen = {}
    layers = row_layers(folded)
    for name, entry in plan.items():
        layer = layers[name]
        options = entry if isinstance(entry, Mapping) else {"channels": entry}
        count = channel_count(layer)
        rows = np.zeros(count, bool)
        channels = options.get("channels", "all")
        rows[list(range(count)) if channels == "all" else list(channels)] = True
        shape = tuple(layer.kernel.shape)
        chosen[f"{name}/kernel"] = np.broadcast_to(rows, (int(np.prod(shape)) // count, count)).reshape(shape)
        if layer.use_bias and options.get("bias", True):
            chosen[f"{name}/bias"] = rows
    return chosen


def _without_softmax(folded: keras.Model) -> keras.Model:
    """The model up to its logits; cross-entropy from logits is the stable form that a board computes."""
    last = folded.outputs[0]._keras_history.operation
    is_softmax = isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and last.activation is keras.activations.softmax
    )
    return keras.Model(folded.input, last.input) if is_softmax else folded
