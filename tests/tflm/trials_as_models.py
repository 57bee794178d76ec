# SPDX-License-Identifier: Apache-2.0
"""The trials of the passes' kernels, whose expected values come from TensorFlow, as models of one op.

An op's tensors are those of the kernel of its name; where they differ (rows, losses, optimisers) a function below says
how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from passes.compiled import Rows
from passes.trials import Trial

from tt_tflm.tflite.op_params import WINDOW_FIELDS, Command, Flag, Op, pack
from tvm_passes.kernel import AT_RUN_TIME, INOUT, LOSS, OUT, UPDATE, Kernel

from .one_op import EVERY, OneOp, Result, choice_words, floats, ints

CANDIDATE = 1  # of two, so that an op that ignored the number would be seen
GAP = 6  # floats of the pool before its part
Written = Mapping[str, np.ndarray]
Model = tuple[OneOp, Callable[[Result], Written]]


def flat(value: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """One dimension, of a dtype that TFLM knows."""
    return np.ascontiguousarray(np.asarray(value).ravel().astype(dtype))


def models_of(trial: Trial) -> list[Model]:
    """The models that compute what the trial expects, each with what to compare of its result: for kernels that may
    write over an input, one that does and one that does not."""
    op = op_of(trial.kernel)
    special = _SPECIAL.get(op)
    return special(op, trial) if special is not None else _by_parameters(op, trial)


def op_of(kernel: Kernel) -> Op:
    """The op of a kernel; losses and optimisers have one for each kind."""
    if kernel.op == LOSS:
        return {"softmax": Op.SOFTMAX_CROSS_ENTROPY, "prototype": Op.PROTOTYPE_LOSS}[kernel["kind"]]
    return Op[(kernel["kind"] if kernel.op == UPDATE else kernel.op).upper()]


def bounds(attrs: Mapping[str, float]) -> dict[str, object]:
    """Flags and fields of a clip."""
    flags = (Flag.LOW if "low" in attrs else Flag.NONE) | (Flag.HIGH if "high" in attrs else Flag.NONE)
    return {"flags": flags, "low": attrs.get("low", 0.0), "high": attrs.get("high", 0.0)}


def window_of(attrs: Mapping[str, int]) -> dict[str, int]:
    """Only the fields of the window."""
    return {name: int(attrs[name]) for name in WINDOW_FIELDS}


def _value(trial: Trial, name: str) -> np.ndarray:
    return _tensor(np.asarray(trial.arguments[name]))


def _tensor(value: np.ndarray) -> np.ndarray:
    return flat(value) if value.dtype.kind == "f" else flat(value, np.uint32).view(np.int32)


def _fields(op: Op, attrs: Mapping[str, object]) -> dict[str, object]:
    if op in (Op.CLIP, Op.CLIP_MASK, Op.CLIP_GRAD):
        return bounds(attrs)
    if op in (Op.CROP2D, Op.AVG_POOL_GRAD, Op.MAX_POOL_GRAD):
        return {"window": window_of(attrs)}
    return dict(attrs)


def _by_parameters(op: Op, trial: Trial) -> list[Model]:
    kernel = trial.kernel
    names = [p.name for p in kernel.params if p.role != OUT]
    outs = [p for p in kernel.params if p.role == OUT]
    active = () if op in (Op.CLIP, Op.AFFINE) else (EVERY,)
    inputs = (*(_value(trial, name) for name in names), *active)
    fields = _fields(op, kernel.attrs)
    outputs = tuple(floats(p.elements) if p.dtype == "float32" else ints(p.elements) for p in outs)

    def written(result: Result) -> Written:
        values = {p.name: result.inputs[names.index(p.name)] for p in kernel.params if p.role == INOUT}
        values |= {p.name: value for p, value in zip(outs, result.outputs, strict=True)}
        return {name: _as(trial, name, value) for name, value in values.items()}

    models: list[Model] = [(OneOp(op, pack(op, **fields), inputs, outputs), written)]
    if names[0] in kernel.overlay and op is not Op.COPY:
        flags = fields.pop("flags", Flag.NONE) | Flag.IN_PLACE
        in_place = OneOp(op, pack(op, flags, **fields), inputs)
        models.append((in_place, lambda result: {outs[0].name: result.inputs[0]}))
    return models


def _as(trial: Trial, name: str, value: np.ndarray) -> np.ndarray:
    return value.view(np.uint32) if np.asarray(trial.expected[name]).dtype.kind == "u" else value


# ------------------------------------------------------------------------------------------------------ rows


def placed(rows: Rows, blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base, pool and choice of the second of two candidates: what no op may read is NaN."""
    trained = list(rows.trained)
    values = rows.values.copy()
    values[:, rows.row_length + 1 :] = np.nan
    size = len(trained) * values.shape[1]
    pool = np.full(GAP + blocks * size + 2, np.nan, np.float32)
    pool[GAP : GAP + size] = values[trained].ravel()
    values[trained] = np.nan
    return values, pool, choice_words([((0,), 0), (trained, GAP)])


def _depthwise(op: Op) -> bool:
    return op.name.startswith("DEPTHWISE")


def _forward(op: Op, trial: Trial) -> list[Model]:
    attrs, rows = trial.kernel.attrs, trial.arguments["rows"]
    clip, y = bounds(attrs), trial.kernel.param("y").elements
    window = window_of(attrs)
    trained = pack(op, window=window, stride=rows.values.shape[1], candidate=CANDIDATE, copies=1, **clip)
    frozen = pack(op, window=window, stride=rows.row_length, candidate=-1, copies=0, **clip)
    base, pool, choice = placed(rows, 1)
    x, bias = _value(trial, "x"), rows.values[:, rows.row_length].copy()
    return [
        (OneOp(op, trained, (x, base, pool, choice), (floats(y),)), lambda result: {"y": result.outputs[0]}),
        (OneOp(op, frozen, (x, _filter(op, rows), bias), (floats(y),)), lambda result: {"y": result.outputs[0]}),
    ]


def _filter(op: Op, rows: Rows) -> np.ndarray:
    """The weights as a TFLite filter: (O, kh * kw * C), depthwise (kh * kw, C)."""
    weights = rows.values[:, : rows.row_length]
    return np.ascontiguousarray(weights.T if _depthwise(op) else weights)


def _grad_input(op: Op, trial: Trial) -> list[Model]:
    attrs, rows = trial.kernel.attrs, trial.arguments["rows"]
    accumulate = trial.kernel.param("dx").role == INOUT
    flags = Flag.ACCUMULATE if accumulate else Flag.NONE
    base, pool, choice = placed(rows, 2)
    common = {"window": window_of(attrs), "low": 0.0, "high": 0.0}
    trained = pack(op, flags, stride=rows.values.shape[1], candidate=CANDIDATE, copies=2, **common)
    frozen = pack(op, flags, stride=rows.row_length, candidate=-1, copies=0, **common)
    models: list[Model] = []
    for params, weights in ((trained, (base, pool, choice)), (frozen, (_filter(op, rows),))):
        head = (_value(trial, "g"), *weights)
        if accumulate:
            one = OneOp(op, params, (*head, _value(trial, "dx"), EVERY))
            models.append((one, lambda result: {"dx": result.inputs[-2]}))
        else:
            one = OneOp(op, params, (*head, EVERY), (floats(trial.kernel.param("dx").elements),))
            models.append((one, lambda result: {"dx": result.outputs[0]}))
    return models


def _grad_weights(op: Op, trial: Trial) -> list[Model]:
    kernel, rows = trial.kernel, trial.arguments["rows"]
    scale = float(trial.arguments["scale"][0])
    flags = Flag.BIAS if kernel["bias"] else Flag.NONE
    flags |= Flag.WEIGHTS if kernel["weights"] else Flag.NONE
    d = kernel.param("d")
    size = len(rows.trained) * rows.values.shape[1]
    fields = {
        "window": window_of(kernel.attrs),
        "stride": rows.values.shape[1],
        "candidate": CANDIDATE,
        "copies": 3,
    }
    _, pool, choice = placed(rows, 3)
    x, g = _value(trial, "x"), _value(trial, "g")
    if d.role == OUT and kernel["trained"] != AT_RUN_TIME:
        params = pack(op, flags, block=-1, scale=scale, **fields)
        own = OneOp(op, params, (x, g, pool, choice, EVERY), (floats(size),), frozenset({3}))
        return [(own, lambda result: {"d": result.outputs[0]})]
    inputs: tuple[np.ndarray, ...] = (x, g, pool, choice, EVERY)
    start = GAP + 2 * size
    if d.role == INOUT:
        flags |= Flag.ACCUMULATE
        pool[start : start + size] = flat(trial.arguments["d"])[:size]
    if scale < 0:
        # The rate in the parameters counts only where the input is 0.
        flags |= Flag.RATE
        inputs = (*inputs[:-1], np.float32([-scale]), EVERY)
        scale = 7.0
    in_pool = OneOp(op, pack(op, flags, block=2, scale=scale, **fields), inputs)
    rest = flat(trial.expected["d"])[size:]
    return [(in_pool, lambda result: {"d": np.concatenate([result.inputs[2][start : start + size], rest])})]


# ------------------------------------------------------------------------------------------------------ the rest


def _loss(op: Op, trial: Trial) -> list[Model]:
    label = flat(trial.arguments["label"], np.int32)
    train = np.int32([Command.TRAIN])
    if op is Op.PROTOTYPE_LOSS:
        struct = trial.arguments["prototypes"]
        sums, counts = struct.keep
        classes, elements = sums.shape
        params = pack(op, classes=classes, elements=elements, batch_size=3, temperature=struct.temperature)
        inputs = (_value(trial, "output"), label, train, flat(sums), _tensor(counts))

        def written(result: Result) -> Written:
            loss, scores, g = result.outputs
            chances = np.exp(scores - scores.max())
            g_scores = chances / chances.sum() - np.eye(classes)[label[0]]
            return {"loss": loss, "scores": g_scores, "g": g}

        return [(OneOp(op, params, inputs, (floats(1), floats(classes), floats(elements))), written)]
    logits = _value(trial, "output")
    fields = {"classes": logits.size, "elements": logits.size, "batch_size": 3, "temperature": 0.0}
    inputs = (logits, label, train)
    return [
        (
            OneOp(op, pack(op, **fields), inputs, (floats(1), floats(logits.size))),
            lambda result: {"loss": result.outputs[0], "g": result.outputs[1]},
        ),
        (
            OneOp(op, pack(op, Flag.IN_PLACE, **fields), inputs, (floats(1),)),
            lambda result: {"loss": result.outputs[0], "g": result.inputs[0]},
        ),
    ]


_MOMENTS = {Op.SGD: (), Op.MOMENTUM: ("velocity",), Op.ADAM: ("first_moment", "second_moment")}


def _optimizer(op: Op, trial: Trial) -> list[Model]:
    rows, moments = trial.arguments["rows"], _MOMENTS[op]
    stride, trained = rows.values.shape[1], list(rows.trained)
    n = len(trained) * stride
    rate, *constants = (float(value) for value in trial.arguments["hyper"])
    names = {Op.SGD: (), Op.MOMENTUM: ("momentum",), Op.ADAM: ("beta_1", "beta_2", "epsilon")}[op]
    known = dict(zip(names, constants, strict=False))
    fields = {
        "channels": rows.values.shape[0],
        "stride": stride,
        "candidate": CANDIDATE,
        "learning_rate": rate,
        **{name: known.get(name, 0.0) for name in ("momentum", "beta_1", "beta_2", "epsilon")},
    }
    state = [flat(trial.arguments["pool"]), *(flat(trial.arguments[name]) for name in moments)]
    choice = choice_words([((), 0), (trained, GAP)])
    gap = np.full(GAP, np.nan, np.float32)
    gradient, given, none = _value(trial, "g"), np.float32([0]), np.float32([rate])
    # The trial is the second step of the optimiser.
    first = (choice, given, np.int32([1, 1, 0]), EVERY)
    of_a_batch = (choice, none, np.int32([1, 1, 3]), EVERY)

    def written(pool: np.ndarray) -> Written:
        blocks = pool[GAP : GAP + (1 + len(moments)) * n].reshape(-1, n)
        return dict(zip(("pool", *moments), blocks, strict=True))

    own = pack(op, block=-1, copies=1 + len(moments), **fields)
    batch = pack(op, block=1 + len(moments), copies=2 + len(moments), **fields)
    return [
        (
            OneOp(op, own, (gradient, np.concatenate([gap, *state]), *first), (), frozenset({2})),
            lambda result: written(result.inputs[1]),
        ),
        (
            OneOp(op, batch, (np.concatenate([gap, *state, gradient]), *of_a_batch)),
            lambda result: written(result.inputs[0]),
        ),
    ]


_SPECIAL = {
    **dict.fromkeys((Op.CONV2D, Op.DEPTHWISE_CONV2D), _forward),
    **dict.fromkeys((Op.CONV2D_GRAD_INPUT, Op.DEPTHWISE_CONV2D_GRAD_INPUT), _grad_input),
    **dict.fromkeys((Op.CONV2D_GRAD_WEIGHTS, Op.DEPTHWISE_CONV2D_GRAD_WEIGHTS), _grad_weights),
    **dict.fromkeys((Op.SOFTMAX_CROSS_ENTROPY, Op.PROTOTYPE_LOSS), _loss),
    **dict.fromkeys((Op.SGD, Op.MOMENTUM, Op.ADAM), _optimizer),
}
