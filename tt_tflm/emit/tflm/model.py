# SPDX-License-Identifier: Apache-2.0
"""The TFLM emitter: a planned training program as .tflite files for TensorFlow Lite Micro.

``train.tflite`` does everything that a run may be asked for (``tflm_params.Command``): predict, train, enroll, and in
adaptable builds a backward pass from a given gradient and an update of their own. It holds the forward pass in TFLite's
own operators, trained layers and what lies behind them in custom ops (ops/tflm), and its state in variable tensors that
are inputs and outputs of the model too. Its tensors, in order:

- inputs: ``x``, ``label`` int32 (1,), or float32 (elements,) where labels are vectors, ``command`` int32 (1,), in
  adaptable builds ``seed`` (elements,), the gradient with respect to the embedding for the command ACCUMULATE, then the
  state;
- outputs: ``loss`` (1,), NaN unless trained, ``scores`` (classes,), with the prototype loss ``embedding``, then the
  state;
- state: ``pool`` (rows and what belongs to them), ``control`` int32 (3,), ``rate`` (1,), with the prototype loss
  ``sums`` and ``counts``, where the board chooses ``choice``.

``fisher.tflite``, for builds that choose on the board, adds to Fisher potentials instead: no ``rate``, and at the end
of the state ``potential_<candidate>`` (channels,) for every candidate.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tvm import relax

from tt_tflm.emit.tflm.backward import emit_backward
from tt_tflm.emit.tflm.own_ops import PROTOTYPE_LOSS, has_own_op, loss_id, optimizer_op
from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.program.emitted import EmittedModel
from tt_tflm.tflite.forward import ForwardEmitter, bound_fields
from tt_tflm.tflite.graph import TfliteGraph, Value
from tt_tflm.tflite.op_params import CONTROL_WORDS, FISHER, FROZEN, NO_BLOCK, TRAIN, Flag, Op, pack
from tvm_passes.guards import ALWAYS
from tvm_passes.kernel import LOSS, UPDATE, Kernel, row_length
from tvm_passes.kernels.geometry import Window
from tvm_passes.pipeline import planned_functions
from tvm_passes.plan_arena import Place, PlannedCall
from tvm_passes.specs import VECTOR

_FLOAT = 4
_TRIPLE = 3
_FORWARD_WEIGHTED = ("conv2d", "depthwise_conv2d")
_GRAD_WEIGHTS = ("conv2d_grad_weights", "depthwise_conv2d_grad_weights")
_GRAD_INPUT = ("conv2d_grad_input", "depthwise_conv2d_grad_input")


@dataclass(frozen=True)
class TfliteModel:
    """A file and the names of its inputs and outputs, in order."""

    content: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def emit_tflm(model: EmittedModel) -> dict[str, TfliteModel]:
    """The models: name of the file -> model."""
    models = {TRAIN: _Emitter(model).training()}
    if model.choice is not None:
        models[FISHER] = _Emitter(model).fisher()
    return models


def candidates_of(model: EmittedModel) -> tuple[int, ...]:
    """Numbers of the layers whose rows may be trained, ascending."""
    if model.choice is not None:
        return tuple(model.choice.candidates)
    return tuple(i for i, layer in enumerate(model.layers) if layer.channels)


def constant_choice(model: EmittedModel) -> tuple[np.ndarray, int]:
    """The tensor ``choice`` of a fixed plan, and the floats that its rows and their state take."""
    copies = 1 + len(model.optimizer.state)
    candidates = candidates_of(model)
    triples, lists, offset = [], [], 0
    place = _TRIPLE * len(candidates)
    for i in candidates:
        channels = model.layers[i].channels
        triples += [len(channels), offset, place]
        lists += channels
        place += len(channels)
        offset += copies * len(channels) * model.layers[i].rows.shape[1]
    return np.array(triples + lists, np.int32), offset


class _Emitter:
    def __init__(self, model: EmittedModel) -> None:
        self._model = model
        self._functions = planned_functions(model.module)
        self._candidates = candidates_of(model)
        self._copies = 1 + len(model.optimizer.state)
        self._graph = graph = TfliteGraph(placed=True)
        self._forward = ForwardEmitter(graph, [layer.rows for layer in model.layers], plain=False)
        self._values: dict[int, Value] = {}
        self._x = graph.tensor("x", _image(model.input_shape))
        self._of_label = Flag.VECTOR if model.loss.label == VECTOR else Flag.NONE
        self._label = graph.tensor("label", (model.loss.label_elements,), "float32" if self._of_label else "int32")
        self._command = graph.tensor("command", (1,), "int32")
        self._active, self._updating = (graph.tensor(name, (2,), "int32") for name in ("active", "updating"))
        self._seed: Value | None = None
        self._state: dict[str, Value] = {}
        self._loss = graph.tensor("loss", (1,))
        self._scores = graph.tensor("scores", (1, model.classes))
        self._embedding: Value | None = None

    def training(self) -> TfliteModel:
        """Prediction, enrolment and training."""
        if self._model.adaptable:
            self._seed = self._graph.tensor("seed", (self._embedding_elements(),))
        self._declare_state()
        self._state["rate"] = self._graph.variable("rate", (1,))
        self._start(Flag.NONE if self._seed is None else Flag.SEED)
        self._calls(self._functions["train_step"].calls)
        if "apply_update" in self._functions:
            self._calls(self._functions["apply_update"].calls)
        finish = [self._command, self._state["control"]]
        self._graph.custom(
            Op.FINISH.tflite_name, finish, [], pack(Op.FINISH, batch_size=self._model.optimizer.batch_size)
        )
        return self._finished()

    def fisher(self) -> TfliteModel:
        """Prediction, enrolment and Fisher potentials."""
        self._declare_state()
        for i in self._candidates:
            name = f"potential_{self._candidates.index(i)}"
            self._state[name] = self._graph.variable(name, (len(self._model.layers[i].rows),))
        self._start(Flag.FISHER)
        self._calls(self._functions["fisher"].calls)
        return self._finished()

    # -------------------------------------------------------------- model

    def _declare_state(self) -> None:
        model, graph, state = self._model, self._graph, self._state
        if model.choice is None:
            words, floats = constant_choice(model)
            self._choice = graph.constant("choice", words)
        else:
            floats = max(model.choice.rows_bytes // _FLOAT, 2)
            words = _TRIPLE * len(self._candidates) + sum(len(model.layers[i].rows) for i in self._candidates)
            self._choice = state["choice"] = graph.variable("choice", (words,), "int32")
        state["pool"] = graph.variable("pool", (floats,))
        state["control"] = graph.variable("control", (CONTROL_WORDS,), "int32")
        if model.temperature is not None:
            state["sums"] = graph.variable("sums", (model.classes, self._embedding_elements()))
            state["counts"] = graph.variable("counts", (model.classes,), "int32")

    def _embedding_elements(self) -> int:
        output = self._functions["predict"].outputs[0]
        return output.elements if isinstance(output, Place) else self._x.elements

    def _start(self, flags: Flag) -> None:
        bases = [self._base(i) for i in self._candidates]
        inputs = [self._label, self._command, self._choice, self._state["control"], self._state["pool"], *bases]
        params = pack(
            Op.START, flags | self._of_label, candidates=len(bases), copies=self._copies, classes=self._model.classes,
            batch_size=self._model.optimizer.batch_size,
        )  # fmt: skip
        self._graph.custom(Op.START.tflite_name, inputs, [self._active, self._updating], params)

    def _finished(self) -> TfliteModel:
        state = self._state
        inputs = {"x": self._x, "label": self._label, "command": self._command}
        if self._seed is not None:
            inputs["seed"] = self._seed
        inputs |= state
        outputs = {"loss": self._loss, "scores": self._scores}
        if self._embedding is not None:
            outputs["embedding"] = self._embedding
        outputs |= state
        content = self._graph.finish(list(inputs.values()), list(outputs.values()), self._model.fingerprint)
        return TfliteModel(content, tuple(inputs), tuple(outputs))

    # -------------------------------------------------------------- calls

    def _calls(self, calls: tuple[PlannedCall, ...]) -> None:
        loss_at = next((i for i, call in enumerate(calls) if call.kernel.op == LOSS), -1)
        for index, call in enumerate(calls):
            op = call.kernel.op
            if op.startswith("conv2d_transpose"):
                raise self._refused_transposed(self._layer(call))
            if op == LOSS:
                self._emit_loss(call)
            elif op in _FORWARD_WEIGHTED:
                self._emit_forward(call)
            elif op in _GRAD_WEIGHTS:
                self._emit_grad_weights(call)
            elif op in _GRAD_INPUT:
                self._emit_grad_input(call)
            elif op == UPDATE or str(call.operands[-1]).startswith("pool_"):
                self._emit_update(call)
            elif index < loss_at and op != "clip_mask":
                self._keep(call, self._forward.emit(call.kernel, self._operands(call), self._new(call)))
            else:
                place = call.operands[-1]
                offset = place.offset if isinstance(place, Place) else None
                new = functools.partial(self._out, call)
                operands = self._operands(call)
                value = emit_backward(self._graph, call.kernel, operands, self._active, _guard(call), new, offset)
                self._keep(call, value)

    def _operands(self, call: PlannedCall) -> list[Value]:
        """What the call reads or works on in place."""
        pairs = zip(call.operands, call.kernel.params, strict=True)
        return [self._operand(operand) for operand, param in pairs if param.role != "out"]

    def _operand(self, operand: str | Place | relax.Constant) -> Value:
        if isinstance(operand, Place):
            return self._values[operand.offset]
        if not isinstance(operand, str):
            return self._graph.constant("constant", operand.value.numpy())
        if operand == "x":
            return self._x
        kind, _, index = operand.rpartition("_")
        return self._state[f"{kind}_{self._candidates.index(int(index))}"]

    def _new(self, call: PlannedCall):
        place = call.operands[-1]
        return lambda shape: self._graph.tensor(call.name, shape, offset=place.offset)

    def _out(self, call: PlannedCall) -> Value:
        place = call.operands[-1]
        dtype = "float32" if place.dtype == "float32" else "int32"
        return self._graph.tensor(call.name, (place.elements,), dtype, place.offset)

    def _keep(self, call: PlannedCall, value: Value) -> None:
        place = call.operands[-1]
        if isinstance(place, Place):
            self._values[place.offset] = value

    def _layer(self, call: PlannedCall) -> int:
        rows = next(o for o in call.operands if isinstance(o, str) and o.startswith("rows_"))
        return int(rows.removeprefix("rows_"))

    def _base(self, layer: int) -> Value:
        return self._graph.constant(f"layer_{layer}/rows", self._model.layers[layer].rows)

    def _refused(self, layer: int, expected: str, received: object) -> UnsupportedLayerError:
        return UnsupportedLayerError(
            f"layer '{self._model.layers[layer].name}': expected {expected} where TFLM's ops train or pass a gradient, "
            f"received {received}: leave it out of the plan and of the tail, or convert with backend 'c'"
        )

    def _refused_transposed(self, layer: int) -> UnsupportedLayerError:
        return UnsupportedLayerError(
            f"layer '{self._model.layers[layer].name}': expected a convolution that TFLM's ops know, received a "
            "transposed one: convert with backend 'c'"
        )

    def _weight_fields(self, kernel: Kernel, layer: int) -> tuple[list[Value], dict[str, object]]:
        """The inputs that hold the rows of a layer, and what the parameters say of them."""
        w = Window.of(kernel.attrs)
        if kernel.op.startswith("depthwise") and w.O != w.C:
            raise self._refused(layer, "depth_multiplier 1", w.O // w.C)
        if not w.compact():
            received = f"dilation {(w.dh, w.dw)}" if w.groups == 1 else f"{w.groups} groups"
            raise self._refused(layer, "no dilation and one group", received)
        window = w.attrs()
        if layer not in self._candidates:
            fields = {"window": window, "stride": row_length(kernel), "candidate": FROZEN, "copies": 0}
            return [self._forward.filter(layer, kernel)], fields
        fields = {
            "window": window,
            "stride": self._model.layers[layer].rows.shape[1],
            "candidate": self._candidates.index(layer),
            "copies": self._copies,
        }
        return [self._base(layer), self._state["pool"], self._choice], fields

    def _emit_forward(self, call: PlannedCall) -> None:
        layer, kernel = self._layer(call), call.kernel
        x = self._operand(call.operands[0])
        if layer not in self._candidates:
            self._keep(call, self._forward.weighted(kernel, layer, x, self._new(call)))
            return
        op, w = Op[kernel.op.upper()], Window.of(kernel.attrs)
        rows, fields = self._weight_fields(kernel, layer)
        flags, bounds = bound_fields(kernel)
        y = self._new(call)((1, w.OH, w.OW, w.O))
        self._graph.custom(op.tflite_name, [x, *rows], [y], pack(op, flags, **fields, **bounds))
        self._keep(call, y)

    def _emit_grad_input(self, call: PlannedCall) -> None:
        layer, kernel = self._layer(call), call.kernel
        op, (rows, fields) = Op[kernel.op.upper()], self._weight_fields(kernel, layer)
        inputs, fields = [self._operand(call.operands[0]), *rows], {**fields, "low": 0.0, "high": 0.0}
        if kernel.params[-1].role == "inout":
            dx = self._operand(call.operands[-1])
            params = pack(op, Flag.ACCUMULATE, _guard(call), **fields)
            self._graph.custom(op.tflite_name, [*inputs, dx, self._active], [], params)
        else:
            dx = self._out(call)
            self._graph.custom(
                op.tflite_name, [*inputs, self._active], [dx], pack(op, Flag.NONE, _guard(call), **fields)
            )
        self._keep(call, dx)

    def _emit_grad_weights(self, call: PlannedCall) -> None:
        layer, kernel, optimizer = self._layer(call), call.kernel, self._model.optimizer
        op, (_, fields) = Op[kernel.op.upper()], self._weight_fields(kernel, layer)
        flags = (Flag.BIAS if kernel["bias"] else Flag.NONE) | (Flag.WEIGHTS if kernel["weights"] else Flag.NONE)
        inputs = [*(self._operand(o) for o in call.operands[:2]), self._state["pool"], self._choice]
        place, outputs, block, scale = call.operands[-1], [], NO_BLOCK, 1.0
        fresh = kernel.params[-1].role == "out"
        if fresh:
            outputs.append(self._out(call))
            self._keep(call, outputs[0])
        elif isinstance(place, Place):
            # TFLM's op adds to no tensor: another use of a layer writes one of its own, which is added afterwards.
            outputs.append(self._graph.tensor(call.name, (place.elements,)))
        elif optimizer.fused:
            flags |= Flag.ACCUMULATE | Flag.RATE
            inputs.append(self._state["rate"])
            block, scale = 0, self._model.learning_rate
        else:
            flags |= Flag.ACCUMULATE
            block, scale = self._copies - 1, 1.0 / optimizer.batch_size
        params = pack(op, flags, _guard(call), **fields, block=block, scale=scale)
        self._graph.custom(op.tflite_name, [*inputs, self._active], outputs, params)
        if outputs and not fresh:
            more = [*outputs, self._operand(place), self._active]
            self._graph.custom(Op.ACCUMULATE.tflite_name, more, [], pack(Op.ACCUMULATE, Flag.NONE, _guard(call)))

    def _emit_update(self, call: PlannedCall) -> None:
        optimizer, gradient = self._model.optimizer, call.operands[0]
        # A gradient that is added to rows has been summed over the uses of a layer where plain SGD is fused.
        fused = call.kernel.op != UPDATE
        layer = int(str(call.operands[-1]).removeprefix("pool_"))
        op = Op.SGD if fused else optimizer_op(optimizer.kind)
        rows = self._model.layers[layer].rows
        constants = {name: optimizer.constants.get(name, 0.0) for name in ("momentum", "beta_1", "beta_2", "epsilon")}
        own = isinstance(gradient, Place)
        state = [self._state["pool"], self._choice, self._state["rate"], self._state["control"], self._updating]
        params = pack(
            op, Flag.NONE, _guard(call), channels=rows.shape[0], stride=rows.shape[1], copies=self._copies,
            candidate=self._candidates.index(layer), block=NO_BLOCK if own else self._copies - 1,
            learning_rate=self._model.learning_rate, **constants,
        )  # fmt: skip
        self._graph.custom(op.tflite_name, [*([self._operand(gradient)] if own else []), *state], [], params)

    # -------------------------------------------------------------- loss

    def _emit_loss(self, call: PlannedCall) -> None:
        value, place, loss = self._operand(call.operands[0]), call.operands[-1], self._model.loss
        if loss.prototypes:
            self._emit_prototype_loss(call, value)
            return
        self._emit_scores(value)
        if has_own_op(loss):
            classes, batch = self._model.classes, self._model.optimizer.batch_size
            fields = {"classes": classes, "elements": classes, "batch_size": batch, "temperature": 0.0}
            op, flags = Op.SOFTMAX_CROSS_ENTROPY, Flag.NONE
        else:
            fields = {"elements": value.elements, "label_elements": loss.label_elements, "loss": loss_id(loss)}
            op, flags = Op.LOSS, self._of_label
        in_place = value.offset == place.offset
        g = value if in_place else self._out(call)
        params = pack(op, flags | Flag.IN_PLACE if in_place else flags, **fields)
        outputs = [self._loss] if in_place else [self._loss, g]
        self._graph.custom(op.tflite_name, [value, self._label, self._command], outputs, params)
        self._keep(call, g)

    def _emit_prototype_loss(self, call: PlannedCall, value: Value) -> None:
        model, graph = self._model, self._graph
        if not has_own_op(model.loss):
            raise InputError(
                f"loss '{model.loss.kind}': expected one of prototypes that calls {PROTOTYPE_LOSS} with backend "
                f"'tflm', received {model.loss.function}: use backend 'c'"
            )
        fields = {
            "classes": model.classes, "elements": value.elements, "batch_size": model.optimizer.batch_size,
            "temperature": model.temperature,
        }  # fmt: skip
        self._embedding = self._copied(value, graph.tensor("embedding", (1, value.elements)))
        inputs = [value, self._label, self._command, self._state["sums"], self._state["counts"]]
        g, flags = self._out(call), Flag.NONE
        if self._seed is not None:
            flags, inputs = Flag.SEED, [*inputs, self._seed]
        op = Op.PROTOTYPE_LOSS
        graph.custom(op.tflite_name, inputs, [self._loss, self._scores, g], pack(op, flags, **fields))
        self._keep(call, g)

    def _emit_scores(self, logits: Value) -> None:
        """Scores as ``predict`` gives them; the loss may write over what it is given."""
        last = self._functions["predict"].calls[-1].kernel
        if last.op == "softmax" and self._model.loss.of_logits:
            self._graph.builtin(
                "SOFTMAX", [self._graph.shaped(logits, self._scores.shape)], self._scores, "SoftmaxOptions", Beta=1.0
            )
        else:
            self._copied(logits, self._scores)

    def _copied(self, value: Value, target: Value) -> Value:
        shape = self._graph.constant("shape", np.array(target.shape, np.int32))
        return self._graph.builtin("RESHAPE", [value, shape], target)


def _guard(call: PlannedCall) -> int:
    return -1 if call.guard == ALWAYS else call.guard


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """With the batch; a signal is an image of one row."""
    return (1, 1, *shape) if len(shape) == 2 else (1, *shape)


def layout(models: Mapping[str, TfliteModel]) -> dict[str, dict[str, list[str]]]:
    """Names of inputs and outputs of every model, for who runs them."""
    return {name: {"inputs": list(m.inputs), "outputs": list(m.outputs)} for name, m in models.items()}
