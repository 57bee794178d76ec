# SPDX-License-Identifier: Apache-2.0
"""The C interface of a build for TensorFlow Lite Micro: tt_model.h over interpreters of its models.

Calls, statuses and saved states are those of the C backend, so that everything written against them (the console,
tasks, exports) drives either. The order of an adaptation, choosing and saving come from the same templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import tflite

from tt_tflm.emit.c.library import render_model
from tt_tflm.emit.tflm.model import TfliteModel, constant_choice
from tt_tflm.emit.tflm.params import FISHER, TRAIN
from tt_tflm.program.emitted import EmittedModel
from tt_tflm.program.layout.row_pool import RowPool, lay_out_lists

_OWN_INPUTS = ("x", "label", "command")
_TRIPLE = 3


def emit_session(model: EmittedModel, models: Mapping[str, TfliteModel]) -> dict[str, str]:
    """The sources: path below the build folder -> text.

    Args:
        model: what the models were made from.
        models: of ``emit_tflm``.
    """
    row_pool, settings = lists_pool(model), _settings(model, models)
    return {
        "include/tt_model.h": render_model(model, "tt_model.h.j2", row_pool),
        "src/tt_model.c": render_model(model, "tt_tflm.c.j2", row_pool, **settings),
        "tflm/tt_builtin_ops.h": render_model(
            model, "tt_builtin_ops.h.j2", row_pool, builtin_ops=builtin_ops(m.content for m in models.values())
        ),
    }


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
    """What the interface keeps beside the models."""
    candidates = () if model.choice is None else model.choice.candidates
    return lay_out_lists([len(model.layers[i].rows) for i in candidates])


def _settings(model: EmittedModel, models: Mapping[str, TfliteModel]) -> dict[str, object]:
    train = models[TRAIN]
    state = [name for name in train.inputs if name in train.outputs]
    copies = 1 + len(model.optimizer.state)
    settings: dict[str, object] = {
        "copies": copies,
        "train": {
            "inputs": train.inputs,
            "own_outputs": train.outputs[: len(train.outputs) - len(state)],
            "state": state,
        },
    }
    if model.choice is None:
        words, _ = constant_choice(model)
        layers = sum(1 for layer in model.layers if layer.channels)
        return settings | {"part_offsets": words[1 : _TRIPLE * layers : _TRIPLE].tolist()}
    fisher = models[FISHER]
    if train.inputs[: len(_OWN_INPUTS)] != _OWN_INPUTS or fisher.inputs[: len(_OWN_INPUTS)] != _OWN_INPUTS:
        raise ValueError(f"expected the inputs of every model to begin with {_OWN_INPUTS}")
    return settings | {"fisher": {"inputs": fisher.inputs, "shared": [name for name in fisher.inputs if name in state]}}
