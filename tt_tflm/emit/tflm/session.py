# SPDX-License-Identifier: Apache-2.0
"""A build for TensorFlow Lite Micro in C: the descriptor of a model whose engine is an interpreter of its models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import tflite

from tt_tflm.emit.descriptor import Engine, Structure, Table, emit_descriptor
from tt_tflm.emit.text import c_bool, environment, loss_declaration
from tt_tflm.emit.tflm.model import TfliteModel, constant_choice
from tt_tflm.emit.tflm.own_ops import has_own_op, loss_id
from tt_tflm.program.emitted import EmittedModel
from tt_tflm.program.layout.row_pool import RowPool, lay_out_lists
from tt_tflm.tflite.op_params import FISHER, TRAIN
from tvm_passes.specs import CLASS, LossSpec

_OWN_INPUTS = ("x", "label", "command")
_TRIPLE = 3
_FLOAT = 4
_NO_PLACE = "TT_NO_PLACE"


def emit_session(model: EmittedModel, models: Mapping[str, TfliteModel]) -> dict[str, str]:
    """The sources: path below the build folder -> text.

    Args:
        model: what the models were made from.
        models: of ``emit_tflm``.
    """
    names = builtin_ops(entry.content for entry in models.values())
    return emit_descriptor(model, lists_pool(model), _engine(model, models)) | {
        "tflm/tt_builtin_ops.h": environment().get_template("tt_builtin_ops.h.j2").render(builtin_ops=names),
        "tflm/tt_build_losses.c": _losses_source(model.loss),
    }


def _losses_source(loss: LossSpec) -> str:
    """What TT_LOSS calls: nothing where the loss has an op of its own."""
    declarations, entries = [], []
    if not has_own_op(loss):
        declarations.append(f"{loss_declaration(loss)}\n")
        functions = f"{loss.function}, NULL" if loss.label == CLASS else f"NULL, {loss.function}"
        entries.append(f"{{{loss_id(loss)}, {functions}}}")
    template = environment().get_template("tt_build_losses.c.j2")
    return template.render(declarations=declarations, entries=entries)


def model_array(symbol: str, name: str) -> str:
    """What the bytes of a model are called in C; name: of its file."""
    return f"{symbol}_{name.removesuffix('.tflite')}"


def builtin_ops(contents: Iterable[bytes]) -> list[str]:
    """The builtin operators of some models, as MicroMutableOpResolver calls them: Add, Conv2D, ..."""
    names = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
    codes: set[int] = set()
    for content in contents:
        model = tflite.Model.GetRootAsModel(content, 0)
        codes |= {model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())}
    return sorted(resolver_method(names[code]) for code in codes - {tflite.BuiltinOperator.CUSTOM})


def resolver_method(name: str) -> str:
    """CONV_2D -> Conv2D."""
    words = name.replace("PADV2", "PAD_V2").split("_")
    return "".join(word if word[0].isdigit() else word.capitalize() for word in words)


def lists_pool(model: EmittedModel) -> RowPool:
    """What the runtime keeps beside the models."""
    candidates = () if model.choice is None else model.choice.candidates
    tables = model.row_pool.bytes - model.row_pool.regions_bytes
    return lay_out_lists([len(model.layers[i].rows) for i in candidates], tables)


def _engine(model: EmittedModel, models: Mapping[str, TfliteModel]) -> Engine:
    prefix, names = model.symbol.upper(), [name for name in (TRAIN, FISHER) if name in models]
    arrays = [model_array(model.symbol, name) for name in names]
    shared = _shared(models)
    tables = [Table("uint8_t *const", "models", arrays)]
    if shared:
        tables.append(Table("uint8_t", "shared", [f"{place}u" for pair in shared for place in pair]))
    return Engine(
        fields={
            "engine": "&tt_engine_tflm",
            "calls": "NULL",
            "interpreted": "&interpreted",
            "moments": f"{len(model.optimizer.moments)}u",
            "accumulates": c_bool(model.adaptable),  # others have no input for a gradient from outside
        },
        layers=[{"pool_offset": f"{offset}u"} for offset in _pool_offsets(model)],
        headers=["tt_engine_tflm.h"],
        declarations=[f"extern const uint8_t {array}[];" for array in arrays],
        tables=tables,
        structures=[Structure("struct tt_interpreted", "interpreted", _places(model, models))],
        before=[
            f"#ifndef {prefix}_ARENA_BYTES",
            f'#error "expected a definition of {prefix}_ARENA_BYTES: report.json names one that is enough, '
            'tt_arena_used tells what is used"',
            "#endif",
        ],
    )


def _pool_offsets(model: EmittedModel) -> list[int]:
    """Where the rows of each layer begin in the pool of ``train.tflite``, in bytes; 0 where the board chooses."""
    if model.choice is not None:
        return [0] * len(model.trained)
    words, _ = constant_choice(model)
    return [_FLOAT * int(word) for word in words[1 : _TRIPLE * len(model.trained) : _TRIPLE]]


def _shared(models: Mapping[str, TfliteModel]) -> list[tuple[int, int]]:
    """Inputs of ``fisher.tflite`` that mirror the state of ``train.tflite``: its place, and that in the other."""
    if FISHER not in models:
        return []
    train, fisher = models[TRAIN], models[FISHER]
    if train.inputs[: len(_OWN_INPUTS)] != _OWN_INPUTS or fisher.inputs[: len(_OWN_INPUTS)] != _OWN_INPUTS:
        raise ValueError(f"expected the inputs of every model to begin with {_OWN_INPUTS}")
    state = [name for name in train.inputs if name in train.outputs]
    return [(fisher.inputs.index(name), train.inputs.index(name)) for name in fisher.inputs if name in state]


def _places(model: EmittedModel, models: Mapping[str, TfliteModel]) -> dict[str, str]:
    train, shared = models[TRAIN], _shared(models)
    inputs = {name: f"{place}u" for place, name in enumerate(train.inputs)}
    outputs = {name: f"{place}u" for place, name in enumerate(train.outputs)}
    wanted = ("pool", "control", "rate", "choice", "sums", "counts", "seed")
    fields = {
        "models": "models",
        "model_count": f"{len(models)}u",
        "shared": "shared" if shared else "NULL",
        "shared_count": f"{len(shared)}u",
        "copies": f"{1 + len(model.optimizer.state)}u",
        **{f"in_{name}": inputs.get(name, _NO_PLACE) for name in wanted},
        "out_output": outputs["embedding" if model.loss.prototypes else "scores"],
        "out_loss": outputs["loss"],
    }
    if FISHER in models:
        fields["first_potential"] = f"{models[FISHER].inputs.index('potential_0')}u"
    return fields
