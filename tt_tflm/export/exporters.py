# SPDX-License-Identifier: Apache-2.0
"""The registry of export targets: what a build can be written as for the build systems of firmware.

A target is a folder beside this file, or a module of anyone's that does the same::

    from tt_tflm.export.exporters import exporter

    @exporter
    class Mbed:
        name = "mbed"
        help = "A library for Mbed OS."
        takes = "DIR"
        options = ()

        def write(self, build, path, options):
            ...

`tt-tflm export` then has ``--mbed DIR``. A module of an installed package is imported by itself if the entry point
group ``tt_tflm.exporters`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from tt_tflm.errors import InputError, meant
from tt_tflm.extensions.registry import Registry

if TYPE_CHECKING:
    from tt_tflm.build.artefact import Build


@dataclass(frozen=True)
class ExportOption:
    """An option of a target, ``--TARGET-NAME METAVAR`` on the command line; what is given is text.

    Attributes:
        name: of the option.
        metavar: stands for its value.
        help: one line.
    """

    name: str
    metavar: str
    help: str


class Exporter(Protocol):
    """An export target.

    Attributes:
        name: of the target and of its option.
        help: one line: what is written.
        takes: metavar of the path: ``DIR`` or the like.
        options: further ones.
    """

    name: str
    help: str
    takes: str
    options: tuple[ExportOption, ...]

    def write(self, build: Build, path: Path, options: Mapping[str, str]) -> None:
        """Writes a build; on any error nothing is left behind.

        Args:
            build: of any backend. Its text files are ``build.files``; weights in binary form are ``build.binary``, and
                ``tt_tflm.export.firmware.firmware`` gives either.
            path: does not exist yet, or is an empty folder where a folder is written.
            options: name -> value of those that were given.

        Raises:
            InputError: the build, the path or an option does not fit.
            ToolchainError: a tool is missing.
        """


_Class = TypeVar("_Class", bound="type[Exporter]")

EXPORTERS: Registry[Exporter] = Registry("an export target", "tt_tflm.exporters")


def exporter(target: _Class) -> _Class:
    """Registers a class as an export target.

    Raises:
        InputError: it lacks something of ``Exporter``, or its name is malformed or taken.
    """
    for attribute, kind in (("name", str), ("help", str), ("takes", str), ("options", tuple)):
        value = getattr(target, attribute, None)
        if not isinstance(value, kind):
            raise InputError(
                f"export target {target.__name__}: expected {attribute} of type {kind.__name__}, received {value!r}"
            )
    if not callable(getattr(target, "write", None)):
        raise InputError(f"export target {target.__name__}: expected a method write, received none")
    EXPORTERS.add(target.name, target())
    return target


def export(build: Build, target: str, path: str | Path, options: Mapping[str, str] | None = None) -> None:
    """Writes a build as a target takes it; on any error nothing is left behind.

    Args:
        build: what is written.
        target: a name out of ``EXPORTERS``.
        path: where to.
        options: of the target, name -> value.

    Raises:
        InputError: there is no such target or option, or the target refuses the build or the path.
        ToolchainError: a tool is missing.
    """
    chosen, given = EXPORTERS[target], dict(options or {})
    known = [option.name for option in chosen.options]
    for name in given:
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise InputError(f"options of {target}: expected {expected}, received {name!r}{meant(name, known)}")
    chosen.write(build, Path(path), given)
