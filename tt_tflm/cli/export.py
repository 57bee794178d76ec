# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm export`: a build as what a build system of firmware takes. Its options are those of the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tt_tflm.cli import terminal
from tt_tflm.errors import InputError


class _Export(click.Command):
    """A command with the options of every export target."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from tt_tflm.export import EXPORTERS

        targets: list[click.Parameter] = []
        for target in EXPORTERS.values():
            flag = f"--{target.name}"
            targets.append(
                click.Option(
                    [flag, _parameter(target.name)],
                    type=click.Path(path_type=Path),
                    metavar=target.takes,
                    help=target.help,
                )
            )
            targets += (
                click.Option(
                    [f"{flag}-{option.name}", _parameter(target.name, option.name)],
                    metavar=option.metavar,
                    help=option.help,
                )
                for option in target.options
            )
        own = super().get_params(ctx)
        return [*own[: len(self.params)], *targets, *own[len(self.params) :]]


def _parameter(*names: str) -> str:
    return "__".join(names).replace("-", "_").replace(".", "_")


@click.command(cls=_Export)
@click.argument("build_path", type=click.Path(path_type=Path), metavar="OUT")
def export(build_path: Path, **values: Any) -> None:
    """Write the build in the folder OUT for a build system of firmware."""
    from tt_tflm.export import EXPORTERS
    from tt_tflm.export import export as write

    targets = EXPORTERS.values()
    given = [target for target in targets if values[_parameter(target.name)] is not None]
    if len(given) != 1:
        expected = " or ".join(f"--{target.name} {target.takes}" for target in targets)
        received = " and ".join(f"--{target.name}" for target in given) or "none"
        raise InputError(f"expected {expected}, received {received}")
    (chosen,) = given
    further: dict[str, str] = {}
    for target in targets:
        for option in target.options:
            value = values[_parameter(target.name, option.name)]
            if value is not None and target is not chosen:
                raise InputError(
                    f"expected --{target.name}-{option.name} with --{target.name}, received it with --{chosen.name}"
                )
            further |= {} if value is None else {option.name: value}
    with terminal.stages("loading the build") as stage:
        import tt_tflm

        build = tt_tflm.load_build(build_path)
        stage("writing")
        write(build, chosen.name, values[_parameter(chosen.name)], further)
