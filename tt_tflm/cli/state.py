# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm inspect` and `tt-tflm merge`: what a board has learned, read and brought back to Keras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tt_tflm.cli import options, terminal
from tt_tflm.errors import InputError
from tt_tflm.files.output import same_file

_state_argument = click.argument("state_path", type=click.Path(path_type=Path), metavar="STATE.BIN")


@click.command()
@_state_argument
@click.option(
    "--build",
    "build_path",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="The build that saved it: its layers are shown by name, and states of other models are refused.",
)
@options.json_option
def inspect(state_path: Path, build_path: Path | None, json_path: Path | None) -> None:
    """Show what a board has saved: a state, or both slots in a dump of its storage."""
    from tt_tflm import report
    from tt_tflm.state.personalisation import load_states, newest

    states = load_states(state_path)
    names = _layer_names(build_path, [state.fingerprint for state in states.values()]) if build_path else None
    latest = newest(list(states.values()))
    slots = [
        {"offset": offset, "newest": state is latest, **_with_names(state.to_json(), names)}
        for offset, state in states.items()
    ]
    for slot in slots:
        terminal.show(report.state_table(slot, len(slots) > 1))
        terminal.show(report.state_layers_table(slot))
    if json_path:
        report.write_json(json_path, {"schema_version": 1, "states": slots})


@click.command()
@options.model_argument
@_state_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Model to write, .keras or .tflite.",
)
def merge(model: Path, state_path: Path, output: Path) -> None:
    """Bring what a board has learned back into MODEL, the model its build was converted from."""
    from tt_tflm.state import personalisation

    personalisation.check_output(output)
    if same_file(output, model):
        raise InputError(f"expected an output other than the model, received {output} for both")
    state = personalisation.newest(list(personalisation.load_states(state_path).values()))
    with terminal.stages("loading the model") as stage:
        from tt_tflm.frontend.keras_model import check_model
        from tt_tflm.frontend.loaders import load_keras

        keras_model = load_keras(model)
        check_model(keras_model)
        stage("merging")
        personalisation.merge(keras_model, state)
        stage("saving")
        personalisation.save_model(keras_model, output)


def _layer_names(build_path: Path, fingerprints: list[str]) -> list[str]:
    from tt_tflm.build.artefact import load_build

    build = load_build(build_path)
    own = build.simulation["fingerprint"]
    other = [fingerprint for fingerprint in fingerprints if fingerprint != own]
    if other:
        raise InputError(f"expected a state of the build {build_path} ({own}), received one of model {other[0]}")
    return [layer.name for layer in build.layers]


def _with_names(state: dict[str, Any], names: list[str] | None) -> Mapping[str, Any]:
    if names:
        for layer in state["layers"]:
            layer["name"] = names[layer["number"]] if layer["number"] < len(names) else None
    return state
