# SPDX-License-Identifier: Apache-2.0
"""The C emitter: a planned training program as C99 sources that link anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2
import numpy as np
import tvm
from tvm import relax

from tt_tflm.emit.c.constant_arrays import ConstantArray, float_array, int8_arrays
from tt_tflm.program.layout.row_pool import RowPool
from tt_tflm.program.layout.session import state_bytes
from tvm_passes.guards import ALWAYS
from tvm_passes.kernels.tiling import Tiling
from tvm_passes.ops import LOSSES
from tvm_passes.pipeline import KERNEL_PREFIX, lower_to_c, planned_functions
from tvm_passes.plan_arena import Place, PlannedCall
from tvm_passes.update_in_place import OptimizerSpec

if TYPE_CHECKING:
    from tt_tflm.plan.cost_table import CostTable
    from tt_tflm.program.layout.int8_layer import Int8Layer

C_TYPES = {"float32": "float", "uint32": "uint32_t", "int32": "int32_t", "int8": "int8_t"}
KERNEL_SOURCE = "src/tt_kernels.c"
_SESSION_FIELDS = {
    "label": "label",
    "loss": "loss",
    "scale": "scale",
    "rate": "learning_rate",
    "adam": "adam",
    "prototypes": "prototypes",
}


@dataclass(frozen=True)
class EmittedLayer:
    """A layer as the emitter needs it: name, rows float32 (channels, stride), chosen channels (empty when frozen), and
    its codes where the forward pass is int8."""

    name: str
    rows: np.ndarray
    channels: tuple[int, ...] = ()
    int8: Int8Layer | None = None


@dataclass(frozen=True)
class BoardChoice:
    """What a build needs that chooses its plan on the board.

    Args:
        candidates: numbers of the layers that may be trained, in the order of the cost table.
        table: cost of any plan over them; its ``fixed_ram_bytes`` is everything but ``rows_bytes``.
        rows_bytes: room for trained rows, gradients and moments.
        share: of a layer's channels that selection aims at first.
    """

    candidates: tuple[int, ...]
    table: CostTable
    rows_bytes: int
    share: float


@dataclass(frozen=True)
class EmittedModel:
    """What the C sources are made from.

    Args:
        name: for comments.
        fingerprint: identifies architecture and base weights.
        module: the planned module (``tvm_passes.pipeline.training_program``).
        layers: in the order of the module's ``rows_<n>`` parameters.
        input_shape: of one sample, without the batch.
        classes: length of the scores.
        temperature: of the prototype loss; None for the softmax loss.
        optimizer: as given to the passes.
        learning_rate: of the optimiser.
        row_pool: layout of the persistent memory.
        choice: for builds that choose on the board; None where the plan is fixed.
        input_scaling: (scale, shift) from a pixel of 0..255 to the model's input.
        limits: what the board chooses under: training memory and RAM in bytes, backward MACs; None for no limit.
    """

    name: str
    fingerprint: str
    module: tvm.IRModule
    layers: Sequence[EmittedLayer]
    input_shape: tuple[int, ...]
    classes: int
    temperature: float | None
    optimizer: OptimizerSpec
    learning_rate: float
    row_pool: RowPool
    choice: BoardChoice | None = None
    input_scaling: tuple[float, float] = (1 / 127.5, -1.0)
    limits: tuple[int | None, int | None, int | None] = (None, None, None)

    @property
    def int8(self) -> bool:
        """Whether the forward pass is integer arithmetic."""
        return any(layer.int8 is not None for layer in self.layers)

    @property
    def adaptable(self) -> bool:
        """Whether the build has ``tt_adapt``: prototypes, and gradients that can be accumulated over an episode."""
        return self.temperature is not None and self.optimizer.accumulates


def emit_c(model: EmittedModel, tiling: Tiling) -> dict[str, str]:
    """The model's own sources and headers: path below the build folder -> text."""
    return _Emitter(model).files(tiling)


def render_model(model: EmittedModel, template: str, row_pool: RowPool, **more: object) -> str:
    """A source of the model, for an emitter with a row pool of its own: its regions are those that the template names."""
    return _Emitter(model, row_pool).render(template, interpreted=True, **more)


def largest_state_bytes(model: EmittedModel) -> int:
    """Bytes of the largest state that the build saves: the format is that of ops/include/tt_state.h."""
    if model.choice is None:
        layers = [layer for layer in model.layers if layer.channels]
        rows = sum(len(layer.channels) * layer.rows.shape[1] for layer in layers)
        channels = sum(len(layer.channels) for layer in layers)
    else:
        layers = [model.layers[i] for i in model.choice.candidates]
        rows = model.choice.rows_bytes // (1 + len(model.optimizer.state)) // 4
        channels = sum(len(layer.rows) for layer in layers)
    prototypes = sum(r.bytes for r in model.row_pool.regions if r.kind == "prototypes")
    return state_bytes(len(layers), channels, rows, prototypes)


def emit_cmake(model: str, sources: Sequence[str], kernel_flags: Sequence[str]) -> str:
    """A CMake project for those sources."""
    return (
        _environment()
        .get_template("CMakeLists.txt.j2")
        .render(model=_comment(model), sources=sources, kernel_sources=[KERNEL_SOURCE], kernel_flags=kernel_flags)
    )


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("tt_tflm.emit"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


class _Emitter:
    def __init__(self, model: EmittedModel, row_pool: RowPool | None = None) -> None:
        self._model = model
        self._row_pool = model.row_pool if row_pool is None else row_pool
        self._functions = planned_functions(model.module)
        fixed = [i for i, layer in enumerate(model.layers) if layer.channels]
        self._trained = list(model.choice.candidates) if model.choice else fixed
        self._constants: list[tuple[str, np.ndarray]] = []
        self._constant_names: dict[bytes, str] = {}

    def files(self, tiling: Tiling) -> dict[str, str]:
        kernels = lower_to_c(self._model.module, tiling)
        main, header = self._main(), self.render("tt_model.h.j2", interpreted=False)
        licence = "/* SPDX-License-Identifier: Apache-2.0 */\n"
        note = "/* Generated by tt-tflm; do not edit. */\n"
        head = '#include "tt_int8_rows.h"\n' * self._model.int8 + '#include "tt_kernel.h"\n\n'
        guard = "#ifndef TT_{0}_H\n#define TT_{0}_H\n\n{1}\n#endif /* TT_{0}_H */\n"
        integer = ["tt_int8.h", "tt_int8_rows.h"] if self._model.int8 else []
        headers = ["tt_fisher.h", *integer, "tt_kernel.h", "tt_optimizer.h", "tt_prototype.h"]
        includes = "".join(f'#include "{name}"\n' for name in headers) + "\n"
        weights = self._weights()
        declared = "".join(f"extern const {kind} {name}[{size}];\n" for kind, name, size, _ in weights)
        return {
            "include/tt_model.h": header,
            "src/tt_model.c": main,
            "src/tt_kernels.h": licence + note + guard.format("KERNELS", includes + kernels.declarations),
            KERNEL_SOURCE: licence + note + '#include "tt_kernels.h"\n\n#include "tt_loss.h"\n\n' + kernels.definitions,
            "src/tt_weights.h": licence + note + guard.format("WEIGHTS", head + declared),
            "src/tt_weights.c": licence
            + note
            + '#include "tt_weights.h"\n\n'
            + "".join(array.definition() for array in weights),
        }

    def _weights(self) -> list[ConstantArray]:
        """Rows of the layers, scales of int8 channels, and operands of kernels."""
        arrays = []
        for i, layer in enumerate(self._model.layers):
            arrays += [float_array(f"tt_rows_{i}", layer.rows)] if layer.int8 is None else int8_arrays(i, layer.int8)
        return arrays + [float_array(name, array) for name, array in self._constants]

    # -------------------------------------------------------------- main

    def _main(self) -> str:
        predict, train = self._functions["predict"], self._functions["train_step"]
        cut = next(i for i, call in enumerate(train.calls) if call.kernel.op in LOSSES) + 1
        functions = [
            self._function("predict", predict.calls),
            self._function("train_forward", train.calls[:cut]),
            self._function("train_backward", train.calls[cut:]),
        ]
        for name in ("apply_update", "fisher"):
            if name in self._functions:
                functions.append(self._function(name, self._functions[name].calls))
        adam = {k: _c_float(v) for k, v in self._model.optimizer.constants.items()}
        return self.render(
            "tt_model.c.j2",
            interpreted=False,
            functions=functions,
            backward_reads_x=functions[2]["reads_x"],
            output=self._operand(predict.outputs[0], "float32", const=True),
            frozen=[
                {
                    "index": i,
                    "name": _comment(layer.name),
                    "stride": layer.rows.shape[1],
                    "int8_rows": self._int8_rows(i),
                }
                for i, layer in enumerate(self._model.layers)
                if i not in self._trained and (self._reads(f"rows_{i}") or self._reads(f"int8_rows_{i}"))
            ],
            state_regions=[r for r in self._model.row_pool.regions if r.kind in self._model.optimizer.state],
            gradient_place=self._operand(train.calls[cut - 1].operands[-1], "float32", const=False),
            adam=adam,
        )

    def _reads(self, name: str) -> bool:
        return any(name in call.operands for f in self._functions.values() for call in f.calls)

    def _function(self, name: str, calls: Sequence[PlannedCall]) -> dict[str, object]:
        return {
            "name": name,
            "reads_x": any("x" in [o for o in call.operands if isinstance(o, str)] for call in calls),
            "calls": [self._call(call) for call in calls],
        }

    def _call(self, call: PlannedCall) -> str:
        operands = [
            self._operand(operand, param.dtype, const=param.role == "in")
            for operand, param in zip(call.operands, call.kernel.params, strict=True)
        ]
        text = f"{KERNEL_PREFIX}{call.name}({', '.join(operands)});"
        if call.guard in (ALWAYS, (1 << len(self._trained)) - 1) or self._model.choice is None:
            return text
        return f"if ((session->chosen & {call.guard:#x}u) != 0u) {text}"

    def _operand(self, operand: str | Place | relax.Constant, dtype: str, *, const: bool) -> str:
        if isinstance(operand, Place):
            return f"ARENA({'const ' if const else ''}{C_TYPES[operand.dtype]}, {operand.offset}u)"
        if not isinstance(operand, str):
            return self._constant(operand.value.numpy())
        if operand == "x":
            return "x"
        if operand == "scores":
            return "session->scores"
        if operand in _SESSION_FIELDS:
            return f"&session->{_SESSION_FIELDS[operand]}"
        kind, _, index = operand.rpartition("_")
        if kind in ("rows", "int8_rows"):
            layer = int(index)
            return f"&session->{kind}[{self._trained.index(layer)}]" if layer in self._trained else f"&{kind}_{layer}"
        if self._model.choice is None:
            offset = self._model.row_pool.offset(kind, int(index))
        elif kind == "potential":
            before = self._trained[: self._trained.index(int(index))]
            offset = self._model.row_pool.offset("potentials", 0) + 4 * sum(
                len(self._model.layers[i].rows) for i in before
            )
        else:
            part = ("pool", *self._model.optimizer.state).index(kind)
            return f"STATE({self._trained.index(int(index))}, {part}u)"
        return f"POOL({'const ' if const else ''}{C_TYPES[dtype]}, {offset}u)"

    def _image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the input; a signal is one row, a vector one row of one channel."""
        shape = self._model.input_shape
        if len(shape) == 3:
            return shape
        return (1, *shape) if len(shape) == 2 else (1, int(np.prod(shape)), 1)

    def _constant(self, array: np.ndarray) -> str:
        key = array.tobytes()
        if key not in self._constant_names:
            self._constant_names[key] = f"tt_constant_{len(self._constants)}"
            self._constants.append((self._constant_names[key], array))
        return self._constant_names[key]

    # -------------------------------------------------------------- text

    def render(self, template: str, **more: object) -> str:
        """A template with what all of them know of the model, and more."""
        model = self._model
        prototypes = None
        if model.temperature is not None:
            prototypes = {
                "temperature": _c_float(model.temperature),
                "sums_offset": self._offset("prototypes", 0),
                "counts_offset": self._offset("prototypes", 1),
            }
        output = self._functions["predict"].outputs[0]
        return (
            _environment()
            .get_template(template)
            .render(
                model=_comment(model.name),
                fingerprint=model.fingerprint,
                fingerprint_bytes=[f"0x{byte:02x}u" for byte in bytes.fromhex(model.fingerprint)],
                state_bytes=largest_state_bytes(model),
                input_shape=model.input_shape,
                input_scale=_c_float(model.input_scaling[0]),
                input_shift=_c_float(model.input_scaling[1]),
                input_elements=int(np.prod(model.input_shape)),
                classes=model.classes,
                prototypes=prototypes,
                embedding_elements=output.elements if isinstance(output, Place) else int(np.prod(model.input_shape)),
                arena_bytes=max(f.arena_bytes for f in self._functions.values()),
                row_pool_bytes=self._row_pool.bytes,
                learning_rate=_c_float(model.learning_rate),
                optimizer=model.optimizer,
                trained=[self._trained_layer(i) for i in self._trained],
                image_shape=self._image_shape(),
                adaptable=model.adaptable,
                int8=model.int8,
                dynamic=self._dynamic(),
                **more,
            )
        )

    def _dynamic(self) -> dict[str, object] | None:
        model, choice = self._model, self._model.choice
        if choice is None:
            return None
        places = {f"{kind}_offset": self._offset(kind, 0) for kind in ("potentials", "slots", "channels", "rows")}
        return places | {
            "table": choice.table,
            "rows_bytes": choice.rows_bytes,
            "fixed_ram_bytes": choice.table.fixed_ram_bytes,
            "share_256": round(choice.share * 256),
            "budget": ["TT_BUDGET_NONE" if limit is None else f"{limit}u" for limit in model.limits],
            "channels_total": sum(len(model.layers[i].rows) for i in choice.candidates),
            "copies": 1 + len(model.optimizer.state),
        }

    def _trained_layer(self, index: int) -> dict[str, object]:
        layer = self._model.layers[index]
        slots = {channel: slot for slot, channel in enumerate(layer.channels)}
        return {
            "index": index,
            "name": _comment(layer.name),
            "stride": layer.rows.shape[1],
            "channels": layer.channels,
            "channels_total": layer.rows.shape[0],
            "slots": [slots.get(channel, "TT_SLOT_FROZEN") for channel in range(layer.rows.shape[0])],
            "pool_offset": self._offset("pool", index),
            "int8_rows": self._int8_rows(index),
            "shadow_offset": self._offset("shadow", index) if self._model.int8 else None,
        }

    def _offset(self, kind: str, index: int) -> int | None:
        """Of a region of the row pool; None where it has no such region."""
        regions = self._row_pool.regions
        return next((r.offset for r in regions if (r.kind, r.index) == (kind, index)), None)

    def _int8_rows(self, index: int) -> str | None:
        """The initialiser of a ``tt_int8_rows_t`` of which nothing is trained."""
        codes = self._model.layers[index].int8
        if codes is None:
            return None
        return f"{{tt_rows_{index}, tt_channels_{index}, NULL, NULL, {codes.rows.shape[1]}u, {codes.weights}u}}"


def _comment(name: str) -> str:
    """A user's name, harmless inside a comment, where compilers warn of a second beginning too."""
    line = "".join(c if c.isprintable() and c.isascii() else "?" for c in name)
    return line.replace("*/", "* /").replace("/*", "/ *")


def _c_float(value: float) -> str:
    return f"{value:.8e}f"
