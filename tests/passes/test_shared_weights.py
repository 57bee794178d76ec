# SPDX-License-Identifier: Apache-2.0
"""Operators of an imported graph that read one constant are uses of one layer: one set of rows, one gradient, and rows
that change after the last of their readers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relax

from tt_tflm.losses import SoftmaxLoss
from tt_tflm.optimizers import SGD, Momentum
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.canonicalize import Canonicalize
from tvm_passes.choice import Trained
from tvm_passes.fisher import Fisher
from tvm_passes.imported_graph import UnsupportedGraphError
from tvm_passes.kernel import AT_RUN_TIME, steps_of
from tvm_passes.order import dependencies
from tvm_passes.plan_arena import PlanArena
from tvm_passes.sparse_gradient import SparseGradient, unreached_layers
from tvm_passes.specs import OptimizerSpec
from tvm_passes.update_in_place import UpdateInPlace

from .compiled import Rows
from .imported import constant, conv2d, imported, run_imported
from .planned import Program
from .programs import lines_of, params_of
from .trials import check_close, normal

op, nn = relax.op, relax.op.nn
IMAGE = (1, 4, 6, 3)


def _siamese(emit, x):
    """A convolution with bias on two image sizes, a product without on many positions and on one."""
    kernel, bias, weights = constant(3, 3, 3, 4), constant(4, seed=1), constant(5, 4, seed=2)

    def branch(image: relax.Expr) -> relax.Var:
        return emit(op.add(emit(conv2d(image, kernel, padding=[1, 1, 1, 1])), bias))

    def product(value: relax.Expr) -> relax.Var:
        return emit(op.matmul(value, emit(op.permute_dims(weights, [1, 0]))))

    large, small = branch(x), branch(emit(nn.avg_pool2d(x, (2, 2), (2, 2), layout="NHWC")))
    many = product(emit(op.reshape(small, (1, 6, 4))))
    one = product(emit(op.mean(large, [1, 2])))
    return emit(op.add(emit(op.mean(emit(op.reshape(many, (1, 2, 3, 5))), [1, 2])), one))


def test_equal_constants_are_one_layer_whatever_the_geometry() -> None:
    module = Canonicalize()(relax.transform.DeadCodeElimination()(imported(IMAGE, _siamese)))
    assert params_of(module, "predict") == ["x", "rows_0", "rows_1"]
    read = [line.split(", ")[1] for line in lines_of(module, "predict") if " = conv2d(" in line]
    assert read == ["rows_0)", "rows_0)", "rows_1)", "rows_1)"]
    attrs = module["predict"].attrs
    assert ([str(k) for k in attrs["kinds"]], [int(s) for s in attrs["strides"]]) == (["conv2d", "dense"], [28, 6])
    x = normal(np.random.default_rng(3), *IMAGE)
    rows = {
        f"rows_{i}": Rows(tensor.numpy().reshape(-1, int(stride)), length)
        for i, (tensor, stride, length) in enumerate(zip(attrs["params"], attrs["strides"], (27, 4), strict=True))
    }
    (y,) = Program(PlanArena()(module)).run("predict", {"x": x, **rows})
    check_close(y, run_imported(imported(IMAGE, _siamese), x), "predict")


def test_equal_values_in_constants_of_their_own_stay_layers_of_their_own() -> None:
    def twice(emit, x):
        return emit(op.matmul(emit(op.matmul(x, constant(4, 4))), constant(4, 4)))

    assert params_of(Canonicalize()(imported((1, 4), twice)), "predict") == ["x", "rows_0", "rows_1"]


def _two_products(second: Callable, first: Callable | None = None):
    weights, bias = constant(4, 4), constant(4, seed=1)

    def body(emit, x):
        h = emit(op.tanh((first or second)(emit, emit(op.matmul(x, weights)), x, weights, bias)))
        return second(emit, emit(op.matmul(h, weights)), h, weights, bias)

    return body


REFUSED = {
    "one_bias": (
        _two_products(lambda e, y, *_: y, lambda e, y, _x, _w, bias: e(op.add(y, bias))),
        "to share its bias as they share its weights, received a bias in some uses only",
    ),
    "two_biases": (
        _two_products(lambda e, y, *_: e(op.add(y, constant(4, seed=1)))),
        "to share its bias as they share its weights, received a bias of each use's own",
    ),
    "transposed": (
        _two_products(
            lambda e, _y, h, weights, _b: e(op.matmul(h, e(op.permute_dims(weights, [1, 0])))), lambda e, y, *_: y
        ),
        "to read its weights alike, received one that transposes or reshapes them",
    ),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_tied_in_another_way_is_refused(body, message: str) -> None:
    with pytest.raises(UnsupportedGraphError, match=f"^expected the uses of a layer {message}: give them weights"):
        Canonicalize()(imported((1, 4), body))


# -------------------------------------------------------------- training


def _cell(emit, x):
    weights, bias = constant(3, 3), constant(3, seed=1)
    for _ in range(3):
        x = emit(op.tanh(emit(op.add(emit(op.matmul(x, weights)), bias))))
    return x


def _attached() -> tvm.IRModule:
    return AttachLoss(SoftmaxLoss().spec(3))(Canonicalize()(imported((1, 3), _cell)))


def _trained(optimizer: OptimizerSpec, channels: int = 2) -> tvm.IRModule:
    return UpdateInPlace(optimizer)(SparseGradient({0: Trained(channels)})(_attached()))


@pytest.mark.parametrize(
    ("optimizer", "update"),
    [
        # Without a buffer that lasts, the arena holds the sum until the rows may change.
        (SGD().spec(), "pool_0 := accumulate({}, pool_0)"),
        (Momentum().spec(), "pool_0 := optimizer_update({}, rows_0, hyper, velocity_0, pool_0)"),
        (SGD(batch_size=2).spec(), None),
    ],
    ids=["sgd", "momentum", "sgd_batch"],
)
def test_gradients_of_all_uses_are_summed_before_rows_change(optimizer: OptimizerSpec, update: str | None) -> None:
    module = _trained(optimizer)
    lines = lines_of(module, "train_step")
    first, *more = (line for line in lines if "grad_weights" in line)
    total = first.split()[0]
    assert (total == "gradient_0") == (update is None)
    assert first.endswith(", scale)" if update else ", scale, gradient_0)")
    assert len(more) == 2
    assert all(line.startswith(f"{total} := ") and line.endswith(f", scale, {total})") for line in more)
    assert [line for line in lines if line.startswith("pool_0")] == ([update.format(total)] if update else [])
    assert [int(i) for i in module["train_step"].attrs["gradients"]] == [0]
    if update is not None:
        steps, _ = steps_of(module, "train_step")
        readers = {i for i, s in enumerate(steps[:-1]) for a in s.args if str(a.name) == "rows_0"}
        assert len(readers) == 8  # three forward, three gradients of the rows and two of what came before
        assert readers <= dependencies(steps)[-1]


def test_plain_sgd_of_channels_chosen_on_the_board_has_to_keep_gradients() -> None:
    spec = SGD().spec(at_run_time=True)
    with pytest.raises(ValueError, match="keeps gradients"):
        _trained(spec, AT_RUN_TIME)
    assert "apply_update" in [gv.name_hint for gv in _trained(spec.keeping_gradients(), AT_RUN_TIME).functions]


def test_the_potential_squares_the_sum_over_the_positions_of_all_uses() -> None:
    lines = lines_of(Fisher([0])(_attached()), "fisher")
    dots = [line.partition(" = ")[0] for line in lines if "channel_dot" in line]
    assert len(dots) == 3
    assert [line for line in lines if ":=" in line] == [
        *(f"{dots[0]} := accumulate({dot}, {dots[0]})" for dot in dots[1:]),
        f"potential_0 := accumulate({lines[-2].partition(' = ')[0]}, potential_0)",
    ]
    assert lines[-2].endswith(f"multiply({dots[0]}, {dots[0]})")


def test_a_layer_is_reached_where_one_of_its_uses_is() -> None:
    weights = relax.const(np.eye(3, dtype=np.float32))

    def body(emit: Callable, x: relax.Expr) -> relax.Expr:
        rounded = emit(relax.op.floor(emit(relax.op.matmul(x, weights))))
        return emit(relax.op.matmul(rounded, weights))

    module = Canonicalize()(imported((1, 3), body))
    assert unreached_layers(module) == []
    SparseGradient({0: Trained(3)})(AttachLoss(SoftmaxLoss().spec(3))(module))
