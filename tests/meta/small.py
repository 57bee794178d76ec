# SPDX-License-Identifier: Apache-2.0
"""A backbone of a thousand parameters and images that it can learn to tell apart; runs for worker processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SHAPE = (16, 16, 3)
CLASSES, EACH = 10, 20
EPISODES = 40


def backbone(shape: tuple[int, int, int] = SHAPE):
    """An embedding of 12 elements, with batch norm, depthwise and pointwise layers."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(6, 3, 2, "same", use_bias=False, name="stem"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(6.0, name="relu"),
            layers.DepthwiseConv2D(3, 2, "same", name="depthwise"),
            layers.Conv2D(12, 1, name="project"),
            layers.GlobalAveragePooling2D(name="embedding"),
        ]
    )


def tiny():
    """An embedding of 4 elements of images (16, 16, 3), for runs that are not about what is learned."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(4, 3, 4, use_bias=False, name="stem"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(6.0, name="relu"),
            layers.GlobalAveragePooling2D(name="embedding"),
        ]
    )


def images(classes: int = CLASSES, each: int = EACH, side: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy gratings: a class is a direction and a width. uint8 (N, side, side, 3) and labels."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    x, y = [], []
    for label in range(classes):
        angle, waves = np.pi * label / classes, 2 + 2 * (label % 3)
        for _ in range(each):
            wave = np.sin(2 * np.pi * (waves * (rows * np.sin(angle) + columns * np.cos(angle)) + draw.random()))
            noise = draw.normal(0, 25, (side, side, 3))
            x.append(np.clip(127 + 90 * wave[..., None] + noise, 0, 255).astype(np.uint8))
            y.append(label)
    return np.stack(x), np.array(y)


SETTINGS = {
    "ways": 4,
    "shots": (1, 4),
    "queries": 3,
    "episodes": EPISODES,
    "validate_every": 10,
    "learning_rate": 3e-3,
    "checkpoint_every": 3,
}


def fitted(backbone, dataset, *, progress=None, **values):
    """``fit`` with settings of every kind by name."""
    from tt_tflm.meta import RunSettings, Sampling, Settings, fit

    sampling, how = (
        kind(**{name: values.pop(name) for name in kind.__dataclass_fields__ if name in values})
        for kind in (Sampling, RunSettings)
    )
    return fit(backbone, dataset, Settings(sampling=sampling, **values), how, progress=progress)


def train(target: str, make=backbone, **further) -> None:
    """Trains what ``make`` makes and writes the weights, in order, as an .npz file, whole or not at all."""
    from tt_tflm.files.output import write_whole
    from tt_tflm.frontend.quiet import import_keras
    from tt_tflm.meta.distribution import make_strategy
    from tt_tflm.meta.mixed_augment import OFF

    strategy = further.pop("strategy", None)
    if strategy is not None:  # has to be made before anything else of TensorFlow
        import_keras()
        strategy = make_strategy(strategy)
    result = fitted(make(), images(), strategy=strategy, **{**SETTINGS, "augment": OFF, **further})
    weights = {str(i): weight for i, weight in enumerate(result.model.get_weights())}
    weights["losses"] = np.array([row["loss"] for row in result.history[1:]])
    weights["temperature"] = np.array(result.temperature)
    write_whole(Path(target), lambda file: np.savez(file, **weights))


def weights_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
