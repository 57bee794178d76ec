# SPDX-License-Identifier: Apache-2.0
"""The C emitter: a planned training program as C99 sources that link anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tt_tflm.emit.c.constant_arrays import float_array, int8_arrays
from tt_tflm.emit.c.passes import Passes
from tt_tflm.emit.c.weight_files import Weights, weight_assembly, weight_binary, weight_source
from tt_tflm.emit.descriptor import Engine, Structure, Table, emit_descriptor
from tt_tflm.emit.source_files import SourceFiles
from tt_tflm.emit.text import LICENCE, comment, environment, loss_declaration
from tt_tflm.program.emitted import EmittedModel
from tvm_passes.kernels.tiling import Tiling
from tvm_passes.kernels.variants import headers_for
from tvm_passes.pipeline import lower_to_c


def kernel_source(symbol: str) -> str:
    """Path of the kernels below the build folder: they have compiler flags of their own."""
    return f"src/{symbol}_kernels.c"


class CSources(NamedTuple):
    """What `emit_c` gives.

    Attributes:
        files: the model's own sources and headers.
        binary: the weights, where the sources include them as `weight_binary`; None where they are C.
    """

    files: SourceFiles
    binary: Weights | None


def emit_c(model: EmittedModel, tiling: Tiling, weights: str = "auto") -> CSources:
    """The model's own sources.

    Args:
        model: what is emitted.
        tiling: how its kernels are laid out.
        weights: one of `WEIGHT_FORMS`.
    """
    symbol, passes = model.symbol, Passes(model)
    kernels = lower_to_c(model.module, tiling, f"{symbol}_")
    texts = emit_descriptor(model, model.row_pool, _engine(model, passes))
    integer = ["tt_int8.h", "tt_int8_rows.h"] if model.int8 else []
    headers = ["tt_fisher.h", *integer, "tt_kernel.h", "tt_optimizer.h", "tt_prototype.h", *headers_for(tiling.isa)]
    arrays = _weights(model, passes)
    of_weights = ["tt_int8_rows.h"] if model.int8 else []
    texts |= {
        f"src/{symbol}_kernels.h": _header(f"{symbol}_KERNELS", headers, kernels.declarations),
        kernel_source(symbol): f'{LICENCE}#include "{symbol}_kernels.h"\n\n#include "tt_loss.h"\n\n'
        f"{_functions(model)}{kernels.definitions}",
        f"src/{symbol}_weights.h": _header(f"{symbol}_WEIGHTS", [*of_weights, "tt_kernel.h"], arrays.declarations()),
    }
    if arrays.form(weights) == "c":
        return CSources(SourceFiles(texts, {weight_source(symbol): arrays.source}), None)
    return CSources(SourceFiles({**texts, weight_assembly(symbol): arrays.assembly()}, {}), arrays)


def emit_cmake(model: EmittedModel, sources: Sequence[str], kernel_flags: Sequence[str], binary: bool = False) -> str:
    """A CMake project for those sources; `binary` if one of them includes the weights."""
    return (
        environment()
        .get_template("CMakeLists.txt.j2")
        .render(
            model=comment(model.name),
            symbol=model.symbol,
            sources=sources,
            kernel_sources=[kernel_source(model.symbol)],
            kernel_flags=kernel_flags,
            weight_assembly=weight_assembly(model.symbol) if binary else None,
            weight_binary=weight_binary(model.symbol),
        )
    )


def _header(name: str, includes: Sequence[str], text: str) -> str:
    guard, lines = f"{name.upper()}_H", "".join(f'#include "{header}"\n' for header in includes)
    return f"{LICENCE}#ifndef {guard}\n#define {guard}\n\n{lines}\n{text}\n#endif /* {guard} */\n"


def _functions(model: EmittedModel) -> str:
    """Declarations of what kernels call of a loss and an optimiser, which may come from outside of the package."""
    loss, optimizer = model.loss, model.optimizer
    lines = []
    if not loss.prototypes:
        lines.append(f"{loss_declaration(loss)}\n")
    moments = "".join(f"float *{name}, " for name in optimizer.moments)
    lines.append(
        f"void tt_{optimizer.kind}_update(float *row, {moments}const float *gradient, uint32_t count, "
        "const float *hyper);\n\n"
    )
    return "".join(lines)


def _weights(model: EmittedModel, passes: Passes) -> Weights:
    """Rows of the layers, scales of int8 channels, and operands of kernels."""
    arrays = []
    for i, layer in enumerate(model.layers):
        name = f"{model.symbol}_rows_{i}"
        if layer.int8 is None:
            arrays.append(float_array(name, layer.rows))
        else:
            arrays += int8_arrays(name, f"{model.symbol}_channels_{i}", layer.int8)
    arrays += [float_array(name, array) for name, array in passes.constants]
    return Weights(model.symbol, tuple(arrays))


def _engine(model: EmittedModel, passes: Passes) -> Engine:
    tables, layers = [], []
    for index in model.trained:
        fields = {}
        if model.int8:
            fields["int8_base"] = f"&int8_rows_{index}"
        else:
            fields["base"] = f"{model.symbol}_rows_{index}"
        if model.choice is None:
            tables.append(Table("uint16_t", f"slots_{index}", _slots(model, index)))
            fields |= {"slots": f"slots_{index}", "pool_offset": f"{model.row_pool.offset('pool', index)}u"}
        if model.choice is None and model.int8:
            fields["shadow_offset"] = f"{model.row_pool.offset('shadow', index)}u"
        layers.append(fields)
    return Engine(
        fields={"engine": "&engine", "calls": "&calls", "interpreted": "NULL"},
        layers=layers,
        headers=["tt_engine.h", f"{model.symbol}_kernels.h", f"{model.symbol}_weights.h"],
        tables=tables,
        early=[
            *(_int8_rows(model, index) for index in passes.int8_layers),
            *(_frozen_rows(model, index) for index in passes.frozen_layers),
        ],
        functions=passes.functions(),
        structures=[
            Structure("tt_engine_t", "engine", _engine_fields(model)),
            Structure("tt_calls_t", "calls", passes.calls()),
        ],
        arena_bytes=str(passes.arena_bytes),
    )


def _int8_rows(model: EmittedModel, index: int) -> Structure:
    codes = model.layers[index].int8
    fields = {
        "base": f"{model.symbol}_rows_{index}",
        "channels": f"{model.symbol}_channels_{index}",
        "stride": f"{codes.rows.shape[1]}u",
        "weights": f"{codes.weights}u",
    }
    return Structure("tt_int8_rows_t", f"int8_rows_{index}", fields)


def _frozen_rows(model: EmittedModel, index: int) -> Structure:
    stride = model.layers[index].rows.shape[1]
    return Structure("tt_rows_t", f"rows_{index}", {"base": f"{model.symbol}_rows_{index}", "stride": f"{stride}u"})


def _slots(model: EmittedModel, index: int) -> list[str]:
    layer = model.layers[index]
    slots = {channel: f"{slot}u" for slot, channel in enumerate(layer.channels)}
    return [slots.get(channel, "TT_SLOT_FROZEN") for channel in range(len(layer.rows))]


def _engine_fields(model: EmittedModel) -> dict[str, str]:
    """The functions of ops/include/tt_engine.h that this kind of build needs."""
    optimizer, chosen = model.optimizer, model.choice is not None
    kind, int8 = "chosen" if chosen else "fixed", "_int8" if model.int8 else ""
    train = "fused" if optimizer.fused else "adding" if optimizer.accumulates else "direct"
    fields = {
        "open": f"tt_open_{kind}{'' if chosen else int8}",
        "start_rows": f"tt_start_{kind}{int8}",
        "infer": "tt_infer_generated",
        "train": f"tt_train_{train}",
    }
    if model.int8:
        fields["rows_changed"] = "tt_quantize_rows"
    if optimizer.accumulates:
        fields |= {
            "add_loss": "tt_add_loss_generated",
            "add_seed": "tt_add_seed_generated",
            "update": "tt_update_generated",
            "clear_gradients": f"tt_clear_{kind}_gradients",
        }
    if chosen:
        fields |= {"inspect": "tt_inspect_generated", "clear_potentials": "tt_clear_potentials"}
    return fields
