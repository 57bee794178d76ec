# SPDX-License-Identifier: Apache-2.0
"""What a board has learned by an adaptation, as a plain model: the scores of other samples are the board's."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import tt_tflm

from .boards import run_exported
from .test_models import CLASSES, pictures, small_net

# Largest difference of any score; they are temperature times cosine, -5 to 5.
TOLERANCE = 1e-5


def adapt_and_compare(
    build: tt_tflm.Build, device: str, support: tuple[np.ndarray, np.ndarray], queries: np.ndarray, iterations: int
) -> None:
    with build.simulate(device) as board:
        before = board.weights()
        board.adapt(*support, iterations)
        moved = max(float(np.abs(value - before[name]).max()) for name, value in board.weights().items())
        scores = np.stack([board.predict(x) for x in queries])
        exported = board.export_tflite()
        old = np.stack([run_exported(build.models["sim/infer.tflite"], x)["TFLite"] for x in queries[:1]])
    assert moved > 1e-4
    assert not np.allclose(old, scores[:1])
    for x, expected in zip(queries, scores, strict=True):
        for runtime, found in run_exported(exported, x).items():
            difference = float(np.abs(found - expected).max())
            print(f"{runtime} on {device}: {difference:.2g}")
            assert difference <= TOLERANCE, runtime


@pytest.mark.data
@pytest.mark.slow
def test_an_adapted_backbone(data_folder: Path) -> None:
    model = keras.saving.load_model(data_folder / "models" / "mcunet-5fps_metatrained_backbone.keras")
    x, labels = pictures(data_folder)
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(len(x)), tt_tflm.Adam(3e-3)
    converter.mode, converter.budget = "dynamic", tt_tflm.Budget(training_memory="1MB", backward_macs="15%")
    converter.tail = 16
    queries = np.stack([image[:, ::-1] for image in x[:3]])
    adapt_and_compare(converter.convert(), "host", (np.stack(x), np.array(labels)), queries, 3)


@pytest.mark.qemu
def test_an_adapted_net_on_an_emulated_core() -> None:
    converter = tt_tflm.TrainableConverter.from_keras_model(small_net("embedding"))
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(CLASSES), tt_tflm.Adam(0.02)
    converter.mode, converter.target = "dynamic", "cortex-m7"
    x = np.random.default_rng(0).uniform(-1, 1, (9, 11, 9, 3)).astype(np.float32)
    adapt_and_compare(converter.convert(), "cortex-m7", (x[:6], np.arange(6) % CLASSES), x[6:], 2)
