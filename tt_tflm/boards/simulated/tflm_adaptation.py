# SPDX-License-Identifier: Apache-2.0
"""An adaptation with a train.tflite: what ``tt_adapt`` does in builds of the C backend, run by run.

The maths of the episode is that of the device runtime. A firmware that links TFLM has the same calls.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tt_tflm.boards.simulated.task import Task
from tt_tflm.boards.simulated.tflm_models import TflmModel
from tt_tflm.boards.simulated.tflm_runtime import constant_gradient, episode_gradient, pace, pseudo_query


class EpisodeRun:
    """The support set of a task, and how to train on it.

    Args:
        model: to train.
        task: how.
        samples: contiguous float32, of the input's shape.
        temperature: of the loss.

    All calls raise `DeviceError` where a value is not finite.
    """

    def __init__(self, model: TflmModel, task: Task, samples: Sequence[np.ndarray], temperature: float) -> None:
        self._model, self._task, self._samples, self._temperature = model, task, samples, temperature
        self._classes = len(model.read("counts"))
        self._labels = task.labels.astype(np.uint32)

    def enroll(self) -> None:
        """Makes the prototypes anew."""
        self._model.forget_prototypes()
        for x, label in zip(self._samples, self._labels.tolist(), strict=True):
            self._model.enroll(x, label)

    def pace(self) -> np.float32:
        """The share of the learning rate to take."""
        return pace(np.stack([self._model.embedding(x) for x in self._samples]), self._labels, self._classes)

    def iterate(self, iteration: int) -> np.float32:
        """One update; returns the mean loss of the pseudo-queries before it."""
        loss = (self._exact if self._task.exact else self._constant)(iteration)
        self._model.update()
        return loss

    def _sample(self, iteration: int, index: int) -> np.ndarray:
        """The support set first, then its pseudo-queries."""
        x = self._samples[index % len(self._samples)]
        if index < len(self._samples):
            return x
        return pseudo_query(x, self._task.augment, self._task.seed, iteration, index)

    def _exact(self, iteration: int) -> np.float32:
        """Embeddings of everything, the gradient with respect to each, then one backward pass for each."""
        support = len(self._samples)
        embeddings = np.stack([self._model.embedding(self._sample(iteration, i)) for i in range(2 * support)])
        labels = np.tile(self._labels, 2)
        loss, seeds = episode_gradient(embeddings, labels, support, self._classes, self._temperature)
        for i, seed in enumerate(seeds):
            self._model.accumulate(self._sample(iteration, i), seed)
        return loss

    def _constant(self, iteration: int) -> np.float32:
        """Prototypes held through an iteration: the gradient of the pseudo-queries alone."""
        self.enroll()
        sums, counts = (self._model.read(name) for name in ("sums", "counts"))
        support, total = len(self._samples), np.float32(0)
        for i, label in enumerate(self._labels.tolist()):
            x = self._sample(iteration, support + i)
            embedding = self._model.embedding(x)
            loss, seed = constant_gradient(embedding, label, sums, counts, self._temperature)
            total += loss
            self._model.accumulate(x, seed / np.float32(support))
        return total / np.float32(support)
