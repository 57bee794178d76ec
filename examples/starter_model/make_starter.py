# SPDX-License-Identifier: Apache-2.0
"""Makes the starter model that tt-tflm ships: one meta-training on letters, strokes and objects.

A run that was ended goes on where it was when it is started again with the same folder.
"""

from __future__ import annotations

import argparse
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
from backbone import build_backbone
from make_data import make_data
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import tt_tflm.meta
from tt_tflm.files.output import write_whole
from tt_tflm.meta import RunSettings, Sampling, Settings
from tt_tflm.meta.mixed_augment import MixedAugment

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "tt_tflm" / "models" / "starter.keras"
EPISODES = 3500
SAMPLING = Sampling(ways=10, shots=5, queries=5)
SETTINGS = {
    "learning_rate": 2e-3,
    "batch_norm": "trained",
    "fake_quantize": 0.2,
    "validation": 0.1,
    "validate_every": 250,
    "patience": None,
}
# Most of the distortion is in the data. A mirrored letter is another one.
AUGMENT = MixedAugment(min_area=0.7, flip=0.0, invert=0.3)


def make_starter(output: Path, work: Path, episodes: int, seed: int) -> tt_tflm.meta.FitResult:
    """Makes the data, the backbone and the training; the same seed on the same machine gives the same weights.

    Args:
        output: .keras file to write.
        work: folder for data, backbone and checkpoint.
        episodes: of the training.
        seed: of all draws.
    """
    work.mkdir(parents=True, exist_ok=True)
    training = work / "training.npz"
    make_data(training, work / "held_out.npz", seed)
    backbone = build_backbone(seed)
    backbone.save(work / "backbone.keras")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=episodes)
        result = tt_tflm.meta.fit(
            backbone,
            training,
            Settings(SAMPLING, episodes=episodes, augment=AUGMENT, seed=seed, **SETTINGS),
            RunSettings(checkpoint=work / "checkpoint"),
            progress=lambda stage, done, total: progress.update(task, description=stage, completed=done, total=total),
        )
    save_small(result.model, output)
    return result


def save_small(model: keras.Model, path: Path) -> None:
    """Writes a .keras file whose parts are compressed: of this model's, 40% are descriptions and padding."""
    draft = path.with_name(f".{path.name}")
    try:
        model.save(draft, zipped=True)
        with zipfile.ZipFile(draft) as plain:
            parts = {name: plain.read(name) for name in plain.namelist()}
    finally:
        draft.unlink(missing_ok=True)

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
            for name, content in parts.items():
                packed.writestr(name, content)

    write_whole(path, write)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="folder for what is made")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    result = make_starter(arguments.output, arguments.work, arguments.episodes, arguments.seed)
    last = result.history[-1]
    print(
        f"{arguments.output}: {result.model.count_params():,} parameters, {arguments.output.stat().st_size:,} bytes; "
        f"validation {last['validation_accuracy']:.1%} with weights rounded to int8, temperature "
        f"{result.temperature:.2f}, {last['seconds'] / 60:.1f} minutes of training"
    )


if __name__ == "__main__":
    main()
