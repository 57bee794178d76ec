# SPDX-License-Identifier: Apache-2.0
"""Pictures from outside: their size is read before they are decoded."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.files.damage import reason
from tt_tflm.files.limits import IMAGE_BYTES, IMAGE_PIXELS
from tt_tflm.files.regular_file import read_whole

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow goes by content, not by name, and knows formats that run other programs (EPS).
_FORMATS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpeg", ".jpg"),
    "PNG": (".png",),
    "PPM": (".pgm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
SUFFIXES = tuple(suffix for suffixes in _FORMATS.values() for suffix in suffixes)


def read_image(source: str | os.PathLike[str] | bytes, channels: int) -> np.ndarray:
    """An image, the first where a file has several.

    Args:
        source: path, or content, of a file of one of the formats that `SUFFIXES` stand for.
        channels: 1 for grey, 3 for RGB; transparency is dropped.

    Returns:
        uint8 (H, W, channels).

    Raises:
        InputError: it cannot be decoded, or has more pixels than `limits.IMAGE_PIXELS`; the message names no file.
    """
    from PIL import Image

    content = source if isinstance(source, bytes) else read_whole(source, "an image", IMAGE_BYTES)
    try:
        with _silent_pillow(), Image.open(io.BytesIO(content), formats=tuple(_FORMATS)) as image:
            width, height = image.size
            if width * height > IMAGE_PIXELS:
                raise InputError(
                    f"expected an image of at most {IMAGE_PIXELS:,} pixels, received {width} x {height}: shrink it"
                )
            pixels = np.asarray(_eight_bits(image).convert("L" if channels == 1 else "RGB"))
    except InputError:
        raise
    except Exception as error:  # Pillow raises whatever its decoders come upon.
        raise InputError(f"expected an image, received one that cannot be decoded: {reason(error)}") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


@contextmanager
def _silent_pillow() -> Iterator[None]:
    """Pillow warns of large images, and logs what it does not know, to stderr."""
    logger = logging.getLogger("PIL")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


def _eight_bits(image: Image) -> Image:
    """Grey of 16 bits is scaled, not cut off at 255; through RGBA the colours of palettes survive."""
    from PIL import Image as images

    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image)
        return images.fromarray(np.clip(deep >> 8, 0, 255).astype(np.uint8))
    return image.convert("RGBA") if image.mode == "P" else image
