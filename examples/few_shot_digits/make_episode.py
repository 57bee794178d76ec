# SPDX-License-Identifier: Apache-2.0
"""Makes a 5-way 5-shot episode of scikit-learn's handwritten digits, which the backbone has never seen."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SIDE = 32
WAYS = 5
SHOTS = 5
QUERIES = 15  # per class


def make_episode(path: Path, seed: int) -> None:
    """Writes an episode: five digits drawn by `seed`, five samples of each to learn from, fifteen to be judged by.

    Args:
        path: .npz file to write; x is uint8 (N, 32, 32, 1), y int64 (N,).
        seed: of the draw; another seed gives other digits and other samples.
    """
    digits = load_digits()
    draw = np.random.default_rng(seed)
    support: list[int] = []
    query: list[int] = []
    for digit in draw.choice(10, WAYS, replace=False):
        rows = draw.choice(np.flatnonzero(digits.target == digit), SHOTS + QUERIES, replace=False)
        support.extend(rows[:SHOTS])
        query.extend(rows[SHOTS:])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        support_x=_upscale(digits.images[support]),
        support_y=np.repeat(np.arange(WAYS), SHOTS),
        query_x=_upscale(digits.images[query]),
        query_y=np.repeat(np.arange(WAYS), QUERIES),
    )


def _upscale(images: np.ndarray) -> np.ndarray:
    """8x8 images of 0 to 16 to uint8 (N, SIDE, SIDE, 1)."""
    pixels = np.round(images * (255 / 16)).astype(np.uint8)
    scaled = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for image in pixels]
    return np.stack([np.asarray(image) for image in scaled])[..., None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("episode.npz"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make_episode(arguments.output, arguments.seed)
    print(f"{arguments.output}: {WAYS} digits, {SHOTS} samples of each to learn from, {QUERIES} to be judged by")


if __name__ == "__main__":
    main()
