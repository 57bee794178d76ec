# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tt_tflm.cli import options, terminal
from tt_tflm.errors import InputError, meant
from tt_tflm.files.output import same_file

COMPARED = "none,last_layer,full,sparse_update,tinytrain"


class Strategies(click.ParamType):
    """Names of strategies with commas between them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else tuple(value)
        from tt_tflm.plan.strategies import STRATEGIES

        for name in names:
            try:
                STRATEGIES[name]
            except InputError as error:
                self.fail(str(error), param, ctx)
        if len(set(names)) != len(names):
            self.fail(f"expected every strategy once, received {value!r}", param, ctx)
        return names


@click.command()
@options.model_argument
@options.data_option
@options.skip_corrupt_option
@click.option(
    "--episodes",
    "episodes_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Episodes as rows of the data (JSON).  [default: drawn by the next options]",
)
@click.option("--ways", type=terminal.Count(2), help="Classes of an episode.  [default: 5]")
@click.option("--shots", type=terminal.Count(1), help="Support images of a class.  [default: 5]")
@click.option("--queries", type=terminal.Count(1), help="Query images of a class.  [default: 15]")
@click.option("--count", type=terminal.Count(1), help="Episodes.  [default: 100]")
@click.option("--strategies", type=Strategies(), default=COMPARED, show_default=True, metavar="NAME,NAME...")
@click.option(
    "--backend",
    type=terminal.OneOf(("c", "tflm", "tf")),
    default="c",
    show_default=True,
    help="The device code on this machine, TensorFlow Lite Micro's interpreter, or TensorFlow.",
)
@click.option("--precision", type=terminal.OneOf(options.PRECISION_NAMES), default="float32", show_default=True)
@options.budget_options
@click.option("--iterations", type=terminal.Count(0), default=40, show_default=True, help="Updates of an adaptation.")
@click.option(
    "--learning-rate",
    "rates",
    multiple=True,
    metavar="STRATEGY=RATE",
    help="Of Adam, in place of the default of a strategy; repeatable.",
)
@click.option("--temperature", type=terminal.Positive(), help="Of the cosines.")
@click.option("--flip", is_flag=True, help="Pseudo-queries may be mirrored: left and right mean the same.")
@click.option("--fixed-rate", is_flag=True, help="The learning rate as it is, not by how tight the support set lies.")
@options.input_scaling_option
@click.option("--seed", type=terminal.Count(0), default=0, show_default=True)
@click.option(
    "--instructions-on",
    type=options.Target(),
    help="Count the instructions of the first episode too, on an emulated core such as cortex-m7.",
)
@click.option("--jobs", type=terminal.Count(1), default=1, show_default=True, help="Processes.")
@options.json_option
@click.option("--plot", type=options.ReportPath(), metavar="FILE", help="Draw the accuracies (.png, .svg, .pdf).")
def evaluate(
    model: Path,
    data_path: Path,
    skip_corrupt: bool,
    episodes_path: Path | None,
    strategies: tuple[str, ...],
    limits: options.BudgetOptions,
    rates: tuple[str, ...],
    temperature: float | None,
    fixed_rate: bool,
    json_path: Path | None,
    plot: Path | None,
    **settings: Any,
) -> None:
    """Adapt MODEL, which ends in an embedding, to many episodes by several strategies, and compare them.

    Without limits, strategies that choose have 1MB of training memory and 15% of the backward MACs.
    """
    from tt_tflm import report

    drawing = {name: settings.pop(name) for name in ("ways", "shots", "queries", "count")}
    given: dict[str, Any] = {name: value for name, value in drawing.items() if value is not None}
    if episodes_path and given:
        raise InputError(f"expected --episodes or --{next(iter(given))}, received both")
    if temperature is not None:
        given["temperature"] = temperature
    if json_path and plot and same_file(json_path, plot):
        raise InputError(f"expected two files for --json and --plot, received {plot} for both")
    if plot:
        from tt_tflm.meta.plot import check_plot

        check_plot(plot)
    with terminal.stages("loading the model") as stage:
        from tt_tflm.meta import EvaluationSettings
        from tt_tflm.meta import evaluate as run

        given |= {} if temperature is None else {"temperature": temperature}
        given |= {"budget": limits.make()} if limits.first else {}
        chosen = EvaluationSettings(
            episodes=episodes_path,
            skip_corrupt=skip_corrupt,
            strategies=strategies,
            learning_rates=dict(map(_rate, rates)),
            paced=not fixed_rate,
            **given,
            **settings,
        )
        result = run(model, data_path, chosen, progress=stage.advance)
    figures = result.to_json()
    terminal.show(report.strategies_table(figures))
    if len(strategies) > 1:
        terminal.show(report.paired_table(figures))
    if json_path:
        report.write_json(json_path, figures)
    if plot:
        from tt_tflm.meta.plot import write_plot

        write_plot(figures, plot)


def _rate(entry: str) -> tuple[str, float]:
    strategy, equals, value = entry.partition("=")
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    known = options.strategy_names()
    if not equals or strategy not in known or not 0 < rate < float("inf"):
        near = meant(strategy, known) if strategy not in known else ""
        raise InputError(f"expected --learning-rate STRATEGY=RATE, like tinytrain=0.003, received {entry!r}{near}")
    return strategy, rate
