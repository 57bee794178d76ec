# SPDX-License-Identifier: Apache-2.0
"""The command line `tt-tflm`. Whatever takes long to import is imported by the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tt_tflm.cli import options, terminal
from tt_tflm.cli.board import board
from tt_tflm.cli.devices import devices
from tt_tflm.cli.evaluate import evaluate
from tt_tflm.cli.export import export
from tt_tflm.cli.meta import meta_train
from tt_tflm.cli.sample_data import sample_data
from tt_tflm.cli.state import inspect, merge
from tt_tflm.cli.supported import supported_ops
from tt_tflm.errors import InputError, TinyTrainError, UnsupportedModelError
from tt_tflm.files.new_folder import check_new_folder
from tt_tflm.files.output import same_file

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=terminal.Commands, no_args_is_help=False, context_settings=_CONTEXT)
@click.version_option(package_name="tt-tflm", message="%(prog)s %(version)s")
def cli() -> None:
    """Compile Keras models into microcontroller builds that train in place."""


@cli.command()
@options.model_argument
@options.model_output_option
@options.json_option
def summary(model: Path, model_output: str | None, json_path: Path | None) -> None:
    """List the layers of MODEL and what training each of them costs."""
    from tt_tflm import report

    with terminal.stages("loading the model") as stage:
        import tt_tflm

        converter = tt_tflm.TrainableConverter.from_keras_file(model, output=model_output)
        layers = list(converter.layers)
        stage("costing each layer")
        costs = converter.layer_costs()
        about = {"input_shape": list(converter.input_shape), "input_scaling": list(converter.input_scaling)}
    terminal.show(report.layer_table(model.name, layers, costs, **about))
    if json_path:
        report.write_json(json_path, {"schema_version": 1, **about, "layers": _layer_figures(layers, costs)})


@cli.command()
@options.model_argument
@options.model_output_option
@options.episode_option
@options.budget_options
@click.option("--strategy", type=terminal.OneOf(options.strategy_names), default="tinytrain", show_default=True)
@click.option("--seed", type=terminal.Count(0), default=0, show_default=True, help="Of the strategy random.")
@options.training_options
@options.input_scaling_option
@click.option(
    "-o",
    "--output",
    type=options.ReportPath(),
    required=True,
    metavar="FILE",
    help="Plan to write (plan.json).",
)
@options.json_option
def plan(
    model: Path,
    model_output: str | None,
    episode_path: Path,
    limits: options.BudgetOptions,
    strategy: str,
    seed: int,
    training: options.TrainingOptions,
    input_scaling: tuple[float, float] | None,
    output: Path,
    json_path: Path | None,
) -> None:
    """Choose what a static build of MODEL should train for an episode, within a budget."""
    from tt_tflm import report

    if json_path and same_file(json_path, output):
        raise InputError(f"expected two files for --output and --json, received {output} for both")
    with terminal.stages("loading the model") as stage:
        import tt_tflm
        from tt_tflm.boards.adaptation import check_classes
        from tt_tflm.boards.episode import load_episode
        from tt_tflm.build.planning import plan_on_host

        loss, optimizer = training.make()
        converter = tt_tflm.TrainableConverter.from_keras_file(model, output=model_output)
        converter.loss, converter.optimizer = loss, optimizer
        converter.input_scaling = input_scaling
        episode = load_episode(episode_path, converter.input_shape, converter.input_scaling)
        check_classes(episode, converter.classes)
        chosen = plan_on_host(converter, episode, limits.make(), strategy, seed=seed, report=stage)
        channels = {layer.name: layer.channels for layer in converter.layers}
    content = chosen.to_json()
    report.write_json(output, content)
    terminal.show(report.plan_table(content, channels))
    terminal.show(report.spending_table(content))
    if json_path:
        used = {"loss": converter.objective.name, "optimizer": training.optimizer}
        report.write_json(json_path, {"schema_version": 1, "model": model.name, **used, "plan": content})


@cli.command()
@options.model_argument
@options.model_output_option
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="OUT", help="Folder to create.")
@click.option(
    "--target",
    type=options.Target(),
    default="host",
    show_default=True,
    help="Device or core that the build has to fit (see tt-tflm devices), or a profile of yours (.toml).",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Of the build in C; with names of their own, several go into one firmware.  [default: tt_model]",
)
@click.option(
    "--backend",
    type=terminal.OneOf(options.BACKEND_NAMES),
    default="c",
    show_default=True,
    help="C sources, or models with custom ops for TensorFlow Lite Micro.",
)
@click.option(
    "--weights",
    type=terminal.OneOf(options.WEIGHT_NAMES),
    default="auto",
    show_default=True,
    help="As text in a C source, or as one binary file that an assembler source includes; auto: C up to 4 MiB.",
)
@click.option("--plan", "plan_path", type=click.Path(path_type=Path), metavar="FILE", help="Update plan (plan.json).")
@click.option(
    "--train",
    "trained",
    multiple=True,
    metavar="LAYER[:CH,CH...]",
    help="Train these output channels of a layer, or all of them; repeatable. Default: the last trainable layer.",
)
@click.option(
    "--mode",
    type=terminal.OneOf(options.MODE_NAMES),
    default="static",
    show_default=True,
    help="dynamic: the board chooses what to train, within a budget.",
)
@options.budget_options
@click.option("--tail", type=terminal.Count(1), help="Last layers that a dynamic build inspects.  [default: what fits]")
@click.option(
    "--precision",
    type=terminal.OneOf(options.PRECISION_NAMES),
    default="float32",
    show_default=True,
    help="int8: a forward pass of integers; takes --representative.",
)
@click.option(
    "--representative",
    "representative_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Samples that inputs are like, for int8: an .npz file with x, or an episode's.",
)
@options.training_options
@options.input_scaling_option
@options.json_option
def convert(
    model: Path,
    model_output: str | None,
    output: Path,
    target: str,
    name: str | None,
    backend: str,
    weights: str,
    plan_path: Path | None,
    trained: tuple[str, ...],
    mode: str,
    limits: options.BudgetOptions,
    tail: int | None,
    precision: str,
    representative_path: Path | None,
    training: options.TrainingOptions,
    input_scaling: tuple[float, float] | None,
    json_path: Path | None,
) -> None:
    """Make a trainable build of MODEL in the folder OUT."""
    from tt_tflm import report

    check_new_folder(output)
    layers = options.parse_trained(trained)
    _check_mode(mode, plan_path, layers, limits, tail)
    if (precision == "int8") != (representative_path is not None):
        received = "--precision int8" if precision == "int8" else "--representative"
        raise InputError(f"expected --precision int8 and --representative together, received {received} alone")
    with terminal.stages("loading the model") as stage:
        import tt_tflm

        plan = tt_tflm.UpdatePlan.load(plan_path) if plan_path else tt_tflm.UpdatePlan(layers) if layers else None
        loss, optimizer = training.make()
        converter = tt_tflm.TrainableConverter.from_keras_file(model, output=model_output)
        converter.target, converter.loss, converter.optimizer = target, loss, optimizer
        converter.backend, converter.weights = backend, weights
        if name is not None:
            converter.name = name
        converter.plan, converter.mode, converter.tail = plan, mode, tail
        converter.budget = limits.make()
        converter.input_scaling, converter.precision = input_scaling, precision
        if representative_path is not None:
            from tt_tflm.boards.episode import load_samples

            converter.representative_data = load_samples(representative_path)
        build = converter.convert(progress=stage)
    # Outside of the block: saving compiles the sources to measure them, and that has a display of its own.
    build.save(output)
    figures = build.report
    choice = build.simulation["choice"]
    terminal.show(report.trained_layers_table(figures) if choice is None else report.choice_table(choice))
    terminal.show(report.build_table(figures))
    if json_path:
        report.write_json(json_path, figures)


@cli.command()
@click.argument("build_path", type=click.Path(path_type=Path), metavar="OUT")
@options.episode_option
@click.option(
    "--device",
    type=options.Simulator(),
    help="Where to run: this machine, or an emulated core; of a device its core.  "
    "[default: host, or tflm for builds of that backend]",
)
@click.option(
    "--iterations",
    type=terminal.Count(0),
    default=40,
    show_default=True,
    help="Passes over the support samples, each an update in builds that adapt by themselves.",
)
@click.option("--mode", type=terminal.OneOf(options.MODE_NAMES), help="Refuse a build of the other mode.")
@click.option(
    "--gradient",
    type=terminal.OneOf(options.GRADIENT_NAMES),
    help="Through the prototypes as well, or with prototypes held constant.  [default: exact]",
)
@click.option("--flip", is_flag=True, help="Pseudo-queries may be mirrored: left and right mean the same.")
@click.option("--seed", type=terminal.Count(0), help="Of the pseudo-queries.  [default: 0]")
@options.build_scaling_option
@options.json_option
def simulate(
    build_path: Path,
    episode_path: Path,
    device: str | None,
    iterations: int,
    mode: str | None,
    gradient: str | None,
    flip: bool,
    seed: int | None,
    input_scaling: tuple[float, float] | None,
    json_path: Path | None,
) -> None:
    """Adapt the build in the folder OUT to an episode, on this machine, on an emulated Cortex-M or in TFLM."""
    from tt_tflm import report

    with terminal.stages("loading the build"):
        import tt_tflm
        from tt_tflm.boards.adaptation import adapt, adapt_on_board, augment_for, check_classes
        from tt_tflm.boards.episode import load_episode
        from tt_tflm.boards.input_range import InputRange

        build = tt_tflm.load_build(build_path)
        about = build.simulation
        if mode and mode != about["mode"]:
            raise InputError(f"expected a build of mode {mode}, received {build_path} of mode {about['mode']}")
        if not about["adaptable"] and (gradient or flip or seed is not None):
            raise InputError(
                "expected --gradient, --flip and --seed with a build that adapts by itself, received another: convert "
                "with --loss prototype and --mode dynamic --optimizer adam, or --batch-size above 1"
            )
        if about["label"] != "class":
            raise InputError(
                f"expected a build whose labels are classes, as those of an episode are, received {build_path} of loss "
                f"'{about['loss']}', whose labels are vectors: train it with load_build(...).simulate()"
            )
        bounds = InputRange.of(about["input_scaling"])
        scaling = input_scaling or about["input_scaling"]
        episode = load_episode(episode_path, tuple(about["input_shape"]), scaling, bounds)
        check_classes(episode, about["classes"])
        device = device or build.default_device
    with build.simulate(device=device) as board, terminal.stages("adapting") as stage:
        if about["adaptable"]:
            augment = augment_for(about["input_scaling"], flip)
            result = adapt_on_board(
                board, episode, iterations, stage.advance, gradient=gradient or "exact", augment=augment, seed=seed or 0
            )
        else:
            prototypes, chooses = about["loss"] == "prototype", about["mode"] == "dynamic"
            result = adapt(board, episode, iterations, stage.advance, prototypes=prototypes, chooses=chooses)
    figures = build.report
    trained = result.plan.to_json() if result.plan else build.plan
    if result.plan:
        channels = {layer["name"]: layer["channels_total"] for layer in figures["layers"]}
        terminal.show(report.plan_table(trained, channels))
    terminal.show(report.adaptation_table(figures, device, result))
    if json_path:
        report.write_json(json_path, {**figures, **_adaptation_figures(device, result, trained)})


cli.add_command(board)
cli.add_command(devices)
cli.add_command(export)
cli.add_command(inspect)
cli.add_command(merge)
cli.add_command(meta_train)
cli.add_command(sample_data)
cli.add_command(evaluate)
cli.add_command(supported_ops)


def main(arguments: list[str] | None = None) -> None:
    """Runs `tt-tflm` and exits: 0, 1 when a tool or a device failed, 2 for bad input, 130 when interrupted."""
    try:
        with terminal.told_warnings():
            cli.main(arguments, prog_name="tt-tflm", standalone_mode=False)
    except click.ClickException as error:
        _fail(terminal.usage_message(error), 2)
    except UnsupportedModelError as error:
        terminal.show_obstacles(error.obstacles)
        _fail(f"{len(error.obstacles)} layers cannot be converted", 2)
    except InputError as error:
        _fail(str(error), 2)
    except TinyTrainError as error:
        _fail(str(error), 1)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever reads the table has gone; Python would complain once more when it flushes at exit.
        sys.stdout = None
        sys.exit(1)
    sys.exit(0)


def _fail(message: str, code: int) -> None:
    print(f"tt-tflm: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _check_mode(
    mode: str, plan_path: Path | None, layers: dict[str, Any], limits: options.BudgetOptions, tail: int | None
) -> None:
    if plan_path and layers:
        raise InputError("expected --plan or --train, received both: put the layers into the plan")
    given = "--plan" if plan_path else "--train" if layers else None
    if mode == "dynamic" and given:
        raise InputError(f"expected no {given} with --mode dynamic, where the board chooses, received it")
    dynamic = limits.first or ("--tail" if tail is not None else None)
    if mode == "static" and dynamic:
        raise InputError(
            f"expected {dynamic} with --mode dynamic, received it with --mode static: budgets of static builds go to "
            "tt-tflm plan"
        )


def _layer_figures(layers: list[Any], costs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": layer.name,
            "kind": layer.kind,
            "kernel_shape": list(layer.kernel_shape),
            "output_shape": list(layer.output_shape),
            "channels_total": layer.channels,
            "parameters": layer.parameters,
            "forward_macs": layer.forward_macs,
            "backward_macs": cost["backward_macs"],
            "training_bytes": cost["training_bytes"],
        }
        for layer, cost in zip(layers, costs, strict=True)
    ]


def _adaptation_figures(device: str, result: Any, plan: Any) -> dict[str, Any]:
    return {
        "device": device,
        "plan": plan,
        "accuracy_before": result.accuracy_before,
        "accuracy_after": result.accuracy_after,
        "losses": list(result.losses),
        "instructions": result.instructions,
        "stack_bytes": dict(result.stack_bytes) or None,
    }


if __name__ == "__main__":
    main()
