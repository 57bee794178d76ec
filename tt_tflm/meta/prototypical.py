# SPDX-License-Identifier: Apache-2.0
"""The prototypical loss of an episode in TensorFlow, and the penalty on badly ranged weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tt_tflm.meta.fake_quantization import by_channel

if TYPE_CHECKING:
    import tensorflow as tf

SMALLEST_NORM = 1e-6  # as in ops/include/tt_prototype.h


def unit(vectors: tf.Tensor) -> tf.Tensor:
    """Vectors (N, E) at length 1; those shorter than 1e-6 are divided by that."""
    import tensorflow as tf

    squares = tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)
    # The square root's gradient at 0 is infinite: it is taken of a number above 0.
    return vectors / tf.sqrt(tf.maximum(squares, SMALLEST_NORM**2))


def prototype_scores(support: tf.Tensor, labels: tf.Tensor, query: tf.Tensor, classes: int | tf.Tensor) -> tf.Tensor:
    """Cosine of every query to the mean support embedding of every class (Snell et al., 2017, with cosines).

    Args:
        support: (S, E).
        labels: of the support, int32 (S,), each below classes, each class at least once.
        query: (Q, E).
        classes: their number.

    Returns:
        (Q, classes).
    """
    import tensorflow as tf

    means = tf.math.unsorted_segment_mean(support, labels, classes)
    return tf.matmul(unit(query), unit(means), transpose_b=True)


def episode_loss(
    support: tf.Tensor,
    support_labels: tf.Tensor,
    query: tf.Tensor,
    query_labels: tf.Tensor,
    classes: int | tf.Tensor,
    temperature: float | tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean cross-entropy of softmax(temperature * cosines) over queries, in nats, and share of right answers."""
    import tensorflow as tf

    scores = prototype_scores(support, support_labels, query, classes)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(query_labels, temperature * scores)
    right = tf.equal(tf.argmax(scores, axis=-1, output_type=tf.int32), query_labels)
    return tf.reduce_mean(loss), tf.reduce_mean(tf.cast(right, tf.float32))


def range_penalty(kernels: Sequence[tuple[tf.Tensor, tuple[int, ...]]], limit: float) -> tf.Tensor:
    """Mean over all channels of max(0, max|w| / rms(w) - limit)^2.

    int8 spends one step size on each output channel: a channel whose largest weight is far beyond the others rounds the
    others away. The ratio does not change when a batch norm is folded into the kernel.

    Args:
        kernels: kernel and its axes that are output channels, as of ``linear_kernels``.
        limit: ratio that costs nothing, at least 1.
    """
    import tensorflow as tf

    parts = []
    for kernel, channels in kernels:
        rows = by_channel(kernel, channels)
        rms = tf.sqrt(tf.reduce_mean(tf.square(rows), axis=0) + 1e-12)
        parts.append(tf.square(tf.nn.relu(tf.reduce_max(tf.abs(rows), axis=0) / rms - limit)))
    return tf.reduce_mean(tf.concat(parts, axis=0))
