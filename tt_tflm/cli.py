# SPDX-License-Identifier: Apache-2.0
"""The command line `tt-tflm`. Whatever takes long to import is imported by the command that needs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tt_tflm import terminal
from tt_tflm.errors import InputError, TinyTrainError

if TYPE_CHECKING:
    from tt_tflm.options import Loss, Optimizer
    from tt_tflm.plan import UpdatePlan

LOSS_NAMES = ("softmax", "prototype")
OPTIMIZER_NAMES = ("sgd", "momentum", "adam")
TARGET_NAMES = ("host", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_CHANNELS = re.compile(r"\d+(,\d+)*")

_json_option = click.option(
    "--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the same figures to FILE."
)


@click.group(cls=terminal.Commands, no_args_is_help=False, context_settings=_CONTEXT)
@click.version_option(package_name="tt-tflm", message="%(prog)s %(version)s")
def cli() -> None:
    """Compile Keras models into microcontroller builds that train in place."""


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@_json_option
def summary(model: Path, json_path: Path | None) -> None:
    """List the layers of MODEL (.keras) and what training each of them costs."""
    from tt_tflm import report

    _check_json(json_path)
    with terminal.stages("loading the model") as stage:
        import tt_tflm

        converter = tt_tflm.TrainableConverter.from_keras_file(model)
        layers = list(converter.layers)
        stage("costing each layer")
        costs = converter.layer_costs()
    terminal.show(report.layer_table(model.name, layers, costs))
    if json_path:
        report.write_json(json_path, {"schema_version": 1, "layers": _layer_figures(layers, costs)})


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="OUT", help="Folder to create.")
@click.option("--target", type=terminal.OneOf(TARGET_NAMES), default="host", show_default=True)
@click.option("--plan", "plan_path", type=click.Path(path_type=Path), metavar="FILE", help="Update plan (plan.json).")
@click.option(
    "--train",
    "trained",
    multiple=True,
    metavar="LAYER[:CH,CH...]",
    help="Train these output channels of a layer, or all of them; repeatable. Default: the last trainable layer.",
)
@click.option("--loss", type=terminal.OneOf(LOSS_NAMES), default="softmax", show_default=True)
@click.option("--classes", type=terminal.Count(2), help="Of the prototype loss.  [default: 5]")
@click.option("--temperature", type=terminal.Positive(), help="Of the prototype loss.  [default: 10]")
@click.option("--optimizer", type=terminal.OneOf(OPTIMIZER_NAMES), default="sgd", show_default=True)
@click.option("--learning-rate", type=terminal.Positive(), help="Default: the optimiser's.")
@_json_option
def convert(
    model: Path,
    output: Path,
    target: str,
    plan_path: Path | None,
    trained: tuple[str, ...],
    loss: str,
    classes: int | None,
    temperature: float | None,
    optimizer: str,
    learning_rate: float | None,
    json_path: Path | None,
) -> None:
    """Make a trainable build of MODEL (.keras) in the folder OUT."""
    from tt_tflm import report

    _check_json(json_path)
    _check_output(output)
    if plan_path and trained:
        raise InputError("expected --plan or --train, received both: put the layers into the plan")
    layers = _parse_trained(trained)
    with terminal.stages("loading the model") as stage:
        import tt_tflm

        plan = _plan(plan_path, layers)
        chosen_loss = _loss(loss, classes, temperature)
        chosen_optimizer = _optimizer(optimizer, learning_rate)
        converter = tt_tflm.TrainableConverter.from_keras_file(model)
        converter.target = target
        converter.loss = chosen_loss
        converter.optimizer = chosen_optimizer
        if plan is not None:
            converter.plan = plan
        build = converter.convert(progress=stage)
    # Outside of the block: saving compiles the sources to measure them, and that has a display of its own.
    build.save(output)
    figures = build.report
    terminal.show(report.trained_layers_table(figures))
    terminal.show(report.build_table(figures))
    if json_path:
        report.write_json(json_path, figures)


@cli.command()
@click.argument("build_path", type=click.Path(path_type=Path), metavar="OUT")
@click.option(
    "--episode",
    "episode_path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Samples to learn from and to be judged by (.npz).",
)
@click.option("--device", type=terminal.OneOf(TARGET_NAMES), default="host", show_default=True)
@click.option(
    "--iterations", type=terminal.Count(0), default=40, show_default=True, help="Passes over the support samples."
)
@_json_option
def simulate(build_path: Path, episode_path: Path, device: str, iterations: int, json_path: Path | None) -> None:
    """Adapt the build in the folder OUT to an episode, on this machine or on an emulated Cortex-M."""
    from tt_tflm import report

    _check_json(json_path)
    with terminal.stages("loading the build"):
        import tt_tflm
        from tt_tflm.adaptation import adapt, check_classes
        from tt_tflm.episode import load_episode

        build = tt_tflm.load_build(build_path)
        about = build.simulation
        episode = load_episode(episode_path, tuple(about["input_shape"]), about["input_scaling"])
        check_classes(episode, about["classes"])
    with build.simulate(device=device) as board, terminal.stages("adapting") as stage:
        result = adapt(board, episode, iterations, stage.advance, prototypes=about["loss"] == "prototype")
    figures = build.report
    terminal.show(report.adaptation_table(figures, device, result))
    if json_path:
        report.write_json(json_path, {**figures, **_adaptation_figures(device, result)})


@cli.command("supported-ops")
@_json_option
def supported_ops(json_path: Path | None) -> None:
    """List the Keras layers that can be converted, and what can be trained of them."""
    from dataclasses import asdict

    from tt_tflm import report
    from tt_tflm.frontend.layers import SUPPORTED

    _check_json(json_path)
    terminal.show(report.supported_table(SUPPORTED))
    if json_path:
        report.write_json(json_path, {"schema_version": 1, "layers": [asdict(layer) for layer in SUPPORTED]})


def main(arguments: list[str] | None = None) -> None:
    """Runs `tt-tflm` and exits: 0, 1 when a tool or a device failed, 2 for bad input, 130 when interrupted."""
    try:
        cli.main(arguments, prog_name="tt-tflm", standalone_mode=False)
    except click.ClickException as error:
        _fail(terminal.usage_message(error), 2)
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


def _check_json(path: Path | None) -> None:
    from tt_tflm import report

    if path:
        report.check_writable(path)


def _check_output(folder: Path) -> None:
    """Build.save refuses the same, but only after the conversion."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        kind = "a folder that is not empty" if folder.is_dir() else "a file"
        raise InputError(f"expected a new or empty output folder, received {folder}, {kind}")


def _parse_trained(entries: tuple[str, ...]) -> dict[str, Any]:
    layers: dict[str, Any] = {}
    for entry in entries:
        name, colon, channels = entry.rpartition(":")
        if not colon:
            name, chosen = entry, "all"
        elif _CHANNELS.fullmatch(channels):
            chosen = [int(channel) for channel in channels.split(",")]
        else:
            raise InputError(f"expected --train LAYER[:CH,CH...] with channel numbers, received {entry!r}")
        if not name:
            raise InputError(f"expected --train LAYER[:CH,CH...], received {entry!r}, which names no layer")
        if name in layers:
            raise InputError(f"expected each layer in one --train, received '{name}' twice: list its channels together")
        layers[name] = chosen
    return layers


def _plan(path: Path | None, layers: dict[str, Any]) -> UpdatePlan | None:
    import tt_tflm

    if path:
        return tt_tflm.UpdatePlan.load(path)
    return tt_tflm.UpdatePlan(layers=layers) if layers else None


def _loss(name: str, classes: int | None, temperature: float | None) -> Loss:
    import tt_tflm

    given = {"classes": classes, "temperature": temperature}
    given = {key: value for key, value in given.items() if value is not None}
    if name == "prototype":
        return tt_tflm.PrototypeLoss(**given)
    if given:
        raise InputError(f"expected --{next(iter(given))} with --loss prototype, received it with --loss {name}")
    return tt_tflm.SoftmaxLoss()


def _optimizer(name: str, learning_rate: float | None) -> Optimizer:
    import tt_tflm

    made = {"sgd": tt_tflm.SGD, "momentum": tt_tflm.Momentum, "adam": tt_tflm.Adam}[name]
    return made() if learning_rate is None else made(learning_rate=learning_rate)


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


def _adaptation_figures(device: str, result: Any) -> dict[str, Any]:
    return {
        "device": device,
        "accuracy_before": result.accuracy_before,
        "accuracy_after": result.accuracy_after,
        "losses": list(result.losses),
        "instructions": result.instructions,
    }


if __name__ == "__main__":
    main()
