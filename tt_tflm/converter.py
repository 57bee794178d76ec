# SPDX-License-Identifier: Apache-2.0
"""The converter: a Keras model in, a trainable build out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.build import SCHEMA_VERSION, Build
from tt_tflm.devices import get_profile
from tt_tflm.emit.c_library import EmittedLayer, EmittedModel, emit_c, emit_cmake
from tt_tflm.emit.row_pool import lay_out
from tt_tflm.emit.session import session_bytes
from tt_tflm.errors import InputError
from tt_tflm.frontend.keras_model import check_model, load_keras
from tt_tflm.frontend.layers import Layer
from tt_tflm.ops_path import ops_path
from tt_tflm.options import SGD, Adam, Loss, Momentum, Optimizer, PrototypeLoss, SoftmaxLoss, optimizer_spec
from tt_tflm.plan.cost import function_macs
from tt_tflm.plan.update_plan import LayerPlan, UpdatePlan
from tt_tflm.program import ImportedModel, build_program, import_model
from tvm_passes.kernels.tiling import CORTEX_M, HOST
from tvm_passes.pipeline import planned_functions

if TYPE_CHECKING:
    import keras

_FLOAT = 4


class TrainableConverter:
    """Converts a Keras model to a build that trains in place.

    Set the properties, then call ``convert``:

    - ``target``: the core that the kernels are laid out for, see ``tt_tflm.devices.device_names`` (default ``host``);
    - ``loss``: ``SoftmaxLoss()`` (default) or ``PrototypeLoss(...)``;
    - ``optimizer``: ``SGD(...)`` (default), ``Momentum(...)`` or ``Adam(...)``;
    - ``plan``: an ``UpdatePlan``, or None to train all channels of the last layer;
    - ``input_scaling``: (scale, shift) that turns a pixel of 0..255 into the model's input (default x / 127.5 - 1).

    Example:
        >>> converter = TrainableConverter.from_keras_model(model)
        >>> converter.target = "cortex-m7"
        >>> converter.plan = UpdatePlan(layers={"logits": "all"})
        >>> converter.convert().save("out/")
    """

    def __init__(self, model: keras.Model) -> None:
        check_model(model)
        self._model = model
        self._imported: ImportedModel | None = None
        self.target = "host"
        self.loss: Loss = SoftmaxLoss()
        self.optimizer: Optimizer = SGD()
        self.plan: UpdatePlan | None = None
        self.input_scaling: tuple[float, float] = (1 / 127.5, -1.0)

    @classmethod
    def from_keras_model(cls, model: keras.Model) -> TrainableConverter:
        """For a model in memory.

        Raises:
            InputError, UnsupportedLayerError: the model cannot be converted; the message names the layer.
        """
        return cls(model)

    @classmethod
    def from_keras_file(cls, path: str | Path) -> TrainableConverter:
        """For a ``.keras`` file, loaded in safe mode.

        Raises:
            InputError, UnsupportedLayerError: the file cannot be read, or the model cannot be converted.
        """
        return cls(load_keras(path))

    @property
    def layers(self) -> list[Layer]:
        """The layers with weights, under their Keras names."""
        return list(self._import().layers)

    def layer_costs(self) -> list[dict[str, Any]]:
        """What training each layer alone, all channels, costs: ``name``, ``backward_macs``, ``training_bytes`` (rows,
        gradients, moments, saved activations and masks)."""
        imported = self._import()
        costs = []
        for layer in imported.layers:
            plan = {layer.name: LayerPlan(tuple(range(layer.channels)))}
            cost = imported.cost(plan, self.loss, self.optimizer)
            costs.append(
                {"name": layer.name, "backward_macs": cost.backward_macs, "training_bytes": cost.training_bytes}
            )
        return costs

    def convert(self, progress: Callable[[str], None] | None = None) -> Build:
        """Make the build.

        Args:
            progress: called with the name of every stage before it runs.

        Raises:
            InputError: a property does not fit the model; the message names it.
        """
        report = progress or (lambda _stage: None)
        profile = get_profile(self.target)
        if not isinstance(self.optimizer, (SGD, Momentum, Adam)):
            raise InputError(f"expected SGD(...), Momentum(...) or Adam(...), received {self.optimizer!r}")
        if self.plan is not None and not isinstance(self.plan, UpdatePlan):
            raise InputError(f"expected an UpdatePlan, received {type(self.plan).__name__}")
        imported = self._import(report)
        plan = self._resolved_plan(imported)
        module = build_program(imported, plan, self.loss, self.optimizer, report)
        functions = planned_functions(module)
        optimizer = optimizer_spec(self.optimizer)
        prototypes = isinstance(self.loss, PrototypeLoss)
        classes = self.loss.classes if prototypes else imported.output_elements
        trained = {
            imported.index(name): (name, len(choice.channels) * imported.layers[imported.index(name)].stride)
            for name, choice in sorted(plan.items(), key=lambda item: imported.index(item[0]))
        }
        row_pool = lay_out(trained, optimizer.state, classes, imported.output_elements if prototypes else None)
        emitted = EmittedModel(
            imported.name,
            imported.fingerprint,
            module,
            [
                EmittedLayer(layer.name, rows, plan[layer.name].channels if layer.name in plan else ())
                for layer, rows in zip(imported.layers, imported.rows, strict=True)
            ],
            imported.input_shape,
            classes,
            self.loss.temperature if prototypes else None,
            optimizer,
            self.optimizer.learning_rate,
            row_pool,
        )
        report("print C")
        files = emit_c(emitted, HOST if profile.is_host else CORTEX_M)
        report("collect sources")
        files |= _runtime_files()
        sources = sorted(name for name in files if name.startswith("src/") and name.endswith(".c"))
        files["sources.txt"] = "".join(f"{name}\n" for name in sources)
        files["CMakeLists.txt"] = emit_cmake(imported.name, sources, profile.compile_flags(kernel=True))
        cost = imported.cost(plan, self.loss, self.optimizer)
        everything = {layer.name: LayerPlan(tuple(range(layer.channels))) for layer in imported.layers}
        predict, train = (function_macs(functions[name]) for name in ("predict", "train_step"))
        arena = max(functions.values(), key=lambda f: f.arena_bytes)
        session = session_bytes(len(plan), optimizer.kind, classes if prototypes else None)
        report_data = {
            "schema_version": SCHEMA_VERSION,
            "model": imported.name,
            "fingerprint": imported.fingerprint,
            "target": self.target,
            "precision": "float32",
            "mode": "static",
            "loss": self.loss.name,
            "optimizer": self.optimizer.name,
            "arena_bytes": arena.arena_bytes,
            "arena_lower_bound_bytes": max(f.arena_lower_bound_bytes for f in functions.values()),
            "row_pool_bytes": row_pool.bytes,
            "session_bytes": session,
            "ram_bytes": arena.arena_bytes + row_pool.bytes + session,
            "input_bytes": _FLOAT * int(np.prod(imported.input_shape)),
            "flash_bytes": {"code": None, "weights": sum(rows.nbytes for rows in imported.rows)},
            "forward_macs": predict["forward"]["nominal"],
            "backward_macs": train["backward"]["nominal"],
            "backward_macs_full": imported.cost(everything, self.loss, self.optimizer).backward_macs,
            "executed_macs": {
                "predict": predict["forward"]["executed"],
                "forward": train["forward"]["executed"],
                "backward": train["backward"]["executed"],
            },
            "training_memory_bytes": cost.training_bytes,
            "updated_parameters": cost.updated_parameters,
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "parameters": layer.parameters,
                    "forward_macs": layer.forward_macs,
                    "channels_total": layer.channels,
                    "channels_trained": len(plan[layer.name].channels) if layer.name in plan else 0,
                }
                for layer in imported.layers
            ],
        }
        simulation = {
            "schema_version": SCHEMA_VERSION,
            "input_shape": list(imported.input_shape),
            "input_scaling": list(self.input_scaling),
            "classes": classes,
            "embedding_elements": imported.output_elements if prototypes else None,
            "loss": self.loss.name,
            "target": self.target,
            "arena_bytes": arena.arena_bytes,
            "row_pool_bytes": row_pool.bytes,
            "rows": [
                {
                    "layer": name,
                    "offset": row_pool.offset("pool", index),
                    "channels": list(plan[name].channels),
                    "stride": imported.layers[index].stride,
                    "row_length": imported.layers[index].row_length,
                }
                for index, (name, _) in trained.items()
            ],
        }
        spent = {
            "training_memory_bytes": cost.training_bytes,
            "ram_bytes": report_data["ram_bytes"],
            "backward_macs": report_data["backward_macs"],
            "updated_parameters": cost.updated_parameters,
        }
        plan_data = {**UpdatePlan(plan, imported.fingerprint).to_json(), "strategy": "given", "budget": {}, "spent": spent}
        rows = {layer.name: r for layer, r in zip(imported.layers, imported.rows, strict=True)}
        return Build(files, rows, imported.layers, report_data, plan_data, simulation)

    def _import(self, report: Callable[[str], None] = lambda _stage: None) -> ImportedModel:
        if self._imported is None:
            self._imported = import_model(self._model, report)
        return self._imported

    def _resolved_plan(self, imported: ImportedModel) -> dict[str, LayerPlan]:
        plan = self.plan or UpdatePlan(layers={imported.layers[-1].name: "all"})
        return plan.resolve({layer.name: layer.channels for layer in imported.layers}, imported.fingerprint)


def _runtime_files() -> dict[str, str]:
    """The device runtime and the simulation's own sources, copied into every build so that it stands alone."""
    root = ops_path()
    folders = {"include": "include", "src": "src", "sim": "sim"}
    return {
        f"{target}/{path.name}": path.read_text(encoding="utf-8")
        for source, target in folders.items()
        for path in sorted((root / source).iterdir())
        if path.is_file()
    }
