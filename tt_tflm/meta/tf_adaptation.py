# SPDX-License-Identifier: Apache-2.0
"""The device's adaptation in TensorFlow: the same pseudo-queries, the same loss, the same update of the chosen rows.

It is there to be compared with the device code, and trains the same rows by automatic differentiation. What lies before
the earliest chosen layer is computed once for the support set, and without a gradient for the pseudo-queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.meta.augment import DeviceRandom, augment
from tt_tflm.meta.network import RowNetwork
from tt_tflm.meta.prototypical import episode_loss
from tt_tflm.meta.statistics import nearest_prototype, paced_rate, tightness
from tt_tflm.optimizers import Adam
from tt_tflm.plan.update_plan import LayerPlan

if TYPE_CHECKING:
    import keras

    from tt_tflm.boards.episode import Episode
    from tt_tflm.boards.simulated.task import Augment
    from tt_tflm.frontend.layers import Layer

_BATCH = 50


class TfAdaptation:
    """Adapts a model to one episode after the other, each from the base weights.

    Args:
        model: ends in an embedding.
        temperature: of the cosines.
        optimizer: Adam; its batch size plays no part.
    """

    def __init__(self, model: keras.Model, temperature: float, optimizer: Adam) -> None:
        self._network = RowNetwork(model)
        self._temperature = temperature
        self._optimizer = optimizer
        self._engines: dict[tuple[str, ...], _Engine] = {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers with weights."""
        return self._network.layers

    def accuracy(self, episode: Episode) -> float:
        """Share of right answers with the base weights."""
        engine = self._engine((self._network.layers[-1].name,))
        engine.reset({})
        return engine.accuracy(episode)

    def adapt(
        self,
        episode: Episode,
        plan: Mapping[str, LayerPlan],
        iterations: int,
        options: Augment,
        seed: int = 0,
        *,
        paced: bool = True,
    ) -> tuple[float, list[float]]:
        """Trains the rows of a plan, as ``tt_adapt`` does with the exact gradient.

        Args:
            episode: fitted to the model's input.
            plan: layer name -> channels.
            iterations: updates.
            options: of the pseudo-queries.
            seed: of the pseudo-queries.
            paced: whether the learning rate goes by the tightness of the support set.

        Returns:
            Share of right answers after it, and the loss of each iteration before its update.
        """
        engine = self._engine(tuple(name for name in self._network.rows if name in plan))
        engine.reset(plan)
        support = engine.frozen(episode.support_x)
        share = paced_rate(tightness(engine.embeddings(episode.support_x), episode.support_y)) if paced else 1.0
        losses = []
        for iteration in range(iterations):
            count = len(episode.support_x)
            queries = np.stack(
                [augment(x, options, DeviceRandom(seed, iteration, count + i)) for i, x in enumerate(episode.support_x)]
            )
            losses.append(engine.update(support, engine.frozen(queries), episode.support_y, iteration, share))
        return engine.accuracy(episode), losses

    def _engine(self, layers: tuple[str, ...]) -> _Engine:
        if layers not in self._engines:
            self._engines[layers] = _Engine(self._network, layers, self._temperature, self._optimizer)
        return self._engines[layers]


class _Engine:
    """Compiled functions for plans over the same layers."""

    def __init__(self, network: RowNetwork, layers: tuple[str, ...], temperature: float, optimizer: Adam) -> None:
        import tensorflow as tf

        self._network, self._temperature, self._optimizer = network, temperature, optimizer
        self._start = network.start(layers)
        self._layers = {layer.name: layer for layer in network.layers if layer.name in layers}
        self._rows = {name: tf.Variable(network.rows[name]) for name in layers}
        self._masks = {name: tf.Variable(tf.zeros_like(rows)) for name, rows in self._rows.items()}
        self._moments = {
            name: (tf.Variable(tf.zeros_like(rows)), tf.Variable(tf.zeros_like(rows)))
            for name, rows in self._rows.items()
        }
        self._frozen = tf.function(lambda images: network.frozen(images, self._start), reduce_retracing=True)
        self._trained = tf.function(
            lambda values: network.trained(values, self._start, self._rows), reduce_retracing=True
        )
        self._step = tf.function(self._update, reduce_retracing=True)

    def reset(self, plan: Mapping[str, LayerPlan]) -> None:
        """Base rows, no moments, and which entries of the rows are trained."""
        for name, rows in self._rows.items():
            rows.assign(self._network.rows[name])
            mask = np.zeros(rows.shape, np.float32)
            if name in plan:
                layer, chosen = self._layers[name], plan[name]
                if chosen.weights:
                    mask[list(chosen.channels), : layer.row_length] = 1
                if chosen.bias and layer.bias:
                    mask[list(chosen.channels), layer.row_length] = 1
            self._masks[name].assign(mask)
            for moment in self._moments[name]:
                moment.assign(np.zeros(rows.shape, np.float32))

    def frozen(self, images: np.ndarray) -> tuple[Any, ...]:
        import tensorflow as tf

        return self._frozen(tf.constant(images))

    def embeddings(self, images: np.ndarray) -> np.ndarray:
        parts = [images[first : first + _BATCH] for first in range(0, len(images), _BATCH)]
        return np.concatenate([self._trained(self.frozen(part)).numpy() for part in parts])

    def accuracy(self, episode: Episode) -> float:
        support, query = self.embeddings(episode.support_x), self.embeddings(episode.query_x)
        return nearest_prototype(support, episode.support_y, query, episode.query_y)

    def update(
        self, support: tuple[Any, ...], queries: tuple[Any, ...], labels: np.ndarray, iteration: int, share: float
    ) -> float:
        import tensorflow as tf

        adam, step = self._optimizer, iteration + 1
        rate = share * adam.learning_rate * np.sqrt(1 - adam.beta_2**step) / (1 - adam.beta_1**step)
        # Tensors all: TensorFlow would trace the function anew for every other number of classes, and complain.
        numbers, classes = tf.constant(labels, tf.int32), tf.constant(int(labels.max()) + 1, tf.int32)
        return float(self._step(support, queries, numbers, classes, tf.constant(rate, tf.float32)))

    def _update(self, support: Any, queries: Any, labels: Any, classes: int, rate: Any) -> Any:
        import tensorflow as tf

        count = tf.size(labels)
        both = tuple(tf.concat([s, q], axis=0) for s, q in zip(support, queries, strict=True))
        with tf.GradientTape() as tape:
            embeddings = self._network.trained(both, self._start, self._rows)
            loss, _ = episode_loss(embeddings[:count], labels, embeddings[count:], labels, classes, self._temperature)
        gradients = tape.gradient(loss, list(self._rows.values()))
        adam = self._optimizer
        for (name, rows), whole in zip(self._rows.items(), gradients, strict=True):
            gradient = whole * self._masks[name]
            first, second = self._moments[name]
            first.assign_add((gradient - first) * (1 - adam.beta_1))
            second.assign_add((tf.square(gradient) - second) * (1 - adam.beta_2))
            rows.assign_sub(rate * first / (tf.sqrt(second) + adam.epsilon))
        return loss
