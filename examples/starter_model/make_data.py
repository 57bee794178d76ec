# SPDX-License-Identifier: Apache-2.0
"""Makes what the starter model learns from: distorted letters, strokes and objects, and letters that are held out.

The result is what `tt-tflm meta-train` and `tt-tflm evaluate` read. The same seed gives the same images.
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
from backbone import SIDE
from glyphs import GLYPH_SIDE, distort, render_letters
from shapes import draw_shapes

HELD_OUT = 20  # letters
COPIES = 6  # of a glyph, each distorted by a draw of its own
SHAPES, EACH = 120, 16
_BATCH = 500


def make_data(training: Path, held_out: Path, seed: int = 0) -> None:
    """Writes two .npz files with `x` uint8 (N, 32, 32, 1) and `y` int64 (N,).

    Args:
        training: for letters, strokes and objects; no digit is among them.
        held_out: for letters that are not in the other.
        seed: of all draws.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    glyphs, letters = render_letters()
    chosen = np.random.default_rng(seed).permutation(letters.max() + 1)[:HELD_OUT]
    apart = np.isin(letters, chosen)
    shapes, shape_classes = draw_shapes(SHAPES, EACH, GLYPH_SIDE, seed)
    known = np.concatenate([glyphs[~apart], shapes])
    classes = np.concatenate([letters[~apart], letters.max() + 1 + shape_classes])
    for path, images, labels in ((training, known, classes), (held_out, glyphs[apart], letters[apart])):
        copies = [_distorted(images) for _ in range(COPIES)]
        np.savez_compressed(path, x=np.concatenate(copies), y=np.tile(labels, COPIES))


def _distorted(images: np.ndarray) -> np.ndarray:
    parts = [distort(tf.constant(images[i : i + _BATCH]), SIDE).numpy() for i in range(0, len(images), _BATCH)]
    return np.round((np.concatenate(parts) + 1) * 127.5).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=Path, default=Path("training.npz"))
    parser.add_argument("--held-out", type=Path, default=Path("held_out.npz"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make_data(arguments.training, arguments.held_out, arguments.seed)
    for path in (arguments.training, arguments.held_out):
        with np.load(path) as file:
            print(f"{path}: {len(file['y']):,} images of {len(np.unique(file['y']))} classes")


if __name__ == "__main__":
    main()
