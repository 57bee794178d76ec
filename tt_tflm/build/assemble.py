# SPDX-License-Identifier: Apache-2.0
"""From a planned program to a build: sources, report, plan and what simulation needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from tt_tflm.build.artefact import INFER_MODEL, SCHEMA_VERSION, Build
from tt_tflm.build.settings import BuildSettings, Planned
from tt_tflm.emit.c.library import emit_c, emit_cmake
from tt_tflm.emit.descriptor import largest_state_bytes
from tt_tflm.emit.runtime import alias_header, runtime_files
from tt_tflm.emit.source_files import SOURCE_SUFFIXES, SourceFiles
from tt_tflm.emit.tflm.infer_model import emit_infer
from tt_tflm.emit.tflm.model import emit_tflm, layout
from tt_tflm.emit.tflm.session import emit_session, lists_pool
from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.losses import Loss
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost import function_macs
from tt_tflm.program.emitted import EmittedLayer, EmittedModel
from tt_tflm.program.static import ImportedModel, Program
from tvm_passes.kernels.tiling import tiling_for

_FLOAT = 4


def assemble(model: ImportedModel, program: Program, settings: BuildSettings, planned: Planned) -> Build:
    """Make the build.

    Args:
        model, program: what is emitted.
        settings: what was asked for.
        planned: what planning found beside the program.
    """
    loss, optimizer, budget, backend = settings.loss, settings.optimizer, settings.budget, settings.backend
    profile = settings.device.profile
    emitted = EmittedModel(
        model.name,
        model.fingerprint,
        program.module,
        [
            EmittedLayer(layer.name, rows, _channels(program, layer.name), codes)
            for layer, rows, codes in zip(
                model.layers, model.rows, model.int8_layers or [None] * len(model.layers), strict=True
            )
        ],
        model.input_shape,
        program.loss,
        loss.temperature,
        program.optimizer,
        optimizer.learning_rate,
        program.row_pool,
        program.choice,
        tuple(settings.input_scaling),
        tuple(budget.resolve(planned.backward_macs_full).to_json().values()),
        settings.name,
    )
    models, not_exported = _exported(model, emitted)
    tflm = binary = None
    if backend == "tflm":
        emitted_models = emit_tflm(emitted)
        models |= {name: entry.content for name, entry in emitted_models.items()}
        tflm = layout(emitted_models)
        files = SourceFiles(emit_session(emitted, emitted_models), {})
    else:
        files, binary = emit_c(emitted, tiling_for(profile.isa), settings.weights)
    runtime = runtime_files(backend, (*loss.sources, *optimizer.sources))
    taken = sorted(runtime.keys() & files.keys())
    if taken:
        raise InputError(f"name: expected one that no file of the runtime has, received {settings.name!r}: {taken[0]}")
    more = dict(runtime)
    more["sim/tt_sim_model.h"] = alias_header(emitted.symbol, files[f"include/{emitted.symbol}.h"], "TT_SIM_MODEL")
    sources = sorted(
        name for name in (*files, *runtime) if name.startswith(("src/", "tflm/")) and name.endswith(SOURCE_SUFFIXES)
    )
    more["sources.txt"] = "".join(f"{name}\n" for name in sources)
    if backend == "c":
        more["CMakeLists.txt"] = emit_cmake(emitted, sources, profile.kernel_flags, binary is not None)
    files = files.with_texts(more)
    report = _report(model, program, settings, planned)
    plan_data = planned.plan.to_json() if planned.plan is not None else {}
    if program.choice is not None:
        plan_data = {
            "schema_version": SCHEMA_VERSION,
            "fingerprint": model.fingerprint,
            "strategy": "tinytrain",
            "layers": {},
        }
        plan_data["budget"] = budget.resolve(planned.backward_macs_full).to_json()
    simulation = {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": model.fingerprint,
        "input_shape": list(model.input_shape),
        "input_scaling": list(settings.input_scaling),
        "calibrated": None if settings.calibrated is None else list(settings.calibrated),
        "symbol": emitted.symbol,
        "classes": program.loss.classes,
        "embedding_elements": model.output_elements if program.loss.prototypes else None,
        "loss": loss.name,
        "label": program.loss.label,
        "label_elements": program.loss.label_elements,
        "precision": model.precision,
        "mode": report["mode"],
        "backend": backend,
        "tflm": tflm,
        "prototypes": _prototypes(program, loss),
        "adaptable": emitted.adaptable,
        "target": settings.device.name,
        "arena_bytes": program.arena_bytes,
        "row_pool_bytes": program.row_pool.bytes,
        "regions_bytes": program.row_pool.regions_bytes,
        "state_bytes": largest_state_bytes(emitted),
        "rows": _trained_rows(model, program),
        "copies": 1 + len(program.optimizer.state),
        "learning_rate": optimizer.learning_rate,
        "choice": _choice(model, program, budget, planned.backward_macs_full),
    }
    if not_exported is not None:
        simulation["not_exported"] = not_exported
    if backend == "tflm":
        lists = lists_pool(emitted)
        simulation |= {"lists_bytes": lists.bytes, "lists_regions_bytes": lists.regions_bytes}
    if backend == "tflm" and program.choice is not None:
        simulation["choice"] |= {
            "table": asdict(program.choice.table),
            "rows_bytes": program.choice.rows_bytes,
            "share": program.choice.share,
        }
    if binary is not None:
        simulation["weights"] = binary.table()
    rows = {layer.name: r for layer, r in zip(model.layers, model.rows, strict=True)}
    return Build(files, rows, model.layers, report, plan_data, simulation, models, binary)


def _exported(model: ImportedModel, emitted: EmittedModel) -> tuple[dict[str, bytes], str | None]:
    """The forward pass for other runtimes, and why there is none where an operation is the C backend's alone."""
    if model.int8_layers:
        return {}, None
    try:
        return {INFER_MODEL: emit_infer(emitted, model.module)}, None
    except UnsupportedLayerError as error:
        return {}, str(error)


def _channels(program: Program, layer: str) -> tuple[int, ...]:
    return program.plan[layer].channels if program.plan is not None and layer in program.plan else ()


def _report(model: ImportedModel, program: Program, settings: BuildSettings, planned: Planned) -> dict[str, Any]:
    functions = program.functions
    cost = planned.cost
    predict, train = (function_macs(functions[name]) for name in ("predict", "train_step"))
    return {
        "schema_version": SCHEMA_VERSION,
        "model": model.name,
        "fingerprint": model.fingerprint,
        "target": settings.device.name,
        "device": settings.device.to_json(),
        "placement": planned.placement,
        "precision": model.precision,
        "mode": "static" if program.choice is None else "dynamic",
        "loss": settings.loss.name,
        "optimizer": settings.optimizer.name,
        "arena_bytes": program.arena_bytes,
        "arena_lower_bound_bytes": max(f.arena_lower_bound_bytes for f in functions.values()),
        "row_pool_bytes": program.row_pool.bytes,
        "session_bytes": program.session_bytes,
        "ram_bytes": program.ram_bytes,
        "input_bytes": _FLOAT * int(np.prod(model.input_shape)),
        "input_scaling": list(settings.input_scaling),
        "flash_bytes": {"code": None, "weights": model.weight_bytes},
        "forward_macs": predict["forward"]["nominal"],
        "backward_macs": cost.backward_macs if cost else None,
        "backward_macs_full": planned.backward_macs_full,
        "executed_macs": {
            "predict": predict["forward"]["executed"],
            "forward": train["forward"]["executed"],
            "backward": train["backward"]["executed"] if cost else None,
        },
        "training_memory_bytes": cost.training_memory_bytes if cost else None,
        "updated_parameters": cost.updated_parameters if cost else None,
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "parameters": layer.parameters,
                "forward_macs": layer.forward_macs,
                "channels_total": layer.channels,
                "channels_trained": len(_channels(program, layer.name)),
            }
            for layer in model.layers
        ],
        "backend": settings.backend,
    }


def _trained_rows(model: ImportedModel, program: Program) -> list[dict[str, Any]]:
    if program.plan is None:
        return []
    trained = sorted((model.index(name), name) for name in program.plan)
    return [
        {
            "layer": name,
            "offset": program.row_pool.offset("pool", index),
            "channels": list(program.plan[name].channels),
            "stride": model.layers[index].stride,
            "row_length": model.layers[index].row_length,
        }
        for index, name in trained
    ]


def _choice(
    model: ImportedModel, program: Program, budget: Budget, backward_macs_full: int
) -> Mapping[str, Any] | None:
    """Where a board that chooses keeps potentials, chosen channels and rows."""
    choice = program.choice
    if choice is None:
        return None
    return {
        "candidates": [
            {
                "layer": model.layers[i].name,
                "channels": model.layers[i].channels,
                "stride": model.layers[i].stride,
                "int8_row_bytes": model.int8_row_bytes(i),
            }
            for i in choice.candidates
        ],
        "potentials_offset": program.row_pool.offset("potentials", 0),
        "slots_offset": program.row_pool.offset("slots", 0),
        "rows_offset": program.row_pool.offset("rows", 0),
        "copies": 1 + len(program.optimizer.state),
        "budget": budget.resolve(backward_macs_full).to_json(),
        "backward_macs_full": backward_macs_full,
        "fixed_ram_bytes": choice.table.fixed_ram_bytes,
    }


def _prototypes(program: Program, loss: Loss) -> dict[str, Any] | None:
    """Where the row pool holds prototypes, and what makes scores of them."""
    if not program.loss.prototypes:
        return None
    return {
        "sums_offset": program.row_pool.offset("prototypes", 0),
        "counts_offset": program.row_pool.offset("prototypes", 1),
        "temperature": loss.temperature,
    }
