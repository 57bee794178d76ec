# SPDX-License-Identifier: Apache-2.0
"""Things that are no letters: drawings of a few curved strokes, and objects of a few grey parts.

A class is a set of strokes or parts drawn at random; its images move their points and change their sizes and greys.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

_CANVAS = 96  # pixels that a shape is drawn on before it is scaled down
_MARGIN = 0.12  # share of the canvas left free on each side
_CURVE = np.linspace(0.0, 1.0, 17)
_SHAKE = 0.03  # standard deviation by which points of a class move, as a share of the canvas


def draw_shapes(classes: int, each: int, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws as many classes of strokes as of objects.

    Args:
        classes: of both kinds together, even.
        each: images of a class.
        side: pixels of an image.
        seed: of the shapes and their variations.

    Returns:
        Images, uint8 (classes * each, side, side), black is 0; and their classes, int64, from 0 without gaps.
    """
    random = np.random.default_rng(seed)
    images = []
    for label in range(classes):
        draw = _strokes(random) if label % 2 else _object(random)
        for _ in range(each):
            canvas = Image.new("L", (_CANVAS, _CANVAS))
            draw(ImageDraw.Draw(canvas))
            images.append(np.asarray(canvas.resize((side, side), Image.Resampling.BOX)))
    return np.stack(images), np.repeat(np.arange(classes), each)


def _strokes(random: np.random.Generator) -> Callable[[ImageDraw.ImageDraw], None]:
    strokes = [random.uniform(_MARGIN, 1 - _MARGIN, (4, 2)) for _ in range(random.integers(1, 4))]
    width = random.uniform(4, 10)

    def draw(on: ImageDraw.ImageDraw) -> None:
        thick = round(width * random.uniform(0.7, 1.4))
        for stroke in strokes:
            points = _CANVAS * _bezier(stroke + random.normal(0, _SHAKE, stroke.shape))
            on.line([tuple(point) for point in points], fill=255, width=thick, joint="curve")

    return draw


def _bezier(points: np.ndarray) -> np.ndarray:
    t = _CURVE[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    return weights @ points


def _object(random: np.random.Generator) -> Callable[[ImageDraw.ImageDraw], None]:
    parts = []
    for size in np.linspace(0.38, 0.1, random.integers(2, 6)):
        centre = random.uniform(0.35, 0.65, 2) if not parts else random.uniform(0.25, 0.75, 2)
        corners = int(random.choice([3, 4, 5, 16]))
        stretch = random.uniform(0.5, 1.0, 2)
        parts.append((centre, size * stretch, random.uniform(0, 2 * np.pi), corners, random.uniform(40, 255)))

    def draw(on: ImageDraw.ImageDraw) -> None:
        for centre, radii, turn, corners, grey in parts:
            angles = turn + random.normal(0, 0.1) + 2 * np.pi * np.arange(corners) / corners
            ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii * random.uniform(0.85, 1.15, 2)
            points = _CANVAS * (centre + random.normal(0, _SHAKE, 2) + ring)
            level = np.clip(grey + random.normal(0, 20), 0, 255)
            on.polygon([tuple(point) for point in points], fill=round(level))

    return draw
