# SPDX-License-Identifier: Apache-2.0
"""Meta-trains the demo's backbone on letters: prototypical networks with cosine similarity (Snell et al., 2017).

Each episode draws ten letters, five glyphs of each to form the prototypes and five to be told apart by them. What the
backbone learns is to place images of one class close together, whatever the class.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from glyphs import distort, render_letters
from keras import layers
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SIDE = 32
WAYS = 10
SHOTS = 5
TEMPERATURE = 10.0
EPISODES = 1800
LEARNING_RATE = 2e-3


def build_backbone() -> keras.Model:
    """Returns a MobileNetV2-like network: image (32, 32, 1) from -1 to 1 in, embedding (64,) out."""
    image = layers.Input((SIDE, SIDE, 1), name="image")
    x = layers.Conv2D(16, 3, 2, "same", use_bias=False, name="stem_conv")(image)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    for index, (wide, out, stride) in enumerate(
        [(48, 24, 2), (72, 24, 1), (96, 40, 2), (120, 40, 1), (120, 40, 1), (160, 64, 1)], start=1
    ):
        x = _inverted_residual(x, f"block_{index}", wide, out, stride)
    embedding = layers.GlobalAveragePooling2D(name="embedding")(x)
    return keras.Model(image, embedding, name="few_shot_digits")


def _inverted_residual(x: keras.KerasTensor, name: str, wide: int, out: int, stride: int) -> keras.KerasTensor:
    skip = x
    x = layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand")(x)
    x = layers.BatchNormalization(name=f"{name}_expand_norm")(x)
    x = layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
    x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.BatchNormalization(name=f"{name}_depthwise_norm")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(out, 1, use_bias=False, name=f"{name}_project")(x)
    x = layers.BatchNormalization(name=f"{name}_project_norm")(x)
    if stride == 1 and skip.shape[-1] == out:
        x = layers.Add(name=f"{name}_add")([skip, x])
    return x


def episode_loss(embedding: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy over cosine similarities of questions to prototypes.

    Args:
        embedding: float32 (WAYS * 2 * SHOTS, E), class by class, prototypes' samples first within a class.

    Returns:
        Mean loss and share of right answers, both scalars.
    """
    by_class = tf.reshape(embedding, (WAYS, 2 * SHOTS, embedding.shape[-1]))
    prototypes = tf.math.l2_normalize(tf.reduce_mean(by_class[:, :SHOTS], axis=1), axis=-1)
    questions = tf.math.l2_normalize(tf.reshape(by_class[:, SHOTS:], (WAYS * SHOTS, -1)), axis=-1)
    scores = TEMPERATURE * questions @ tf.transpose(prototypes)
    labels = tf.repeat(tf.range(WAYS), SHOTS)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores))
    right = tf.cast(tf.equal(tf.argmax(scores, axis=-1, output_type=tf.int32), labels), tf.float32)
    return loss, tf.reduce_mean(right)


def train(episodes: int, seed: int) -> keras.Model:
    """Trains a backbone from nothing; the same seed on the same machine gives the same weights."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    draw = np.random.default_rng(seed)
    glyphs, classes = render_letters()
    members = [np.flatnonzero(classes == label) for label in range(classes.max() + 1)]
    backbone = build_backbone()
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, episodes))
    optimizer.build(backbone.trainable_variables)

    @tf.function
    def step(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss, accuracy = episode_loss(backbone(distort(batch, SIDE), training=True))
        gradients = tape.gradient(loss, backbone.trainable_variables)
        optimizer.apply(gradients, backbone.trainable_variables)
        return loss, accuracy

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("Meta-training on letters", total=episodes, state="")
        shown = 0.0
        for _ in range(episodes):
            ways = draw.choice(len(members), WAYS, replace=False)
            rows = np.concatenate([draw.choice(members[way], 2 * SHOTS, replace=False) for way in ways])
            _, accuracy = step(tf.constant(glyphs[rows]))
            shown = 0.98 * shown + 0.02 * float(accuracy) if shown else float(accuracy)
            progress.update(task, advance=1, state=f"accuracy {shown:.1%}")
    return backbone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("backbone.keras"))
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    backbone = train(arguments.episodes, arguments.seed)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    backbone.save(arguments.output)
    print(f"{arguments.output}: {backbone.count_params():,} parameters")


if __name__ == "__main__":
    main()
