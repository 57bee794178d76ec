# SPDX-License-Identifier: Apache-2.0
"""From a Keras model and a plan to a training program: where Keras layers meet the passes."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import tvm

from tt_tflm.errors import InputError, UnsupportedLayerError, refuse_for
from tt_tflm.frontend.graph import flatten
from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.names import WeightOp, name_layers
from tt_tflm.frontend.quiet import silence
from tt_tflm.frontend.tflite_import import to_relax
from tt_tflm.frontend.trace import identifier
from tt_tflm.losses import LOSSES, Loss
from tt_tflm.optimizers import Optimizer
from tt_tflm.plan.cost import Cost, cost_of_training
from tt_tflm.plan.update_plan import LayerPlan
from tt_tflm.program.emitted import BoardChoice
from tt_tflm.program.layout.int8_layer import Int8Layer
from tt_tflm.program.layout.row_pool import RowPool, lay_out
from tt_tflm.program.layout.session import SESSION_BYTES, tables_bytes
from tvm_passes.choice import Trained
from tvm_passes.imported_graph import UnsupportedGraphError
from tvm_passes.kernel import row_length, steps_of
from tvm_passes.macs import nominal
from tvm_passes.ops import WEIGHTED
from tvm_passes.pipeline import canonical, planned_functions, training_program
from tvm_passes.plan_arena import PlannedFunction
from tvm_passes.sparse_gradient import layer_of, unreached_layers
from tvm_passes.specs import LossSpec, OptimizerSpec

if TYPE_CHECKING:
    import keras

Report = Callable[[str], None]


@dataclass(frozen=True)
class ImportedModel:
    """A Keras model after the front end.

    Args:
        name: of the Keras model.
        module: canonical (``tvm_passes.canonicalize``), function ``predict``.
        layers: in the order of the parameters ``rows_<n>``, under their Keras names.
        rows: base rows, float32 (channels, stride), same order.
        input_shape: of one sample.
        output_elements: length of the model's output.
        fingerprint: 16 hexadecimal digits over the graph, the names and the weights, all float32.
        int8_layers: with an int8 forward pass the codes of every layer, same order; the rows are the numbers behind
            them. Empty for float32.
    """

    name: str
    module: tvm.IRModule
    layers: tuple[Layer, ...]
    rows: tuple[np.ndarray, ...]
    input_shape: tuple[int, ...]
    output_elements: int
    fingerprint: str
    int8_layers: tuple[Int8Layer, ...] = ()

    @property
    def precision(self) -> str:
        """``float32`` or ``int8``."""
        return "int8" if self.int8_layers else "float32"

    @property
    def weight_bytes(self) -> int:
        """Of the base weights in flash."""
        return sum(layer.bytes for layer in self.int8_layers) or sum(rows.nbytes for rows in self.rows)

    def int8_row_bytes(self, layer: int) -> int:
        """Of the int8 row that lies beside a trained row of a layer; 0 for float32."""
        return self.int8_layers[layer].rows.shape[1] if self.int8_layers else 0

    def index(self, layer: str) -> int:
        """The number of a layer."""
        return next(i for i, entry in enumerate(self.layers) if entry.name == layer)

    def trained(self, plan: Mapping[str, LayerPlan]) -> dict[int, Trained]:
        """The plan as the passes take it."""
        return {
            self.index(name): Trained(
                len(choice.channels), choice.bias and self.layers[self.index(name)].bias, choice.weights
            )
            for name, choice in plan.items()
        }

    def cost(self, plan: Mapping[str, LayerPlan], loss: Loss, optimizer: Optimizer) -> Cost:
        """What training that plan costs.

        Raises:
            UnsupportedLayerError: an operation behind what is trained passes no gradient.
        """
        spec = loss_spec(self, loss)
        try:
            return cost_of_training(self.module, spec, self.trained(plan), optimizer.spec())
        except UnsupportedGraphError as error:
            raise UnsupportedLayerError(f"model '{self.name}': {error}; register it with a gradient") from None


def _obstacle(model: keras.Model, line: str) -> str:
    """A line of the canonicaliser's error, with the layer as Keras names it."""
    found = re.fullmatch(r"at (\w+): (.*)", line)
    node = next((n for n in flatten(model).nodes if found and identifier(n.name) == found[1]), None)
    if found is None or node is None:
        return f"model '{model.name}': {line}"
    return f"layer '{node.name}' ({type(node.layer).__name__}): {found[2]}; compute it otherwise, or outside the model"


def import_model(model: keras.Model, report: Report = lambda _name: None) -> ImportedModel:
    """Run the front end.

    Args:
        model: accepted by ``frontend.keras_model.check_model``.
        report: called with the name of every stage before it runs.

    Raises:
        InputError, UnsupportedLayerError: the model cannot be converted; the message names the layer.
    """
    report("Keras to Relax")
    imported = to_relax(model)
    report("canonicalise")
    try:
        with silence():
            module = canonical(imported)
    except UnsupportedGraphError as error:
        refuse_for(model.name, [_obstacle(model, line) for line in str(error).splitlines()])
        raise
    function = module["predict"]
    rows = [
        np.from_dlpack(tensor).reshape(-1, int(stride))  # not copied: the module keeps them too
        for tensor, stride in zip(function.attrs["params"], function.attrs["strides"], strict=True)
    ]
    steps, (output,) = steps_of(module, "predict")
    if not rows:
        raise UnsupportedLayerError(f"model '{model.name}': expected at least one layer with weights, received none")
    weighted = [step for step in steps if step.kernel.op in WEIGHTED]
    # Layers are numbered by their first use, so this is their order too.
    lengths = {layer_of(step): row_length(step.kernel) for step in weighted}
    forward_macs: Counter[int | None] = Counter()
    for step in weighted:
        forward_macs[layer_of(step)] += nominal(step.kernel)
    kinds = [str(kind) for kind in function.attrs["kinds"]]
    ops = [WeightOp(kind, r[:, : n + 1]) for kind, r, n in zip(kinds, rows, lengths.values(), strict=True)]
    # A layer works as often as it is used.
    layers = [replace(layer, forward_macs=forward_macs[i]) for i, layer in enumerate(name_layers(model, ops))]
    for number in unreached_layers(module):
        raise UnsupportedLayerError(
            f"layer '{layers[number].name}': expected an output that depends smoothly on it, received rounding or "
            "conditions on every way between, which pass no gradient; compute it outside the model, or replace them"
        )
    digest = hashlib.sha256(str([(s.kernel.op, sorted(s.kernel.attrs.items())) for s in steps]).encode())
    if len(weighted) > len(layers):
        digest.update(str([layer_of(step) for step in weighted]).encode())
    for layer, weights in zip(layers, rows, strict=True):
        digest.update(layer.name.encode())
        digest.update(weights.tobytes())
    return ImportedModel(
        model.name,
        module,
        tuple(layers),
        tuple(rows),
        flatten(model).input_shape,
        int(output.ty.shape[0]),
        digest.hexdigest()[:16],
    )


def loss_spec(model: ImportedModel, loss: Loss) -> LossSpec:
    """The loss as the passes know it.

    Raises:
        InputError: the model's output does not fit the loss.
    """
    if not isinstance(loss, Loss):
        names = ", ".join(f"{cls.__name__}(...)" for cls in LOSSES.values())
        raise InputError(f"expected one of {names}, received {loss!r}")
    steps, (output,) = steps_of(model.module, "predict")
    softmax = any(step.kernel.op == "softmax" and step.var.same_as(output) for step in steps)
    loss.check(model.name, model.output_elements, softmax)
    return loss.spec(model.output_elements)


@dataclass(frozen=True)
class Program:
    """A planned training program and how its persistent memory is laid out.

    Args:
        module: with ``predict`` and ``train_step``; see ``tvm_passes.pipeline``.
        plan: what is trained, layer name -> channels; None where the board chooses.
        row_pool: layout of what persists between calls.
        session_bytes: size of the session on a 32-bit core.
        optimizer, loss: as the passes were given them.
        choice: candidates and costs where the board chooses.
    """

    module: tvm.IRModule
    plan: Mapping[str, LayerPlan] | None
    row_pool: RowPool
    session_bytes: int
    optimizer: OptimizerSpec
    loss: LossSpec
    choice: BoardChoice | None = None

    @functools.cached_property
    def functions(self) -> dict[str, PlannedFunction]:
        """The planned functions by name."""
        return planned_functions(self.module)

    @property
    def arena_bytes(self) -> int:
        """What the largest function needs."""
        return max(function.arena_bytes for function in self.functions.values())

    @property
    def ram_bytes(self) -> int:
        """Everything as placed: arena, row pool, session."""
        return self.arena_bytes + self.row_pool.bytes + self.session_bytes


def static_program(
    model: ImportedModel, plan: Mapping[str, LayerPlan], loss: Loss, optimizer: Optimizer, report: Report
) -> Program:
    """The program of a fixed plan."""
    spec, of_loss = optimizer.spec(), loss_spec(model, loss)
    module = training_program(model.module, of_loss, model.trained(plan), spec, report)
    trained = sorted((model.index(name), name) for name in plan)
    floats = {i: (name, len(plan[name].channels) * model.layers[i].stride) for i, name in trained}
    int8 = bool(model.int8_layers)
    shadows = {i: (name, len(plan[name].channels) * model.int8_row_bytes(i)) for i, name in trained if int8}
    tables = tables_of(of_loss, spec, len(plan), int8=int8, dynamic=False)
    embedding = model.output_elements if of_loss.prototypes else None
    row_pool = lay_out(floats, spec.state, of_loss.classes, embedding, shadows, tables)
    return Program(module, plan, row_pool, SESSION_BYTES, spec, of_loss)


def tables_of(loss: LossSpec, optimizer: OptimizerSpec, layers: int, *, int8: bool, dynamic: bool) -> int:
    """Bytes of the session's tables for that many layers."""
    scores = loss.classes if loss.prototypes else 0
    return tables_bytes(layers, optimizer.hyper_elements, scores, int8=int8, dynamic=dynamic)
