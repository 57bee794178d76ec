# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm meta-train`."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tt_tflm.cli import options, terminal
from tt_tflm.errors import InputError, TinyTrainError
from tt_tflm.files.output import check_writable

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


class CountOrRange(click.ParamType):
    """A whole number, or two of them as 5-20."""

    name = "integer or range"

    def __init__(self, least: int) -> None:
        self._least = least

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "N|N-N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        match = _RANGE.fullmatch(value)
        low, high = (int(match[1]), int(match[2] or match[1])) if match and len(value) < 20 else (0, 0)
        if not self._least <= low <= high:
            self.fail(
                f"expected a whole number of at least {self._least}, or a range like 5-20, received {value!r}",
                param,
                ctx,
            )
        return low if low == high else (low, high)


@click.command("meta-train")
@options.model_file("backbone")
@options.data_option
@options.skip_corrupt_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="OUT.keras", help="Model to write."
)
@click.option("--ways", type=CountOrRange(2), default=10, show_default=True, help="Classes of an episode.")
@click.option(
    "--shots",
    type=CountOrRange(1),
    default=5,
    show_default=True,
    help="Support images of a class; a range is drawn from.",
)
@click.option("--queries", type=terminal.Count(1), default=5, show_default=True, help="Query images of a class.")
@click.option("--episodes", type=terminal.Count(1), default=2000, show_default=True, help="Of the whole run.")
@click.option("--minutes", type=terminal.Positive(), help="End after that time, with the schedule at its end, too.")
@click.option(
    "--episodes-per-step",
    type=terminal.Count(1),
    default=1,
    show_default=True,
    help="Whose mean gradient is an update.",
)
@click.option(
    "--learning-rate", type=terminal.Positive(), default=3e-4, show_default=True, help="Of Adam, at its highest."
)
@click.option("--temperature", type=terminal.Positive(), default=10.0, show_default=True, help="To begin with.")
@click.option("--batch-norm", type=terminal.OneOf(("frozen", "trained")), default="frozen", show_default=True)
@click.option("--no-augment", is_flag=True, help="Train on the images as they are.")
@click.option(
    "--validation", type=click.FloatRange(0, 0.9), default=0.2, show_default=True, help="Share of the classes held out."
)
@click.option("--validate-every", type=terminal.Count(1), default=100, show_default=True, help="Episodes between.")
@click.option(
    "--patience",
    type=terminal.Count(0),
    default=10,
    show_default=True,
    help="Validations without a better one; 0: no end.",
)
@click.option(
    "--weight-range",
    type=terminal.Positive(),
    help="For int8: penalise weights beyond that many times their channel's rms.",
)
@click.option(
    "--fake-quantize",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="For int8: over that last share of the run, train with weights rounded to int8.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="State to go on from; removed at the end.  [default: OUT.keras.checkpoint]",
)
@click.option("--checkpoint-every", type=terminal.Count(1), default=50, show_default=True, help="Episodes between.")
@click.option("--log", "log_folder", type=click.Path(path_type=Path), metavar="FOLDER", help="For CSV and TensorBoard.")
@click.option(
    "--strategy",
    type=terminal.OneOf(("mirrored", "multiworker")),
    help="Several devices, or machines as TF_CONFIG has them.  [default: one device]",
)
@options.input_scaling_option
@click.option("--seed", type=terminal.Count(0), default=0, show_default=True)
@options.json_option
def meta_train(
    backbone: Path,
    data_path: Path,
    skip_corrupt: bool,
    output: Path,
    no_augment: bool,
    patience: int,
    checkpoint: Path | None,
    strategy: str | None,
    json_path: Path | None,
    **settings: Any,
) -> None:
    """Train BACKBONE, which ends in an embedding, on episodes, so that few samples of new classes are enough.

    A run that was killed goes on where its checkpoint stands when it is started again in the same way. Where no
    validation is better than that of BACKBONE, nothing is written and the exit status is 1.
    """
    from tt_tflm import report

    check_output(output)
    began = time.monotonic()
    with terminal.stages("loading TensorFlow") as stage:
        from tt_tflm.frontend.keras_model import check_model
        from tt_tflm.frontend.loaders import load_keras
        from tt_tflm.frontend.quiet import import_keras
        from tt_tflm.meta import RunSettings, Sampling, Settings, fit
        from tt_tflm.meta.distribution import is_chief, make_strategy
        from tt_tflm.meta.mixed_augment import OFF, MixedAugment
        from tt_tflm.state.personalisation import save_model

        import_keras()
        # Several workers have to meet before anything else of TensorFlow runs.
        made = make_strategy(strategy)
        stage("loading the model")
        model = load_keras(backbone)
        check_model(model)
        checkpoint = checkpoint or output.with_name(output.name + ".checkpoint")
        drawn = Sampling(**{name: settings.pop(name) for name in ("ways", "shots", "queries")})
        how = RunSettings(
            checkpoint=checkpoint,
            strategy=made,
            skip_corrupt=skip_corrupt,
            **{name: settings.pop(name) for name in ("minutes", "checkpoint_every", "log_folder", "input_scaling")},
        )
        augment = OFF if no_augment else MixedAugment()
        chosen = Settings(sampling=drawn, patience=patience or None, augment=augment, **settings)
        result = fit(model, data_path, chosen, how, progress=stage.advance)
    if is_chief(made):
        if result.best_episode:
            save_model(result.model, output)
        checkpoint.unlink(missing_ok=True)
    figures = _figures(backbone.name, data_path.name, result)
    terminal.show(report.history_table(figures))
    terminal.show(report.meta_training_table(figures, time.monotonic() - began))
    if json_path and is_chief(made):
        report.write_json(json_path, figures)
    if not result.best_episode:
        raise TinyTrainError(
            f"expected a validation better than that of {backbone.name} ({_best(result.history[:1])}), received "
            f"at most {_best(result.history[1:])} in {result.episodes} episodes: {output.name} was not "
            "written; train longer, with another --learning-rate, or without comparing (--validation 0)"
        )


def _best(history: Sequence[Mapping[str, Any]]) -> str:
    return f"{max((row['validation_accuracy'] for row in history), default=0):.1%}"


def check_output(path: Path) -> None:
    """Refuses a path that no model can be written to, before hours of training.

    Raises:
        InputError: it is no .keras file in an existing folder.
    """
    if path.suffix != ".keras":
        raise InputError(f"expected an output file OUT.keras, received {path}")
    check_writable(path, "an output")


def _figures(backbone: str, data: str, result: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "backbone": backbone,
        "data": data,
        "episodes": result.episodes,
        "best_episode": result.best_episode,
        "stopped": result.stopped,
        "temperature": result.temperature,
        "skipped": list(result.skipped),
        "history": list(result.history),
    }
