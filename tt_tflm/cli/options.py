# SPDX-License-Identifier: Apache-2.0
"""Options that several commands of `tt-tflm` take, and what becomes of them."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tt_tflm.cli import terminal
from tt_tflm.errors import InputError, meant
from tt_tflm.files.output import check_writable
from tt_tflm.losses import LOSSES, Loss, PrototypeLoss
from tt_tflm.models import STARTER
from tt_tflm.optimizers import OPTIMIZERS, Optimizer

if TYPE_CHECKING:
    from tt_tflm.plan import Budget

BACKEND_NAMES = ("c", "tflm")
WEIGHT_NAMES = ("auto", "c", "binary")
MODE_NAMES = ("static", "dynamic")
PRECISION_NAMES = ("float32", "int8")
GRADIENT_NAMES = ("exact", "constant")
INTERPRETER = "tflm"
_MODELS = (
    "a .keras or .h5 file of Keras 2 or 3, a SavedModel folder of Keras 2, a float .tflite file, or `starter` for the "
    "model that comes with this."
)
_CHANNELS = re.compile(r"\d+(,\d+)*")
_Command = Callable[..., Any]


class ModelPath(click.Path):
    """A file of a Keras model, or the word `starter` for the model that comes with the package."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return STARTER if value == "starter" else super().convert(value, param, ctx)


class ReportPath(click.Path):
    """Where a report goes, refused before the work that would fill it is done."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        check_writable(path, "a report")
        return path


def strategy_names() -> Sequence[str]:
    """Of the strategies that train something."""
    from tt_tflm.plan.strategies import training_names

    return training_names()


def model_file(name: str) -> Callable[[_Command], _Command]:
    """An argument that is a model; the command's help tells which files it may be."""

    def decorate(command: _Command) -> _Command:
        about = inspect.cleandoc(command.__doc__ or "")
        command.__doc__ = f"{about}\n\n{name.upper()} is {_MODELS}"
        decorated: _Command = click.argument(name, type=ModelPath(path_type=Path))(command)
        return decorated

    return decorate


model_argument = model_file("model")
model_output_option = click.option(
    "--model-output", metavar="NAME", help="Of a model with several outputs, the layer that makes the one to train."
)
json_option = click.option(
    "--json",
    "json_path",
    type=ReportPath(),
    metavar="FILE",
    help="Write the same figures to FILE; - is stdout, and tables go to stderr.",
)
episode_option = click.option(
    "--episode",
    "episode_path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Samples to learn from and to be judged by (.npz).",
)

data_option = click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE|FOLDER",
    help="Labelled images: .npz with x and y, or a folder of class folders.",
)
skip_corrupt_option = click.option("--skip-corrupt", is_flag=True, help="Leave files out that cannot be decoded.")


class Scaling(click.ParamType):
    """How uint8 becomes inputs: two numbers with a comma between them, or a word. None is what model or build tells."""

    name = "scaling"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "SCALE,SHIFT|none|model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tt_tflm.boards.input_range import given_scaling

        try:
            return given_scaling(value)
        except InputError as error:
            self.fail(str(error).removeprefix("input_scaling: "), param, ctx)


def _scaling_option(model: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--input-scaling",
        type=Scaling(),
        help="What uint8 becomes: number * SCALE + SHIFT; none: the number as it is; model: " + model + "  "
        "[default: model]",
    )


input_scaling_option = _scaling_option(
    "as it is where MODEL begins with Rescaling, Normalization or the like or takes integers, else number / 127.5 - 1. "
    "The range of 0 to 255 by it is that of all inputs."
)
build_scaling_option = _scaling_option("as the build was converted, whose range all inputs have to keep to.")


class Target(click.ParamType):
    """A device: a name, or the path of a profile in TOML."""

    name = "device"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "DEVICE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from tt_tflm.devices import get_device

        try:
            get_device(value)
        except InputError as error:
            self.fail(str(error), param, ctx)
        return value


class Simulator(Target):
    """Where a build is simulated: a device, or the interpreter of TensorFlow Lite Micro."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value == INTERPRETER:
            return value
        near = meant(value, (INTERPRETER,))
        if near:
            self.fail(f"expected a device or {INTERPRETER}, received {value!r}{near}", param, ctx)
        return super().convert(value, param, ctx)


class Limit(click.ParamType):
    """A limit of a `Budget`, as text."""

    name = "limit"

    def __init__(self, field: str, metavar: str) -> None:
        self._field = field
        self._metavar = metavar

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self._metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from tt_tflm.plan.budget import Budget

        try:
            Budget(**{self._field: value})
        except InputError as error:
            self.fail(str(error).removeprefix(f"{self._field}: "), param, ctx)
        return value


@dataclass(frozen=True)
class TrainingOptions:
    """Loss and optimiser as given; None means what the model tells, or the default of the loss or optimiser."""

    loss: str | None
    classes: int | None
    temperature: float | None
    optimizer: str
    learning_rate: float | None
    batch_size: int | None

    def make(self) -> tuple[Loss | None, Optimizer]:
        """The loss, None for what the model tells, and the optimiser.

        Raises:
            InputError: an option does not go with the loss.
        """
        about_prototypes = _given({"classes": self.classes, "temperature": self.temperature})
        if about_prototypes and self.loss != PrototypeLoss.name:
            first = next(iter(about_prototypes))
            received = f"with --loss {self.loss}" if self.loss else "without --loss"
            raise InputError(f"expected --{first} with --loss prototype, received it {received}")
        loss = LOSSES[self.loss](**about_prototypes) if self.loss else None
        made = OPTIMIZERS[self.optimizer]
        return loss, made(**_given({"learning_rate": self.learning_rate, "batch_size": self.batch_size}))


@dataclass(frozen=True)
class BudgetOptions:
    """Limits as given; None where there is none."""

    training_memory: str | None
    ram: str | None
    backward_macs: str | None

    @property
    def first(self) -> str | None:
        """The first option that was given, None without any."""
        return next((f"--{name.replace('_', '-')}" for name in _given(asdict(self))), None)

    def make(self) -> Budget:
        """The budget."""
        import tt_tflm

        return tt_tflm.Budget(**asdict(self))


def training_options(command: _Command) -> _Command:
    """Options of loss and optimiser; the command gets them as ``training``."""
    options = (
        click.option(
            "--loss",
            type=terminal.OneOf(lambda: sorted(LOSSES)),
            help="softmax: MODEL ends in logits or a softmax; prototype: in an embedding.  [default: as MODEL tells]",
        ),
        click.option("--classes", type=terminal.Count(2), help="Of the prototype loss.  [default: 5]"),
        click.option("--temperature", type=terminal.Positive(), help="Of the prototype loss.  [default: 5]"),
        click.option("--optimizer", type=terminal.OneOf(lambda: sorted(OPTIMIZERS)), default="sgd", show_default=True),
        click.option("--learning-rate", type=terminal.Positive(), help="Default: the optimiser's."),
        click.option(
            "--batch-size", type=terminal.Count(1), help="Samples whose mean gradient makes one update.  [default: 1]"
        ),
    )
    return _gathered(command, "training", TrainingOptions, options)


def budget_options(command: _Command) -> _Command:
    """Options of a budget; the command gets them as ``limits``."""
    options = (
        click.option(
            "--training-memory",
            type=Limit("training_memory", "SIZE"),
            help="What training may add: rows, gradients, moments, saved activations; like 256KB.",
        ),
        click.option(
            "--ram", type=Limit("ram", "SIZE"), help="All that is placed: arena, row pool, session; like 320KB."
        ),
        click.option(
            "--backward-macs",
            type=Limit("backward_macs", "MACS"),
            help="Of one sample: like 6.5M, or a share of training everything, like 0.15.",
        ),
    )
    return _gathered(command, "limits", BudgetOptions, options)


def _gathered(
    command: _Command, name: str, group: Callable[..., Any], options: tuple[Callable[[_Command], _Command], ...]
) -> _Command:
    @functools.wraps(command)
    def wrapped(**values: Any) -> Any:
        mine = {field: values.pop(field) for field in group.__dataclass_fields__}  # type: ignore[attr-defined]
        return command(**values, **{name: group(**mine)})

    decorated: _Command = wrapped
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def parse_trained(entries: tuple[str, ...]) -> dict[str, Any]:
    """The values of ``--train`` as layers of an update plan.

    Raises:
        InputError: an entry is malformed, or a layer is named twice.
    """
    layers: dict[str, Any] = {}
    for entry in entries:
        name, colon, channels = entry.rpartition(":")
        chosen: list[int] | str = "all"
        if not colon:
            name = entry
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


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
