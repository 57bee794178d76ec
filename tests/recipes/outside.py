# SPDX-License-Identifier: Apache-2.0
"""Packages of someone's, installed beside tt-tflm, and a small model to try what they add on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.cli.main import main
from tt_tflm.extensions.registry import Registry

SHAPE = (8, 8, 1)


def install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, registry: Registry, group: str, module: str, source: str
) -> None:
    """Puts a package on the path whose metadata names a module in a group of entry points, as pip does. Nothing else is
    done: the registry has to find it. All of it is undone with the test."""
    folder.mkdir()
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nanything = {module}\n")
    len(registry)  # what others have installed is read before
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_complete", False)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(sys.modules, module, None)  # so that it is put back
    del sys.modules[module]


def tt_tflm(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Runs the command line: exit status, stdout, stderr."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return (int(caught.value.code or 0), *capfd.readouterr())


def embedding_model():
    """Three layers with weights, of 4, 12 and 6 channels; an embedding of 6 elements."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="narrow"),
            layers.Conv2D(12, 1, activation="relu", name="wide"),
            layers.Conv2D(6, 1, name="last"),
            layers.GlobalAveragePooling2D(),
        ]
    )


def images(classes: int = 4, each: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 8, 8, 1) and labels: classes differ in brightness."""
    draw = np.random.default_rng(2)
    labels = np.repeat(np.arange(classes), each)
    x = draw.normal(60 * labels[:, None, None, None], 20, (len(labels), *SHAPE))
    return x.clip(0, 255).astype(np.uint8), labels
