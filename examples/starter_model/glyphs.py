# SPDX-License-Identifier: Apache-2.0
"""Letters rendered from the fonts that matplotlib ships, and random distortions of grey images.

Letters only. Digits stay unseen, so that the handwritten digits of the demo are new classes as well as a new domain.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

GLYPH_SIDE = 48  # pixels of a rendered glyph; larger than the model's input so that zooming in stays sharp
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
    "cmb10",
    "cmmi10",
    "cmr10",
    "cmss10",
    "cmti10",
    "cmtt10",
)
LATIN = [*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]
GREEK = [*range(0x393, 0x3AA), *range(0x3B1, 0x3CA)]
CYRILLIC = [*range(0x410, 0x450)]
SAME_SHAPE = 0.06  # mean absolute difference of two glyphs, ink from 0 to 1, below which they count as one letter
FEWEST_GLYPHS = 10  # of a letter: five to enrol, five to ask


def render_letters() -> tuple[np.ndarray, np.ndarray]:
    """Renders every letter in every font that has it.

    Returns:
        Glyphs, uint8 (N, 48, 48), ink is 255; and their classes, int64 (N,), from 0 without gaps.
    """
    fonts = [_load_font(name) for name in FONTS]
    glyphs: list[np.ndarray] = []
    classes: list[int] = []
    shapes: list[np.ndarray] = []
    label = 0
    for code in LATIN + GREEK + CYRILLIC:
        letters = [_draw(chr(code), font) for font, codes in fonts if code in codes]
        if len(letters) < FEWEST_GLYPHS:
            continue
        # Latin O and o, Greek Omicron, Cyrillic O are one shape: as four classes they would teach what cannot be
        # learnt.
        shape = letters[0].astype(np.float32) / 255.0
        if any(np.abs(shape - other).mean() < SAME_SHAPE for other in shapes):
            continue
        shapes.append(shape)
        glyphs.extend(letters)
        classes.extend([label] * len(letters))
        label += 1
    return np.stack(glyphs), np.asarray(classes)


def _load_font(name: str) -> tuple[ImageFont.FreeTypeFont, set[int]]:
    path = Path(get_data_path(), "fonts", "ttf", f"{name}.ttf")
    return ImageFont.truetype(str(path), size=64), set(FT2Font(str(path)).get_charmap())


def _draw(letter: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    left, top, right, bottom = font.getbbox(letter)
    side = max(right - left, bottom - top, 1)
    canvas = Image.new("L", (side, side))
    corner = ((side - (right - left)) / 2 - left, (side - (bottom - top)) / 2 - top)
    ImageDraw.Draw(canvas).text(corner, letter, fill=255, font=font)
    margin = 4
    inner = canvas.resize((GLYPH_SIDE - 2 * margin,) * 2, Image.Resampling.BILINEAR)
    glyph = Image.new("L", (GLYPH_SIDE, GLYPH_SIDE))
    glyph.paste(inner, (margin, margin))
    return np.asarray(glyph)


def distort(glyphs: tf.Tensor, side: int) -> tf.Tensor:
    """Shifts, turns, scales, shears, thickens, blurs, dims, inverts, lights unevenly and adds noise, each image by its
    own draw.

    Args:
        glyphs: uint8 (N, 48, 48).
        side: height and width of the result.

    Returns:
        float32 (N, side, side, 1), from -1 to 1.
    """
    count = tf.shape(glyphs)[0]
    ink = tf.cast(glyphs, tf.float32)[..., None] / 255.0
    ink = _choose(count, 0.3, tf.nn.max_pool2d(ink, 3, 1, "SAME"), ink)
    ink = _choose(count, 0.2, -tf.nn.max_pool2d(-ink, 3, 1, "SAME"), ink)
    ink = tf.raw_ops.ImageProjectiveTransformV3(
        images=ink,
        transforms=_random_affine(count, side),
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
    coarse = tf.image.resize(tf.image.resize(ink, (side // 3, side // 3), antialias=True), (side, side))
    ink = _choose(count, 0.4, coarse, ink)
    shape = (count, 1, 1, 1)
    contrast = tf.random.uniform(shape, 0.6, 1.0)
    image = 2.0 * ink * contrast - 1.0 + tf.random.uniform(shape, 0.0, 0.3)
    # Light that falls from a side, and a background that is not even: coarse noise without edges.
    background = tf.image.resize(tf.random.normal((count, 3, 3, 1)), (side, side), "bicubic")
    image += background * tf.random.uniform(shape, 0.0, 0.25)
    image += tf.random.normal(tf.shape(image)) * tf.random.uniform(shape, 0.0, 0.15)
    image = _choose(count, 0.3, -image, image)
    return tf.clip_by_value(image, -1.0, 1.0)


def _choose(count: tf.Tensor, probability: float, yes: tf.Tensor, no: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.random.uniform((count, 1, 1, 1)) < probability, yes, no)


def _random_affine(count: tf.Tensor, side: int) -> tf.Tensor:
    """Eight numbers an image, as ImageProjectiveTransformV3 wants them: output pixel to input pixel."""
    angle = tf.random.uniform((count,), -0.35, 0.35)
    shear = tf.random.uniform((count,), -0.3, 0.3)
    pixel = GLYPH_SIDE / side
    across = pixel / tf.random.uniform((count,), 0.6, 1.1)
    down = pixel / tf.random.uniform((count,), 0.8, 1.1)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    a, b = across * cosine, across * (shear * cosine - sine)
    c, d = down * sine, down * (shear * sine + cosine)
    middle_in, middle_out = (GLYPH_SIDE - 1) / 2, (side - 1) / 2
    shift = tf.random.uniform((2, count), -0.1, 0.1) * GLYPH_SIDE
    x = middle_in - (a + b) * middle_out + shift[0]
    y = middle_in - (c + d) * middle_out + shift[1]
    zero = tf.zeros_like(a)
    return tf.stack([a, b, x, c, d, y, zero, zero], axis=1)
