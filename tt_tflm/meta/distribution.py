# SPDX-License-Identifier: Apache-2.0
"""Meta-training on several devices or machines: which tf.distribute strategy, and one step of it."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError, expect_one_of
from tt_tflm.meta.fake_quantization import call_fake_quantized, linear_kernels
from tt_tflm.meta.prototypical import episode_loss, range_penalty

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

STRATEGIES = ("mirrored", "multiworker")
EpisodeArrays = tuple[np.ndarray, np.ndarray, np.ndarray]
_CLUSTER = "TF_CONFIG"


def make_strategy(name: str | tf.distribute.Strategy | None) -> tf.distribute.Strategy:
    """The strategy of that name; None for one device. A strategy that has been made already stays as it is.

    ``multiworker`` takes its cluster and the place of this process in it from the environment variable TF_CONFIG, as
    TensorFlow does: ``{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}``. It has
    to be made before anything else of TensorFlow has run in the process, so before the backbone is loaded.

    Raises:
        InputError: there is no such strategy, or TF_CONFIG is missing or malformed.
    """
    import tensorflow as tf

    if name is None:
        return tf.distribute.get_strategy()
    if isinstance(name, tf.distribute.Strategy):
        return name
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    expect_one_of("strategy", name, STRATEGIES)
    try:
        config = json.loads(os.environ[_CLUSTER])
        workers, index = config["cluster"]["worker"], config["task"]["index"]
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"strategy multiworker: expected {_CLUSTER} in the environment with cluster.worker and task.index, "
            f"received {os.environ.get(_CLUSTER, 'none')!r:.80}"
        ) from None
    if not isinstance(index, int) or not 0 <= index < len(workers):
        raise InputError(f"strategy multiworker: expected a task.index below {len(workers)}, received {index!r}")
    return tf.distribute.MultiWorkerMirroredStrategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files."""
    resolver = getattr(strategy, "cluster_resolver", None)
    return resolver is None or resolver.task_id in (None, 0)


class Trainer:
    """One update from several episodes, spread evenly over the replicas of a strategy.

    The gradient is the mean over all episodes of a step, whoever computed them, so replicas change nothing but rounding
    as long as batch norm keeps its statistics.

    Args:
        strategy: in whose scope the model was made.
        model: a backbone.
        optimizer: Keras', made in the scope.
        log_temperature: variable made in the scope.
        episodes: of a step; a multiple of the replicas.
        batch_norm_trained: whether statistics come from the batch and move.
        weight_range: see ``range_penalty``; None for no penalty.

    Raises:
        InputError: the episodes cannot be spread evenly.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        optimizer: keras.Optimizer,
        log_temperature: tf.Variable,
        episodes: int,
        *,
        batch_norm_trained: bool,
        weight_range: float | None,
    ) -> None:
        import tensorflow as tf

        self.replicas = strategy.num_replicas_in_sync
        if episodes % self.replicas:
            raise InputError(
                f"expected a number of episodes a step that {self.replicas} replicas can share evenly, "
                f"received {episodes}"
            )
        self._strategy, self._model, self._optimizer = strategy, model, optimizer
        self._log_temperature = log_temperature
        self._episodes, self._per_replica = episodes, episodes // self.replicas
        self._batch_norm_trained = batch_norm_trained
        self._weight_range = weight_range
        self._variables = [variable.value for variable in model.trainable_variables] + [log_temperature]
        self._kernels = linear_kernels(model)
        self._mine = _local_replicas(strategy)
        # Compiled when first called: a run without fake quantisation pays for one of them.
        self._steps = {
            fake: tf.function(
                functools.partial(self._replicated, fake), input_signature=self._signature(), reduce_retracing=True
            )
            for fake in (False, True)
        }

    def my_episodes(self) -> list[int]:
        """Which episodes of a step this process computes."""
        return [replica * self._per_replica + i for replica in self._mine for i in range(self._per_replica)]

    def step(
        self, episodes: dict[int, EpisodeArrays], learning_rate: float, *, fake_quantized: bool = False
    ) -> tuple[float, float]:
        """One update.

        Args:
            episodes: number in the step -> images (N, H, W, C), labels int32 (N,), and how many of the images of each
                class are its support, int32 (classes,); for at least those of ``my_episodes``. Of a class, the support
                comes first.
            learning_rate: of this step.
            fake_quantized: whether the loss is that of weights rounded to int8 (straight-through gradients).

        Returns:
            Mean loss and mean accuracy over all episodes of the step.
        """
        self._optimizer.learning_rate = learning_rate
        values = self._strategy.experimental_distribute_values_from_function(
            lambda context: self._of_replica(episodes, context.replica_id_in_sync_group)
        )
        loss, accuracy = self._steps[fake_quantized](values)
        return float(loss), float(accuracy)

    def _of_replica(self, episodes: dict[int, EpisodeArrays], replica: int) -> Any:
        import tensorflow as tf

        first = replica * self._per_replica
        return tuple(tuple(map(tf.constant, episodes[first + i])) for i in range(self._per_replica))

    def _signature(self) -> list[Any] | None:
        """Sizes differ from episode to episode; saying so at once saves a second compilation where the values are plain
        tensors."""
        import tensorflow as tf

        if self._strategy is not tf.distribute.get_strategy():
            return None
        images = tf.TensorSpec((None, *self._model.input_shape[1:]), tf.float32)
        numbers = tf.TensorSpec((None,), tf.int32)
        return [((images, numbers, numbers),) * self._per_replica]

    def _replicated(self, fake_quantized: bool, values: Any) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        loss, accuracy = self._strategy.run(self._on_replica, args=(fake_quantized, values))
        add = tf.distribute.ReduceOp.SUM
        return self._strategy.reduce(add, loss, axis=None), self._strategy.reduce(add, accuracy, axis=None)

    def _on_replica(self, fake_quantized: bool, episodes: Sequence[Sequence[tf.Tensor]]) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        total_loss = total_accuracy = tf.constant(0.0)
        totals = [tf.zeros_like(variable) for variable in self._variables]
        for images, labels, shots in episodes:
            with tf.GradientTape() as tape:
                loss, accuracy = self._loss(fake_quantized, images, labels, shots)
            gradients = tape.gradient(loss, self._variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            totals = [total + gradient / self._episodes for total, gradient in zip(totals, gradients, strict=True)]
            total_loss += loss / self._episodes
            total_accuracy += accuracy / self._episodes
        context = tf.distribute.get_replica_context()
        if self.replicas > 1:
            totals = context.all_reduce(tf.distribute.ReduceOp.SUM, totals)
        self._optimizer.apply(totals, [*self._model.trainable_variables, self._log_temperature])
        return total_loss, total_accuracy

    def _loss(
        self, fake_quantized: bool, images: tf.Tensor, labels: tf.Tensor, shots: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        if fake_quantized:
            embeddings = call_fake_quantized(self._model, self._kernels, images, training=self._batch_norm_trained)
        else:
            embeddings = self._model(images, training=self._batch_norm_trained)
        embeddings = tf.reshape(embeddings, (tf.shape(images)[0], -1))
        sizes = tf.math.bincount(labels, minlength=tf.size(shots))
        position = tf.range(tf.size(labels)) - tf.gather(tf.cumsum(sizes, exclusive=True), labels)
        of_support = position < tf.gather(shots, labels)
        temperature = tf.exp(self._log_temperature)
        loss, accuracy = episode_loss(
            tf.boolean_mask(embeddings, of_support),
            tf.boolean_mask(labels, of_support),
            tf.boolean_mask(embeddings, ~of_support),
            tf.boolean_mask(labels, ~of_support),
            tf.size(shots),
            temperature,
        )
        if self._weight_range is not None:
            loss += range_penalty([(kernel.value, channels) for kernel, channels in self._kernels], self._weight_range)
        return loss, accuracy


def _local_replicas(strategy: tf.distribute.Strategy) -> list[int]:
    """Numbers of the replicas that run in this process."""
    numbers: list[int] = []

    def note(context: Any) -> np.float32:
        numbers.append(int(context.replica_id_in_sync_group))
        return np.float32(0)

    strategy.experimental_distribute_values_from_function(note)
    return numbers


def schedule(base: float, warm_up: float) -> Callable[[float], float]:
    """Learning rate by progress from 0 to 1: linear warm-up over a share of the run, then half a cosine down to 0."""

    def rate(progress: float) -> float:
        if progress < warm_up:
            return base * progress / warm_up
        return base * 0.5 * (1 + np.cos(np.pi * min(1.0, (progress - warm_up) / (1 - warm_up))))

    return rate
