# SPDX-License-Identifier: Apache-2.0
"""Planned functions as C: which kernel runs on which part of the arena."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from tvm import relax

from tt_tflm.emit.descriptor import Function
from tt_tflm.program.emitted import EmittedModel
from tvm_passes.guards import ALWAYS
from tvm_passes.kernel import LOSS
from tvm_passes.pipeline import planned_functions
from tvm_passes.plan_arena import Place, PlannedCall
from tvm_passes.specs import CLASS

C_TYPES = {"float32": "float", "uint32": "uint32_t", "int32": "int32_t", "int8": "int8_t"}
_SESSION = {
    "loss": "&session->loss",
    "scale": "&session->scale",
    "hyper": "session->hyper",
    "prototypes": "&session->prototypes",
    "scores": "session->scores",
}
_SHARED = "forward"
_WORTH_A_FUNCTION = 4
_HEAD = "void {}(tt_session_t *session, const float *x)"


class Passes:
    """The passes of a model, as static functions of its source."""

    def __init__(self, model: EmittedModel) -> None:
        self._model = model
        self._planned = planned_functions(model.module)
        self._trained = model.trained
        self._constants: dict[bytes, tuple[str, np.ndarray]] = {}
        label = "&session->label" if model.loss.label == CLASS else "session->target"
        self._session = _SESSION | {"label": label}
        self._functions = self._made()

    @property
    def arena_bytes(self) -> int:
        """What the largest function needs."""
        return max(function.arena_bytes for function in self._planned.values())

    @property
    def constants(self) -> list[tuple[str, np.ndarray]]:
        """Operands that are constants, by name."""
        return list(self._constants.values())

    @property
    def frozen_layers(self) -> list[int]:
        """Layers that are not trained and whose float32 rows are read."""
        layers = range(len(self._model.layers))
        return [i for i in layers if i not in self._trained and self._reads(f"rows_{i}")]

    @property
    def int8_layers(self) -> list[int]:
        """Layers whose int8 rows are read or start trained ones."""
        layers = range(len(self._model.layers)) if self._model.int8 else ()
        return [i for i in layers if i in self._trained or self._reads(f"int8_rows_{i}")]

    def functions(self) -> list[Function]:
        """The definitions."""
        return list(self._functions.values())

    def calls(self) -> dict[str, str]:
        """Fields of ``tt_calls_t``."""
        return {name: name for name in self._functions if name != _SHARED}

    def _reads(self, name: str) -> bool:
        return any(name in call.operands for f in self._planned.values() for call in f.calls)

    def _made(self) -> dict[str, Function]:
        predict, train = self._planned["predict"], self._planned["train_step"]
        cut = _loss_at(train.calls)
        output = self._operand(predict.outputs[0], "float32", const=True)
        gradient = self._operand(train.calls[cut].operands[-1], "float32", const=False)
        forward = {"predict": self._calls(predict.calls), "train_forward": self._calls(train.calls[: cut + 1])}
        backward = {"train_backward": self._calls(train.calls[cut + 1 :])}
        if "fisher" in self._planned:
            calls = self._planned["fisher"].calls
            at = _loss_at(calls)
            forward["fisher_forward"] = self._calls(calls[: at + 1])
            backward["fisher_backward"] = self._calls(calls[at + 1 :])
        functions, forward = self._shared(forward)
        forward["predict"].append(f"return {output};")
        for name, lines in {**forward, **backward}.items():
            head = "const float *predict(tt_session_t *session, const float *x)"
            functions[name] = Function(head if name == "predict" else _HEAD.format(name), _body(lines))
        functions["loss_gradient"] = Function("float *loss_gradient(tt_session_t *session)", [f"return {gradient};"])
        if "apply_update" in self._planned:
            lines = self._calls(self._planned["apply_update"].calls)
            functions["apply_update"] = Function("void apply_update(tt_session_t *session)", lines)
        return functions

    def _shared(self, passes: dict[str, list[str]]) -> tuple[dict[str, Function], dict[str, list[str]]]:
        """What the forward passes begin with alike, as a function that they call."""
        length = 0
        for lines in zip(*passes.values(), strict=False):
            if len(set(lines)) > 1:
                break
            length += 1
        if length < _WORTH_A_FUNCTION:
            return {}, passes
        common = next(iter(passes.values()))[:length]
        call = f"{_SHARED}(session, x);"
        functions = {_SHARED: Function(_HEAD.format(_SHARED), _body(common))}
        return functions, {name: [call, *lines[length:]] for name, lines in passes.items()}

    def _calls(self, calls: Sequence[PlannedCall]) -> list[str]:
        lines = [line for call in calls for line in (self._call(call), "TT_PULSE;")]
        return lines[:-1]

    def _call(self, call: PlannedCall) -> str:
        operands = [
            self._operand(operand, param.dtype, const=param.role == "in")
            for operand, param in zip(call.operands, call.kernel.params, strict=True)
        ]
        text = f"{self._model.symbol}_{call.name}({', '.join(operands)});"
        if call.guard in (ALWAYS, (1 << len(self._trained)) - 1) or self._model.choice is None:
            return text
        return f"if ((session->chosen & {call.guard:#x}u) != 0u) {text}"

    def _operand(self, operand: str | Place | relax.Constant, dtype: str, *, const: bool) -> str:
        qualifier = "const " if const else ""
        if isinstance(operand, Place):
            return f"TT_ARENA({qualifier}{C_TYPES[operand.dtype]}, {operand.offset}u)"
        if not isinstance(operand, str):
            return self._constant(operand.value.numpy())
        if operand == "x":
            return "x"
        if operand in self._session:
            return self._session[operand]
        kind, _, index = operand.rpartition("_")
        layer = int(index)
        if kind in ("rows", "int8_rows"):
            if layer in self._trained:
                return f"&session->{kind}[{self._trained.index(layer)}]"
            return f"&{kind}_{layer}"
        if self._model.choice is None:
            return f"TT_POOL({qualifier}{C_TYPES[dtype]}, {self._model.row_pool.offset(kind, layer)}u)"
        if kind == "potential":
            before = self._trained[: self._trained.index(layer)]
            floats = sum(len(self._model.layers[i].rows) for i in before)
            offset = self._model.row_pool.offset("potentials", 0) + 4 * floats
            return f"TT_POOL({qualifier}{C_TYPES[dtype]}, {offset}u)"
        part = ("pool", *self._model.optimizer.state).index(kind)
        return f"TT_PART({self._trained.index(layer)}, {part}u)"

    def _constant(self, array: np.ndarray) -> str:
        name = f"{self._model.symbol}_constant_{len(self._constants)}"
        return self._constants.setdefault(array.tobytes(), (name, array))[0]


def _body(lines: Sequence[str]) -> list[str]:
    """Lines of a pass, and of what it has no use for."""
    text = "\n".join(lines)
    unused = [name for name, used in (("session", r"\bsession\b|TT_"), ("x", r"\bx\b")) if not re.search(used, text)]
    return [*(f"(void){name};" for name in unused), *lines]


def _loss_at(calls: Sequence[PlannedCall]) -> int:
    return next(i for i, call in enumerate(calls) if call.kernel.op == LOSS)
