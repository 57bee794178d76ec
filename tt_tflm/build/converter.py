# SPDX-License-Identifier: Apache-2.0
"""The converter: a Keras model in, a trainable build out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.boards.episode import fit_samples
from tt_tflm.boards.input_range import (
    InputRange,
    InputScaling,
    ScalingChoice,
    check_image_scale,
    given_scaling,
    scaling_of_pixels,
    warn_of_outliers,
)
from tt_tflm.build.artefact import Build
from tt_tflm.build.assemble import assemble
from tt_tflm.build.settings import BuildSettings, Planned
from tt_tflm.devices import MemoryNeeds, get_device, place_build
from tt_tflm.errors import InputError, expect_one_of, meant
from tt_tflm.frontend.graph import flatten
from tt_tflm.frontend.keras_model import check_model
from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.loaders import adopt, load_model, load_tflite
from tt_tflm.frontend.objective import fitting_loss, output_of
from tt_tflm.frontend.outputs import with_output
from tt_tflm.losses import Loss, SoftmaxLoss
from tt_tflm.optimizers import SGD, Optimizer
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import PlanCost
from tt_tflm.plan.select import check_feasible
from tt_tflm.plan.update_plan import LayerPlan, UpdatePlan
from tt_tflm.program.dynamic import dynamic_program
from tt_tflm.program.emitted import SYMBOL
from tt_tflm.program.quantization import quantized
from tt_tflm.program.static import ImportedModel, import_model, loss_spec, static_program

if TYPE_CHECKING:
    import keras

MODES = ("static", "dynamic")
PRECISIONS = ("float32", "int8")
_PROPERTIES = (
    "target",
    "name",
    "backend",
    "weights",
    "loss",
    "optimizer",
    "plan",
    "mode",
    "budget",
    "tail",
    "input_scaling",
    "precision",
    "representative_data",
)


class TrainableConverter:
    """Converts a Keras model to a build that trains in place.

    Set the properties, then call ``convert``:

    - ``target``: the device that the build has to fit, or the core that its kernels are laid out for: one of
      ``tt_tflm.devices.device_names`` or the path of a profile (default ``host``);
    - ``name``: what everything of the build is called in C (default ``tt_model``): ``<name>.h``, its ``tt_model_t``,
      and the prefix of whatever else it defines, so that builds of several names go into one firmware;
    - ``backend``: ``c`` (default; C99 sources) or ``tflm`` (models with custom ops for TensorFlow Lite Micro);
    - ``weights``: how the C backend writes them: ``c``, arrays in a C source; ``binary``, one file that an assembler
      source includes; or ``auto`` (default), ``c`` up to 4 MiB;
    - ``loss``: ``SoftmaxLoss()`` or ``PrototypeLoss(...)``; None (default) for what the model tells: softmax where it
      ends in one or was compiled with a cross-entropy over classes;
    - ``optimizer``: ``SGD(...)`` (default), ``Momentum(...)`` or ``Adam(...)``;
    - ``plan``: an ``UpdatePlan``, or None to train all channels of the last layer;
    - ``mode``: ``static`` (default; the plan is fixed) or ``dynamic`` (the board chooses under ``budget``);
    - ``budget``: a ``Budget`` (default: no limit), for dynamic builds;
    - ``tail``: how many of the last layers a dynamic build inspects (default: as many as the RAM limit allows);
    - ``input_scaling``: (scale, shift) that turns uint8 into the model's input, and the range of 0..255 by it that of
      all inputs; ``none`` for numbers as they are; ``model`` (or None, the default) for what the model tells: as they
      are where it begins with Rescaling, Normalization or the like or takes integers, else x / 127.5 - 1;
    - ``precision``: ``float32`` (default) or ``int8`` (the forward pass is integer, backend ``c`` alone);
    - ``representative_data``: for int8, samples that inputs are like, from which the ranges of activations are taken:
      uint8 images, or float32 samples or what is cast to them, (N, H, W, C).

    Example:
        >>> converter = TrainableConverter.from_keras_model(model)
        >>> converter.target = "cortex-m7"
        >>> converter.plan = UpdatePlan(layers={"logits": "all"})
        >>> converter.convert().save("out/")
    """

    def __init__(self, model: keras.Model, *, output: str | None = None) -> None:
        adopted = adopt(model)
        self._model = adopted.model if output is None else with_output(adopted.model, output)
        check_model(self._model)
        # A model of several outputs is compiled with what weighs their losses.
        self._compiled_loss = adopted.loss if output is None else None
        self._imported: ImportedModel | None = None
        self.target = "host"
        self.name = SYMBOL
        self.backend = "c"
        self.weights = "auto"
        self.loss: Loss | None = None
        self.optimizer: Optimizer = SGD()
        self.plan: UpdatePlan | None = None
        self.mode = "static"
        self.budget = Budget()
        self.tail: int | None = None
        self.precision = "float32"
        self.representative_data: np.ndarray | None = None
        self._input_scaling: ScalingChoice = None
        self._quantized: tuple[Any, InputRange, ImportedModel] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        # A misspelt property would be without effect, and nobody would know.
        if not name.startswith("_") and name not in _PROPERTIES:
            raise InputError(
                f"converter: expected one of {', '.join(_PROPERTIES)}, received {name!r}{meant(name, _PROPERTIES)}"
            )
        super().__setattr__(name, value)

    @classmethod
    def from_keras_model(cls, model: keras.Model, *, output: str | None = None) -> TrainableConverter:
        """For a model in memory, of Keras 3 or of ``tf_keras``; one in another precision is cast, with a warning.

        Args:
            model: built.
            output: of a model with several outputs, the layer that makes the one to train.

        Raises:
            InputError, UnsupportedLayerError: the model cannot be converted; the message names the layer.
        """
        return cls(model, output=output)

    @classmethod
    def from_keras_file(cls, path: str | Path, *, output: str | None = None) -> TrainableConverter:
        """For a file that Keras 2 or 3 saved: ``.keras``, ``.h5`` or a SavedModel folder, loaded in safe mode.

        Args:
            path: of the file or folder.
            output: of a model with several outputs, the layer that makes the one to train.

        Raises:
            InputError, UnsupportedLayerError: the file cannot be read, or the model cannot be converted.
        """
        loaded = load_model(path)
        converter = cls(loaded.model, output=output)
        if output is None:
            converter._compiled_loss = loaded.loss
        return converter

    @classmethod
    def from_tflite(cls, path: str | Path) -> TrainableConverter:
        """For a float ``.tflite`` file, rebuilt as a Keras model whose layers are named after its tensors.

        Of a fused name (``a;b``) the first part counts; what is no letter, digit, dot, dash or underscore becomes an
        underscore. A model does not tell its loss there.

        Raises:
            InputError, UnsupportedLayerError: the file is of another kind, quantised, or has an operator that is not
                translated; the message names it.
        """
        return cls(load_tflite(path).model)

    @property
    def layers(self) -> list[Layer]:
        """The layers with weights, under their Keras names."""
        return list(self._import_float().layers)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self._import_float().input_shape

    @property
    def input_scaling(self) -> InputScaling:
        """(scale, shift) of pixels: what was set, or what the model tells.

        Raises:
            InputError: what was set scales the pixels of a model that takes uint8.
        """
        return scaling_of_pixels(self._model, self._input_scaling)

    @input_scaling.setter
    def input_scaling(self, value: ScalingChoice) -> None:
        given_scaling(value)
        self._input_scaling = value

    @property
    def calibrated(self) -> InputRange | None:
        """Least and greatest value of the representative data, which int8 has codes for; None in float32.

        Raises:
            InputError: as ``convert``.
        """
        if self.precision != "int8":
            return None
        self._import()
        return None if self._quantized is None else self._quantized[1]

    @property
    def objective(self) -> Loss:
        """The loss that a build trains by: ``loss``, or what the model tells.

        Raises:
            InputError: the model's output or compiled loss is another's, or nothing tells.
        """
        return fitting_loss(output_of(flatten(self._model), self._model.name), self._compiled_loss, self.loss)

    @property
    def classes(self) -> int:
        """Length of the scores: the loss's prototypes, or the model's output."""
        return loss_spec(self._import_float(), self.objective).classes

    def layer_costs(self) -> list[dict[str, Any]]:
        """What training each layer alone, all channels, costs: ``name``, ``backward_macs``, ``training_bytes`` (rows,
        gradients, moments, saved activations and masks)."""
        imported = self._import()
        loss = self.loss or SoftmaxLoss()  # they are the same for every loss
        costs = []
        for layer in imported.layers:
            plan = {layer.name: LayerPlan(tuple(range(layer.channels)))}
            cost = imported.cost(plan, loss, self.optimizer)
            costs.append(
                {"name": layer.name, "backward_macs": cost.backward_macs, "training_bytes": cost.training_bytes}
            )
        return costs

    def convert(self, progress: Callable[[str], None] | None = None) -> Build:
        """Make the build.

        Args:
            progress: called with the name of every stage before it runs.

        Raises:
            InputError: a property does not fit the model (the message names it), or the build does not fit the target
                (the message says what would).
        """
        report = progress or (lambda _stage: None)
        device = get_device(self.target)
        self._check_options()
        loss, input_scaling = self.objective, self.input_scaling
        settings = BuildSettings(
            device, loss, self.optimizer, self.budget, input_scaling, self.backend, self.name, self.weights
        )
        imported = self._import(report)
        settings = replace(settings, calibrated=self.calibrated)
        everything = {layer.name: LayerPlan(tuple(range(layer.channels))) for layer in imported.layers}
        full = imported.cost(everything, loss, self.optimizer).backward_macs
        if self.mode == "dynamic":
            program = dynamic_program(imported, loss, self.optimizer, self.budget, full, self.tail, report)
            check_feasible(program.choice.table, self.budget)
            plan = cost = None
        else:
            plan = self.plan or UpdatePlan(layers={imported.layers[-1].name: "all"})
            chosen = plan.resolve({layer.name: layer.channels for layer in imported.layers}, imported.fingerprint)
            program = static_program(imported, chosen, loss, self.optimizer, report)
            training = imported.cost(chosen, loss, self.optimizer)
            cost = PlanCost(
                training.training_bytes, program.ram_bytes, training.backward_macs, training.updated_parameters
            )
            plan = UpdatePlan(
                chosen, imported.fingerprint, strategy=plan.strategy, budget=plan.budget, spent=asdict(cost)
            )
        needs = MemoryNeeds(
            program.arena_bytes,
            program.row_pool.bytes,
            program.session_bytes,
            program.functions["predict"].arena_bytes,
            imported.weight_bytes,
        )
        placement = place_build(device, needs, dynamic=self.mode == "dynamic")
        report("print C" if self.backend == "c" else "write TFLM models")
        return assemble(imported, program, settings, Planned(full, placement, plan, cost))

    def _check_options(self) -> None:
        if self.plan is not None and not isinstance(self.plan, UpdatePlan):
            raise InputError(f"expected an UpdatePlan, received {type(self.plan).__name__}")
        expect_one_of("mode", self.mode, MODES)
        expect_one_of("precision", self.precision, PRECISIONS)
        if self.precision == "int8" and self.backend != "c":
            raise InputError(f"precision int8: expected backend 'c', received {self.backend!r}")
        if self.mode == "dynamic" and self.plan is not None:
            raise InputError("expected no plan in dynamic mode, where the board chooses, received one")

    def _import(self, report: Callable[[str], None] = lambda _stage: None) -> ImportedModel:
        """The model in the precision asked for."""
        imported = self._import_float(report)
        if self.precision != "int8":
            return imported
        data, scaling = self.representative_data, tuple(self.input_scaling)
        if self._quantized is None or self._quantized[0][0] is not data or self._quantized[0][1] != scaling:
            samples = self._representative_samples(imported.input_shape)
            report("quantise")
            ends = InputRange(float(samples.min()), float(samples.max()))
            self._quantized = (data, scaling), ends, quantized(imported, samples)[0]
        return self._quantized[2]

    def _import_float(self, report: Callable[[str], None] = lambda _stage: None) -> ImportedModel:
        if self._imported is None:
            self._imported = import_model(self._model, report)
        return self._imported

    def _representative_samples(self, input_shape: tuple[int, ...]) -> np.ndarray:
        data = self.representative_data
        if not isinstance(data, np.ndarray) or data.ndim == 0 or len(data) == 0:
            kind = "none" if data is None else type(data).__name__
            received = f"an empty {kind}" if isinstance(data, np.ndarray) else kind
            raise InputError(
                "representative_data: expected an array of samples that inputs are like, for precision int8, "
                f"received {received}"
            )
        scaling = self.input_scaling
        samples = fit_samples("representative_data", data, input_shape, scaling)
        check_image_scale("representative_data", samples, InputRange.of(scaling))
        warn_of_outliers("representative_data", samples, InputRange.of(scaling))
        return samples
