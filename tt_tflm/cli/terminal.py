# SPDX-License-Identifier: Apache-2.0
"""What the command line shows and how it reads values: tables, progress, one-line usage errors."""

from __future__ import annotations

import io
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

import click
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from tt_tflm.errors import InputError, InputWarning, meant
from tt_tflm.files.output import is_stdout

_WIDTH_OF_A_FILE = 160
_running: list[Progress] = []  # what is shown at the moment, if anything


def show(content: RenderableType) -> None:
    """Prints to stdout, or to stderr where ``--json`` has stdout; files and pipes get lines that hold every table."""
    context = click.get_current_context(silent=True)
    to_stderr = context is not None and is_stdout(context.params.get("json_path"))
    # Names from files are no markup.
    console = Console(stderr=to_stderr, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(stderr=to_stderr, markup=False, emoji=False, width=_WIDTH_OF_A_FILE)
    console.print(content)


class Stages:
    """What goes on, on the last line of a terminal. Call it with the name of a stage whose length is unknown."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, stage: str) -> None:
        self._progress.update(self._task, description=stage, completed=0, total=None)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Shows a stage with a bar; done and total count the same thing."""
        self._progress.update(self._task, description=stage, completed=done, total=total)


@contextmanager
def stages(first: str) -> Iterator[Stages]:
    """Shows progress on stderr while the block runs, and nothing where stderr is no terminal."""
    with _own_stderr() as stream:
        console = Console(file=stream)
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not console.is_terminal,
        )
        with progress:
            _running.append(progress)
            try:
                yield Stages(progress, progress.add_task(first, total=None))
            finally:
                _running.remove(progress)


@contextmanager
def told_warnings() -> Iterator[None]:
    """While the block runs, each warning of this package is a line on stderr, above the progress; once each."""
    told: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        usual = warnings.showwarning

        def show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, InputWarning):
                usual(message, category, *where, **more)
            elif str(message) not in told:
                told.add(str(message))
                _print_line(f"tt-tflm: warning: {message}")

        warnings.showwarning = show_warning
        yield


def _print_line(line: str) -> None:
    if _running and not _running[-1].disable:
        # Written past it, the line would stand in the middle of the display.
        _running[-1].console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
    elif sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


def _own_stderr() -> TextIO:
    """stderr by a descriptor of its own: the front end redirects the process's to keep TensorFlow quiet."""
    try:
        return os.fdopen(os.dup(sys.__stderr__.fileno()), "w")
    except (AttributeError, OSError, ValueError):
        return io.StringIO()  # started without a stderr


class Commands(click.Group):
    """A group that answers a missing or unknown command in the words of this project."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        # Click has handed --help and --version by now, which need no command.
        if not args:
            self._refuse(ctx, "none")
        return rest

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            self._refuse(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _refuse(self, ctx: click.Context, received: str) -> NoReturn:
        commands = ", ".join(self.list_commands(ctx))
        raise InputError(f"expected a command ({commands}), received {received}; see {ctx.command_path} --help")


class OneOf(click.ParamType):
    """One of a few names: a list, or what gives one where it takes long to import."""

    name = "name"

    def __init__(self, names: Iterable[str] | Callable[[], Iterable[str]]) -> None:
        self._source = names

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self._source() if callable(self._source) else self._source)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "|".join(self._names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        names = self._names
        if value not in names:
            expected = f"{', '.join(names[:-1])} or {names[-1]}"
            self.fail(f"expected {expected}, received {value!r}{meant(value, names)}", param, ctx)
        return value


class Count(click.ParamType):
    """A whole number with a least value."""

    name = "integer"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            self._refuse(value, param, ctx)
        return number if number >= self._least else self._refuse(value, param, ctx)

    def _refuse(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(f"expected a whole number of at least {self._least}, received {value!r}", param, ctx)


class Positive(click.ParamType):
    """A finite number above 0."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number <= 0:
            self.fail(f"expected a number above 0, received {value!r}", param, ctx)
        return number


def usage_message(error: click.ClickException) -> str:
    """An error that click found, in the words of this project: what was expected, what was received."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "tt-tflm"
    cure = f"; see {path} --help"
    if isinstance(error, click.NoSuchOption):
        near = f" (did you mean {error.possibilities[0]}?)" if error.possibilities else ""
        return f"expected an option of {path}, received {error.option_name}{near}{cure}"
    if isinstance(error, click.MissingParameter):
        return f"expected {_name(error)}, received none{cure}"
    if isinstance(error, click.BadParameter):
        return f"{_name(error)}: {error.message}"
    if isinstance(error, click.BadOptionUsage):
        return f"expected a value for {error.option_name}, received none{cure}"
    return f"{error.format_message().rstrip('.')}{cure}"


def _name(error: click.BadParameter) -> str:
    if isinstance(error.param, click.Option):
        return error.param.opts[-1]
    if error.param is not None:
        return error.param.make_metavar(error.ctx)
    return str(error.param_hint or "a parameter")
