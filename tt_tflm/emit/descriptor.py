# SPDX-License-Identifier: Apache-2.0
"""The descriptor of a model: the ``tt_model_t`` that the runtime works by (ops/include/tt_model_type.h), and its
header.

Both emitters make one; they differ in the engine and in what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tt_tflm.emit.text import c_bool, c_float, comment, environment, wrapped
from tt_tflm.plan.cost_table import CostTable
from tt_tflm.program.emitted import EmittedModel
from tt_tflm.program.layout.row_pool import RowPool
from tt_tflm.program.layout.session import state_bytes
from tvm_passes.pipeline import planned_functions
from tvm_passes.plan_arena import Place
from tvm_passes.specs import VECTOR

_NONE = "NULL"


class Table(NamedTuple):
    """A constant array of a source: element type, name and entries."""

    type: str
    name: str
    entries: Sequence[str]

    @property
    def text(self) -> str:
        """The entries, wrapped."""
        return wrapped(self.entries)


class Structure(NamedTuple):
    """A constant structure of a source."""

    type: str
    name: str
    fields: Mapping[str, str]
    linkage: str = "static "


class Function(NamedTuple):
    """A static function of a source: everything before its body, and the lines of that."""

    head: str
    lines: Sequence[str]


class Macro(NamedTuple):
    """A macro of the header, without the prefix of its name."""

    name: str
    value: str
    comment: str = ""


@dataclass(frozen=True)
class Engine:
    """What an emitter adds to a descriptor.

    Args:
        fields: of ``tt_model_t``: ``engine``, ``calls`` or ``interpreted``, and what it does otherwise.
        layers: of ``tt_layer_t`` for each trained layer, beside stride, trained and chosen.
        headers: that its source includes.
        declarations: before everything else in it.
        early, tables, functions, structures: as the template puts them, one after the other.
        before: lines of the header before its macros.
        arena_bytes: value of that macro; None where the header leaves it to the firmware.
    """

    fields: Mapping[str, str]
    layers: Sequence[Mapping[str, str]]
    headers: Sequence[str] = ()
    declarations: Sequence[str] = ()
    tables: Sequence[Table] = ()
    early: Sequence[Structure] = ()
    functions: Sequence[Function] = ()
    structures: Sequence[Structure] = ()
    before: Sequence[str] = ()
    arena_bytes: str | None = None


def emit_descriptor(model: EmittedModel, row_pool: RowPool, engine: Engine) -> dict[str, str]:
    """Source and header of a model: path below the build folder -> text.

    Args:
        model: what is described.
        row_pool: layout of what the caller keeps beside the arena.
        engine: who runs it.
    """
    described = _Descriptor(model, row_pool, engine)
    return {
        f"include/{model.symbol}.h": described.header(),
        f"src/{model.symbol}.c": described.source(),
    }


def largest_state_bytes(model: EmittedModel) -> int:
    """Bytes of the largest state that the build saves: the format is that of ops/include/tt_state.h."""
    layers = [model.layers[i] for i in model.trained]
    if model.choice is None:
        rows = sum(len(layer.channels) * layer.rows.shape[1] for layer in layers)
        channels = sum(len(layer.channels) for layer in layers)
    else:
        rows = model.choice.rows_bytes // (1 + len(model.optimizer.state)) // 4
        channels = sum(len(layer.rows) for layer in layers)
    prototypes = sum(r.bytes for r in model.row_pool.regions if r.kind == "prototypes")
    return state_bytes(len(layers), channels, rows, prototypes)


def output_elements(model: EmittedModel) -> int:
    """Length of the model's output."""
    output = planned_functions(model.module)["predict"].outputs[0]
    return output.elements if isinstance(output, Place) else int(np.prod(model.input_shape))


class _Descriptor:
    def __init__(self, model: EmittedModel, row_pool: RowPool, engine: Engine) -> None:
        self._model, self._row_pool, self._engine = model, row_pool, engine
        self._prefix = model.symbol.upper()
        self._trained = [model.layers[i] for i in model.trained]
        self._elements = output_elements(model)

    # -------------------------------------------------------------- source

    def source(self) -> str:
        model, engine = self._model, self._engine
        tables, structures = self._layer_tables(), []
        if model.choice is not None:
            choice_tables, structures = self._choice()
            tables += choice_tables
        if model.loss.prototypes:
            structures.append(self._prototypes())
        structures.append(Structure("tt_model_t", model.symbol, self._fields(), ""))
        return (
            environment()
            .get_template("model.c.j2")
            .render(
                model=comment(model.name),
                symbol=model.symbol,
                headers=engine.headers,
                declarations=[
                    *engine.declarations,
                    f"extern const tt_loss_t tt_loss_{model.loss.kind};",
                    f"extern const tt_optimizer_t tt_optimizer_{model.optimizer.kind};",
                ],
                tables=[*engine.tables, *tables],
                early=engine.early,
                functions=engine.functions,
                structures=[*engine.structures, *structures],
            )
        )

    def _layer_tables(self) -> list[Table]:
        model, tables, entries = self._model, [], []
        for index, layer, own in zip(model.trained, self._trained, self._engine.layers, strict=True):
            fields = {"stride": f"{layer.rows.shape[1]}u"}
            if model.choice is None:
                name = f"channels_{index}"
                tables.append(Table("uint16_t", name, [f"{channel}u" for channel in layer.channels]))
                fields |= {"chosen": name, "trained": f"{len(layer.channels)}u"}
            fields |= own
            inner = ", ".join(f".{key} = {value}" for key, value in fields.items())
            entries.append(f"{{{inner}}} /* {comment(layer.name)} */")
        hyper = [model.learning_rate, *model.optimizer.constants.values(), *model.optimizer.counters]
        return [
            *tables,
            Table("tt_layer_t", "layers", entries),
            Table("uint16_t", "layer_numbers", [f"{i}u" for i in model.trained]),
            Table("uint16_t", "layer_channels", [f"{len(layer.rows)}u" for layer in self._trained]),
            Table("float", "hyper", [c_float(value) for value in hyper]),
        ]

    def _choice(self) -> tuple[list[Table], list[Structure]]:
        model, choice = self._model, self._model.choice
        table = choice.table
        tables = _cost_tables(table)
        costs = {
            "candidates": "candidates",
            "tensors": "saved_tensors" if table.tensors else _NONE,
            "mac_items": "mac_items" if table.mac_items else _NONE,
            "candidate_count": f"{len(table.candidates)}u",
            "tensor_count": f"{len(table.tensors)}u",
            "mac_item_count": f"{len(table.mac_items)}u",
            "fixed_ram_bytes": f"{table.fixed_ram_bytes}u",
        }
        fields = {
            "costs": "&costs",
            "row_bytes": "row_bytes",
            "budget": self._budget(),
            "share_256": f"{round(choice.share * 256)}u",
            "rows_bytes": f"{choice.rows_bytes}u",
            "ram_bytes": f"{table.fixed_ram_bytes + choice.rows_bytes}u",
            "channels": f"{self._candidate_channels()}u",
            "copies": f"{1 + len(model.optimizer.state)}u",
        }
        regions = {region.kind: region.offset for region in self._row_pool.regions}
        fields |= {
            f"{kind}_offset": f"{regions[kind]}u"
            for kind in ("potentials", "slots", "channels", "rows")
            if kind in regions
        }
        return tables, [Structure("tt_cost_table_t", "costs", costs), Structure("tt_choice_t", "choice", fields)]

    def _candidate_channels(self) -> int:
        return sum(len(layer.rows) for layer in self._trained)

    def _budget(self) -> str:
        limits = ["TT_BUDGET_NONE" if limit is None else f"{limit}u" for limit in self._model.limits]
        return f"{{{', '.join(limits)}}}"

    def _prototypes(self) -> Structure:
        fields = {"temperature": c_float(self._model.temperature)}
        places = {r.index: r.offset for r in self._row_pool.regions if r.kind == "prototypes"}
        if places:
            fields |= {"sums_offset": f"{places[0]}u", "counts_offset": f"{places[1]}u"}
        return Structure("tt_prototype_place_t", "prototypes", fields)

    def _fields(self) -> dict[str, str]:
        model, optimizer = self._model, self._model.optimizer
        fingerprint = ", ".join(f"0x{byte:02x}u" for byte in bytes.fromhex(model.fingerprint))
        state = [r for r in self._row_pool.regions if r.kind in optimizer.state]
        gradients = [r for r in state if r.kind == "gradient"]
        return {
            "input_shape": f"{self._prefix}_INPUT_SHAPE",
            "fingerprint": f"{{{fingerprint}}}",
            "accumulates": c_bool(optimizer.accumulates),
            "moments": f"{0 if model.choice is None else len(optimizer.moments)}u",
            **self._engine.fields,
            "loss": f"&tt_loss_{model.loss.kind}",
            "optimizer": f"&tt_optimizer_{optimizer.kind}",
            "hyper": "hyper",
            "layers": "layers",
            "layer_numbers": "layer_numbers",
            "layer_channels": "layer_channels",
            "choice": _NONE if model.choice is None else "&choice",
            "prototypes": "&prototypes" if model.loss.prototypes else _NONE,
            "image": f"{{{', '.join(f'{size}u' for size in image_shape(model.input_shape))}}}",
            "input_scale": f"{self._prefix}_INPUT_SCALE",
            "input_shift": f"{self._prefix}_INPUT_SHIFT",
            "input_elements": f"{self._prefix}_INPUT_ELEMENTS",
            "output_elements": f"{self._elements}u",
            "classes": f"{model.classes}u",
            "label_elements": f"{model.loss.label_elements}u",
            "layer_count": f"{len(self._trained)}u",
            "batch_size": f"{optimizer.batch_size}u",
            "fused": c_bool(optimizer.fused),
            "int8": c_bool(model.int8),
            "state_offset": f"{state[0].offset if state else 0}u",
            "state_bytes": f"{_extent(state)}u",
            "gradient_offset": f"{gradients[0].offset if gradients else 0}u",
            "gradient_bytes": f"{_extent(gradients)}u",
            "tables_offset": f"{self._prefix}_REGIONS_BYTES",
            "largest_state": f"{self._prefix}_STATE_BYTES",
            "arena_bytes": f"{self._prefix}_ARENA_BYTES",
            "row_pool_bytes": f"{self._prefix}_ROW_POOL_BYTES",
        }

    # -------------------------------------------------------------- header

    def header(self) -> str:
        return (
            environment()
            .get_template("model.h.j2")
            .render(
                model=comment(self._model.name),
                symbol=self._model.symbol,
                prefix=self._prefix,
                input_shape=self._model.input_shape,
                before=self._engine.before,
                macros=self._macros(),
            )
        )

    def _macros(self) -> list[Macro]:
        model, optimizer, engine = self._model, self._model.optimizer, self._engine
        prototypes, dynamic = model.loss.prototypes, model.choice is not None
        scores = model.classes if prototypes else 0
        tables = f"{len(self._trained)}u, {int(model.int8)}, {optimizer.hyper_elements}u, {scores}u, {int(dynamic)}"
        shape = ",".join(map(str, model.input_shape))
        macros = [
            Macro("FINGERPRINT", f'"{model.fingerprint}"'),
            Macro("INPUT_ELEMENTS", f"{int(np.prod(model.input_shape))}"),
            Macro("INPUT_SHAPE", f'"{shape}"'),
            Macro("INPUT_SCALE", c_float(model.input_scaling[0]), " /* an image's pixel of 0 .. 255 times this ... */"),
            Macro("INPUT_SHIFT", c_float(model.input_scaling[1]), " /* ... plus this is what the model takes */"),
            Macro("OUTPUT_ELEMENTS", f"{self._elements}"),
            Macro("CLASSES", f"{model.classes}", " /* length of the scores */"),
            Macro("LABEL_ELEMENTS", f"{model.loss.label_elements}"),
            Macro("LABEL_VECTOR", f"{int(model.loss.label == VECTOR)}", " /* whether a label is that many floats */"),
            Macro("HAS_PROTOTYPES", f"{int(prototypes)}"),
            Macro("INT8", f"{int(model.int8)}", " /* whether the forward pass is integer arithmetic */"),
            Macro("DYNAMIC", f"{int(dynamic)}"),
            Macro("INTERPRETED", f"{int(engine.arena_bytes is None)}"),
            Macro("ADAPTABLE", f"{int(model.adaptable)}"),
            Macro("TRAINED_LAYERS", f"{len(self._trained)}"),
            Macro("BATCH_SIZE", f"{optimizer.batch_size}"),
            Macro("REGIONS_BYTES", f"{self._row_pool.regions_bytes}", " /* of the row pool, before its tables */"),
            Macro(
                "ROW_POOL_BYTES",
                f"TT_ROW_POOL_BYTES({self._prefix}_REGIONS_BYTES, TT_TABLES_BYTES({tables}))",
                f" /* {self._row_pool.bytes} where a pointer has four bytes */",
            ),
            Macro(
                "STATE_BYTES",
                f"{largest_state_bytes(model)}",
                " /* of the largest state that tt_save writes; a storage holds two */",
            ),
        ]
        if engine.arena_bytes is not None:
            macros.append(Macro("ARENA_BYTES", engine.arena_bytes))
        if prototypes:
            macros.append(Macro("EMBEDDING_ELEMENTS", f"{self._elements}"))
        if model.adaptable:
            sizes = f"{int(np.prod(model.input_shape))}u, {model.classes}u, {self._elements}u"
            macros.append(Macro("ADAPT_WORKSPACE_BYTES(samples)", f"TT_ADAPT_WORKSPACE_BYTES(samples, {sizes})"))
        if model.choice is not None:
            fixed, rows = model.choice.table.fixed_ram_bytes, model.choice.rows_bytes
            macros += [
                Macro("CANDIDATES", f"{len(self._trained)}"),
                Macro("CANDIDATE_CHANNELS", f"{self._candidate_channels()}"),
                Macro("ROWS_BYTES", f"{rows}", " /* room for trained rows, gradients and moments */"),
                Macro("RAM_BYTES", f"{fixed + rows}", " /* arena, row pool and session as the plan has them */"),
                Macro("BUDGET", self._budget(), " /* that of the conversion, an initialiser of a tt_budget_t */"),
            ]
        return macros


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels of an input; a signal is one row, a vector one row of one channel."""
    if len(shape) == 3:
        return shape
    return (1, *shape) if len(shape) == 2 else (1, int(np.prod(shape)), 1)


def _extent(regions: Sequence[Any]) -> int:
    """Bytes from the beginning of the first to the end of the last."""
    return regions[-1].offset + regions[-1].bytes - regions[0].offset if regions else 0


def _cost_tables(table: CostTable) -> list[Table]:
    candidates = [
        f"{{{c.channels}u, {c.parameters}u, {c.forward_macs}u, {c.row_parameters}u, {c.row_bytes}u, {c.channel_macs}u}}"
        for c in table.candidates
    ]
    tensors = [f"{{{t.full_guard:#x}u, {t.mask_guard:#x}u, {t.full_bytes}u, {t.mask_bytes}u}}" for t in table.tensors]
    items = [f"{{{item.guard:#x}u, {item.macs}u}}" for item in table.mac_items]
    tables = [
        Table("uint32_t", "row_bytes", [f"{c.row_bytes}u" for c in table.candidates]),
        Table("tt_candidate_t", "candidates", candidates),
        Table("tt_saved_tensor_t", "saved_tensors", tensors),
        Table("tt_mac_item_t", "mac_items", items),
    ]
    return [entry for entry in tables if entry.entries]
