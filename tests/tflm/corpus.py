# SPDX-License-Identifier: Apache-2.0
"""Valid models of every op, to mutate."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from hypothesis import assume, given
from passes.trials import same_in_every_run

from tt_tflm.tflite.op_params import Command, Flag, Op, pack

from .one_op import OneOp, choice_words, ints
from .test_expression import expression_models
from .test_losses import of_build, prototype
from .test_ops import CASES, is_supported
from .trials_as_models import models_of

_TYPES = {"float32": 1, "int32": 2}


def valid_models(examples: int) -> list[OneOp]:
    """Some models of every op, the same in every run."""
    models = [*_state_models(), *expression_models()]
    for case in CASES.values():

        @same_in_every_run(examples)
        @given(case)
        def collect(trial) -> None:
            assume(is_supported(trial))
            models.extend(model for model, _ in models_of(trial))

        collect()
    return models


def _state_models() -> list[OneOp]:
    models = []
    runs = (
        (Command.TRAIN, Flag.NONE),
        (Command.PREDICT, Flag.NONE),
        (Command.TRAIN, Flag.VECTOR),
        (Command.FISHER, Flag.FISHER),
        (Command.ACCUMULATE, Flag.SEED),
        (Command.UPDATE, Flag.SEED),
    )
    for command, flag in runs:
        bases = (np.zeros((3, 4), np.float32), np.ones((5, 2), np.float32), np.ones((1, 6), np.float32))
        choice = choice_words([((0, 2), 2), ((), 0), ((0,), 18)])
        control, pool = np.zeros(3, np.int32), np.zeros(32, np.float32)
        label = np.float32([1, 2]) if flag is Flag.VECTOR else np.int32([1])
        inputs = (label, np.int32([command]), choice, control, pool, *bases)
        params = pack(Op.START, flag, candidates=3, copies=2, classes=3, batch_size=2)
        for constants in (frozenset({5, 6, 7}), frozenset({2, 5, 6, 7})):
            models.append(OneOp(Op.START, params, inputs, (ints(2), ints(2)), constants))
        models.append(OneOp(Op.FINISH, pack(Op.FINISH, batch_size=3), (np.int32([command]), control)))
        if flag is Flag.SEED:
            models.append(prototype(command))
            continue
        models += [
            of_build(command, label, kind | in_place)
            for label, kind in ((np.float32([0, 1]), Flag.VECTOR), (np.int32([1]), Flag.NONE))
            for in_place in (Flag.NONE, Flag.IN_PLACE)
        ]
    return models


def write(path: Path, models: Iterable[OneOp]) -> None:
    """Write models for fuzz_ops.cc: everything as 32-bit little-endian words, byte strings after their length."""
    models = list(models)
    parts = [struct.pack("<I", len(models))]
    for model in models:
        name = model.op.tflite_name.encode()
        parts += [struct.pack("<I", len(name)), name, struct.pack("<I", len(model.params)), model.params]
        parts.append(struct.pack("<II", len(model.inputs), len(model.outputs)))
        for i, value in enumerate(model.inputs):
            parts.append(_head(value.dtype.name, i in model.constants, value.shape))
            parts.append(struct.pack("<I", value.size) + value.tobytes())
        for shape, dtype in model.outputs:
            parts.append(_head(dtype, False, shape) + struct.pack("<I", 0))
    path.write_bytes(b"".join(parts))


def _head(dtype: str, constant: bool, shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<III{len(shape)}I", _TYPES[dtype], constant, len(shape), *shape)
