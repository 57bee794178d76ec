# SPDX-License-Identifier: Apache-2.0
"""What adapting brings in several domains: every strategy on the same episodes, paired differences over all of them.

    python benchmarks/adaptation_pays.py [--data FOLDER] [--split dev|tune] [--domains NAME,...] [--first N]
        [--strategies NAME,...] [--backend c|tf] [--jobs N] [--json FILE]

An adaptation of mcunet-5fps takes a core about 20 seconds with the device code, one of `full` a minute.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if TYPE_CHECKING:
    from tt_tflm.meta.episodes import Rows
    from tt_tflm.meta.images import ImageSet

DOMAINS = {
    "omniglot": "omniglot",
    "gtsrb": "gtsrb",
    "cifar10": "cifar10",
    "tinyimagenet": {"dev": "tinyimagenet_test", "tune": "tinyimagenet_tune"},
    "digits": "digits",
}
DEFAULT_MODEL = "models/mcunet-5fps_metatrained_backbone.keras"


@click.command()
@click.option("--data", type=click.Path(path_type=Path), envvar="TT_DATA", required=True, help="Or TT_DATA.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Below the data folder, or anywhere.")
@click.option("--split", type=click.Choice(["dev", "tune"]), default="dev", show_default=True)
@click.option("--strategies", default="none,last_layer,full,random,magnitude,tinytrain", show_default=True)
@click.option("--domains", "wanted", default=",".join(DOMAINS), show_default=True)
@click.option("--first", type=click.IntRange(1), help="Episodes of each domain.  [default: all]")
@click.option("--skip", type=click.IntRange(0), default=0, help="Episodes of each domain left out before these.")
@click.option("--backend", type=click.Choice(["c", "tf"]), default="c", show_default=True)
@click.option("--iterations", type=click.IntRange(0), default=None)
@click.option("--rate", "rates", multiple=True, help="STRATEGY=RATE.")
@click.option("--temperature", type=float, default=None)
@click.option("--fixed-rate", is_flag=True, help="The learning rate as it is, not by how tight the support set lies.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def main(
    data: Path,
    model: str,
    split: str,
    strategies: str,
    wanted: str,
    first: int | None,
    skip: int,
    backend: str,
    iterations: int | None,
    rates: tuple[str, ...],
    temperature: float | None,
    fixed_rate: bool,
    jobs: int,
    json_path: Path | None,
) -> None:
    """Print accuracies by domain, and paired differences."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    from tt_tflm.meta import EvaluationSettings, evaluate

    images, rows, domains = _episodes(data, split, wanted.split(","), skip, first)
    names = tuple(strategies.split(","))
    given = {"iterations": iterations, "temperature": temperature}
    settings = EvaluationSettings(
        episodes=rows,
        strategies=names,
        backend=backend,
        jobs=jobs,
        paced=not fixed_rate,
        learning_rates={name: float(rate) for name, _, rate in (entry.partition("=") for entry in rates)},
        **{name: value for name, value in given.items() if value is not None},
    )
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)
        result = evaluate(
            data / model,
            images,
            settings,
            progress=lambda stage, done, total: progress.update(
                task, description=stage, completed=done, total=total or None
            ),
        )
    content = result.to_json()
    content["domains"] = domains
    Console(width=160).print(_accuracies(content), _differences(content))
    if json_path:
        json_path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _episodes(
    data: Path, split: str, wanted: list[str], skip: int, first: int | None
) -> tuple[ImageSet, list[Rows], list[str]]:
    """Images of all domains as one set, for which builds are made once; the rows of each episode, and its domain."""
    from tt_tflm.meta.episodes import Rows, load_episode_rows
    from tt_tflm.meta.images import ImageSet, load_images

    for name in wanted:
        if name not in DOMAINS:
            raise click.BadParameter(f"expected domains of {', '.join(DOMAINS)}, received {name!r}")
    sets, rows, domains, offset = [], [], [], 0
    for name in wanted:
        stem = DOMAINS[name]
        file = data / "episodes" / f"{stem if isinstance(stem, str) else stem[split]}_{split}.json"
        images = load_images(data / json.loads(file.read_text())["dataset"])
        chosen = load_episode_rows(file, images)[skip : None if first is None else skip + first]
        for episode in chosen:
            parts = [
                tuple(tuple(row + offset for row in group) for group in part)
                for part in (episode.support, episode.query)
            ]
            rows.append(Rows(*parts))
        domains += [name] * len(chosen)
        sets.append(images)
        offset += len(images.labels)
    ends = np.cumsum([len(images.labels) for images in sets])

    def read(row: int) -> np.ndarray:
        part = int(np.searchsorted(ends, row, side="right"))
        return sets[part].read(row - (int(ends[part - 1]) if part else 0))

    labels = np.concatenate([images.labels for images in sets])
    return ImageSet(", ".join(wanted), labels, tuple(map(str, range(int(labels.max()) + 1))), read), rows, domains


def _accuracies(content: dict) -> Table:
    from tt_tflm.meta.statistics import mean_and_ci95

    domains = np.array(content["domains"])
    shown_domains = dict.fromkeys(content["domains"])
    table = Table(
        "strategy", *shown_domains, "mean", "memory", "MACs", title=f"{content['model']}, accuracy %, 95% intervals"
    )
    for name, result in content["strategies"].items():
        accuracies = 100 * np.array(result["accuracies"])
        cells = [mean_and_ci95(accuracies[domains == domain]) for domain in shown_domains]
        mean = np.mean([cell[0] for cell in cells])
        shown = [f"{value:.1f} ± {half:.1f}" for value, half in cells]
        costs = (f"{result['training_memory_bytes']:,}", f"{result['backward_macs']:,}")
        table.add_row(name, *shown, f"{mean:.1f}", *costs)
    table.caption = f"{len(domains)} episodes, {len(domains) // len(shown_domains)} of each domain"
    return table


def _differences(content: dict) -> Table:
    table = Table("a", "b", "a - b", title="paired over all episodes, points")
    for row in content["paired"]:
        table.add_row(row["a"], row["b"], f"{100 * row['mean']:+.1f} ± {100 * (row['ci95'] or 0):.1f}")
    return table


if __name__ == "__main__":
    main()
