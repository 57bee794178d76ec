# SPDX-License-Identifier: Apache-2.0
"""Every rule inside a small network: the gradient of a layer below it, through the whole pipeline, against
tf.GradientTape; and what each rule keeps of the forward pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf
import tvm
from tvm import relax

from tt_tflm.losses import SoftmaxLoss
from tt_tflm.optimizers import SGD
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.choice import Trained
from tvm_passes.kernel import OUT, Kernel, Param
from tvm_passes.kernels.geometry import Window, row_stride
from tvm_passes.kernels.tiling import CORTEX_M, HOST
from tvm_passes.ops import GRADIENTS
from tvm_passes.pipeline import training_program
from tvm_passes.sparse_gradient import SparseGradient

from . import windows
from .compiled import Rows
from .planned import Program, TrainedRows
from .programs import Call, binary, concat, conv, conv_transpose, dense, depthwise, lines_of, module_of, unary
from .test_primitives import called
from .trials import check_close, normal

INPUT = Window(5, 4, 3, 5, 4, 4, 3, 3, 1, 1, 1, 1)  # the layer whose gradient is checked: x to "h", (5, 4, 4)
POSITIONS, CHANNELS = INPUT.pixels, INPUT.O
N = POSITIONS * CHANNELS
CLASSES = 3
SPREAD = Window(5, 4, 4, 3, 4, 4, 3, 2, 2, 1, 1, 0)
SPARSE = Window(5, 4, 4, 3, 2, 6, 3, 2, 1, 2, 1, 0, 2, 1, groups=2)
LARGER = Window(5, 4, 4, 10, 7, 3, 3, 2, 2, 2, 1, 1)
WIDEN = Window(5, 4, 4, 5, 4, 8, 3, 3, 1, 1, 1, 1)
PADDED = Window(5, 4, 4, 8, 6, 4, 1, 1, 1, 1, 2, 1)
GLOBAL = Window(5, 4, 4, 1, 1, 4, 5, 4, 1, 1, 0, 0)

Tensors = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Net:
    """What lies between the layer and the classifier: calls from ``h`` to ``y``, TensorFlow's version (tensors by name,
    h as (1, 5, 4, 4)), how the rule keeps what it needs, and further weights."""

    calls: Sequence[Call]
    reference: Callable[[Tensors], tf.Tensor]
    kept: tuple[str, ...] = ()
    rows: dict[str, tuple[int, int]] | None = None  # name -> (channels, row length)
    constants: dict[str, np.ndarray] | None = None


def _unary(op: str, function: Callable[[tf.Tensor], tf.Tensor], *kept: str, **attrs: object) -> Net:
    return Net([("y", unary(op, N, **attrs), ["h"])], lambda t: function(t["h"]), kept)


def _window(op: str, w: Window, function: Callable[[tf.Tensor, Window], tf.Tensor], *kept: str) -> Net:
    kernel = Kernel(op, (Param("x", N), Param("y", w.pixels * w.C, OUT)), w.attrs())
    return Net([("y", kernel, ["h"])], lambda t: function(t["h"], w), kept)


GATE_CALLS = [
    ("mean", Kernel("avg_pool", (Param("x", N), Param("y", CHANNELS, OUT)), GLOBAL.attrs()), ["h"]),
    ("gate", unary("sigmoid", CHANNELS), ["mean"]),
    (
        "y",
        Kernel("multiply_channel", (Param("x", N), Param("gate", CHANNELS), Param("y", N, OUT)), {}, ("x",)),
        ["h", "gate"],
    ),
]
AFFINE = Kernel(
    "affine", (Param("x", N), Param("scale", CHANNELS), Param("shift", CHANNELS), Param("y", N, OUT)), {}, ("x",)
)
SCALE, SHIFT = np.float32([0.5, -2, 1, 3]), np.float32([1, 2, 3, 4])

NETS = {
    "conv2d": Net(
        [("y", conv(SPREAD), ["h", "rows_2"])],
        lambda t: windows.conv2d(t["h"], t["rows_2"], SPREAD),
        rows={"rows_2": (4, SPREAD.taps * 4)},
    ),
    "depthwise_conv2d": Net(
        [("y", depthwise(WIDEN, low=0.0), ["h", "rows_2"])],
        lambda t: tf.nn.relu(windows.depthwise_conv2d(t["h"], t["rows_2"], WIDEN)),
        ("clip_mask",),
        rows={"rows_2": (8, WIDEN.taps)},
    ),
    "grouped_and_dilated": Net(
        [("y", conv(SPARSE), ["h", "rows_2"])],
        lambda t: windows.conv2d(t["h"], t["rows_2"], SPARSE),
        rows={"rows_2": (6, SPARSE.taps * 2)},
    ),
    "conv2d_transpose": Net(
        [("y", conv_transpose(LARGER, low=0.0), ["h", "rows_2"])],
        lambda t: tf.nn.relu(windows.conv2d_transpose(t["h"], t["rows_2"], LARGER)),
        ("clip_mask",),
        rows={"rows_2": (3, LARGER.taps * 4)},
    ),
    "clip": _unary("clip", tf.nn.relu6, "clip_mask", low=0.0, high=6.0),
    "leaky_relu": _unary("leaky_relu", lambda h: tf.nn.leaky_relu(h, 0.3), "leaky_relu", alpha=0.3),
    "sigmoid": _unary("sigmoid", tf.nn.sigmoid, "sigmoid"),
    "tanh": _unary("tanh", tf.nn.tanh, "tanh"),
    "softmax": _unary("softmax", tf.nn.softmax, "softmax", classes=CHANNELS),
    "hard_swish": _unary("hard_swish", lambda h: h * tf.nn.relu6(h + 3) / 6, "conv2d"),
    "add": Net(
        [("t", unary("tanh", N), ["h"]), ("y", binary("add", N), ["h", "t"])],
        lambda t: t["h"] + tf.nn.tanh(t["h"]),
        ("tanh",),
    ),
    "add_to_itself": Net([("y", binary("add", N), ["h", "h"])], lambda t: t["h"] + t["h"]),
    "multiply": Net(
        [("t", unary("tanh", N), ["h"]), ("y", binary("multiply", N), ["h", "t"])],
        lambda t: t["h"] * tf.nn.tanh(t["h"]),
        ("conv2d", "tanh"),
    ),
    "square": Net([("y", binary("multiply", N), ["h", "h"])], lambda t: t["h"] * t["h"], ("conv2d",)),
    "multiply_channel": Net(
        GATE_CALLS,
        lambda t: t["h"] * tf.nn.sigmoid(tf.reduce_mean(t["h"], (1, 2), keepdims=True)),
        ("conv2d", "sigmoid"),
    ),
    "affine": Net(
        [("y", AFFINE, ["h", "scale", "shift"])],
        lambda t: t["h"] * SCALE.astype(np.float64) + SHIFT,
        constants={"scale": SCALE, "shift": SHIFT},
    ),
    "concat": Net(
        [("t", unary("tanh", N), ["h"]), ("y", concat(N, N), ["t", "h"])],
        lambda t: tf.concat([tf.reshape(tf.nn.tanh(t["h"]), [-1]), tf.reshape(t["h"], [-1])], 0),
        ("tanh",),
    ),
    "pad2d": Net(
        [("y", Kernel("pad2d", (Param("x", N), Param("y", PADDED.pixels * 4, OUT)), PADDED.attrs()), ["h"])],
        lambda t: tf.pad(t["h"], [[0, 0], [2, 1], [1, 1], [0, 0]]),
    ),
    "avg_pool": _window("avg_pool", SPREAD, windows.avg_pool),
    "max_pool": _window("max_pool", SPREAD, windows.max_pool, "conv2d"),
    "residual": Net(
        [
            ("t", conv(WIDEN, low=0.0), ["h", "rows_2"]),
            ("u", conv(Window(5, 4, 8, 5, 4, 4, 1, 1, 1, 1, 0, 0)), ["t", "rows_3"]),
            ("y", binary("add", N), ["u", "h"]),
        ],
        lambda t: (
            t["h"]
            + windows.conv2d(
                tf.nn.relu(windows.conv2d(t["h"], t["rows_2"], WIDEN)),
                t["rows_3"],
                Window(5, 4, 8, 5, 4, 4, 1, 1, 1, 1, 0, 0),
            )
        ),
        ("clip_mask",),
        rows={"rows_2": (8, WIDEN.taps * 4), "rows_3": (4, 8)},
    ),
}


def _module(net: Net) -> tvm.IRModule:
    head = net.calls[-1][1].params[-1].elements
    calls = [("h", conv(INPUT), ["x", "rows_0"]), *net.calls, ("z", dense(head, CLASSES), ["y", "rows_1"])]
    params = {"x": 60, "rows_0": 4 * row_stride(27), "rows_1": CLASSES * row_stride(head)}
    params |= {name: channels * row_stride(length) for name, (channels, length) in (net.rows or {}).items()}
    constants = {name: relax.const(value) for name, value in (net.constants or {}).items()}
    return module_of("predict", params, calls, "z", constants=constants)


def _rows(net: Net, rng: np.random.Generator) -> dict[str, tuple[np.ndarray, int]]:
    head = net.calls[-1][1].params[-1].elements
    sizes = {"rows_0": (4, 27), "rows_1": (CLASSES, head), **(net.rows or {})}
    return {
        name: ((normal(rng, channels, row_stride(length)) / np.sqrt(length)).astype(np.float32), length)
        for name, (channels, length) in sizes.items()
    }


def _expected(net: Net, x: np.ndarray, rows: dict[str, tuple[np.ndarray, int]], label: int) -> np.ndarray:
    tensors = {name: tf.constant(values[:, : length + 1], tf.float64) for name, (values, length) in rows.items()}
    with tf.GradientTape() as tape:
        tape.watch(tensors["rows_0"])
        h = windows.conv2d(windows.image(x, INPUT), tensors["rows_0"], INPUT)
        y = tf.reshape(net.reference({**tensors, "h": h}), [-1])
        logits = tf.linalg.matvec(tensors["rows_1"][:, :-1], y) + tensors["rows_1"][:, -1]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], logits[None])
    return tape.gradient(loss, tensors["rows_0"]).numpy()


@pytest.mark.parametrize("tiling", [HOST, CORTEX_M], ids=["host", "cortex_m"])
@pytest.mark.parametrize("name", NETS)
def test_the_update_equals_the_gradient_tape(name, tiling):
    net, rng = NETS[name], np.random.default_rng(7)
    rows, x, label, rate = _rows(net, rng), normal(rng, 60), 1, 0.5
    chosen = (0, 2, 3)
    module = training_program(_module(net), SoftmaxLoss().spec(CLASSES), {0: Trained(len(chosen))}, SGD().spec())
    trained = TrainedRows(*rows["rows_0"], chosen)
    before = trained.pool.copy()
    arguments = {
        **{key: Rows(*value) for key, value in rows.items()},
        "x": x,
        "rows_0": trained,
        "pool_0": trained.pool,
        "label": np.uint32([label]),
        "loss": np.zeros(1, np.float32),
        "scale": np.float32([-rate]),
    }
    Program(module, tiling).run("train_step", arguments)
    change = (trained.pool - before)[:, :28]
    check_close(change.ravel(), -rate * _expected(net, x, rows, label)[list(chosen)], name)


@pytest.mark.parametrize("name", NETS)
def test_a_rule_keeps_no_more_than_it_needs(name):
    module = SparseGradient({0: Trained(3)})(AttachLoss(SoftmaxLoss().spec(CLASSES))(_module(NETS[name])))
    lines = lines_of(module, "train_step")
    loss = next(i for i, line in enumerate(lines) if " loss(" in line)
    forward = {line.split(" = ")[0]: line.split(" = ")[1].split("(")[0] for line in lines[:loss]}
    read = {word for line in lines[loss + 1 :] for word in re.findall(r"%\d+", line.split("(")[1])}
    assert sorted(forward[name] for name in forward if name in read) == sorted(NETS[name].kept)


def test_every_rule_is_tried():
    tried = {call[1].op for net in NETS.values() for call in net.calls}
    # Those that only int8 programs have are tried in tests/int8.
    assert tried | called() | {"requantize", "dequantize"} >= set(GRADIENTS)
