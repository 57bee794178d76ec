# SPDX-License-Identifier: Apache-2.0
"""Where the optimiser's steps go: into the gradient kernel, after it, or into a function of their own."""

import pytest
import tvm

from tt_tflm.losses import SoftmaxLoss
from tt_tflm.optimizers import OPTIMIZERS, SGD, Adam, Momentum
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.choice import Trained
from tvm_passes.kernel import INOUT, OUT, UPDATE, steps_of
from tvm_passes.kernels.geometry import row_stride
from tvm_passes.order import dependencies
from tvm_passes.sparse_gradient import SparseGradient
from tvm_passes.update_in_place import UpdateInPlace

from .programs import dense, kernels_of, lines_of, module_of, params_of

FORWARD = ["x", "rows_0", "rows_1", "label", "loss", "scale"]


def _before() -> tvm.IRModule:
    calls = [("h", dense(6, 4, low=0.0), ["x", "rows_0"]), ("z", dense(4, 3), ["h", "rows_1"])]
    rows = {"rows_0": 4 * row_stride(6), "rows_1": 3 * row_stride(4)}
    module = AttachLoss(SoftmaxLoss().spec(3))(module_of("predict", {"x": 6, **rows}, calls, "z"))
    return SparseGradient({0: Trained(2), 1: Trained(3)})(module)


def _after(kind: str, batch_size: int = 1, **options: object) -> tvm.IRModule:
    return UpdateInPlace(OPTIMIZERS[kind](batch_size=batch_size).spec(**options))(_before())


def _tail(module: tvm.IRModule) -> list[str]:
    """The lines of train_step after the loss."""
    lines = lines_of(module, "train_step")
    return lines[next(i for i, line in enumerate(lines) if " loss(" in line) + 1 :]


def _update(kind: str, gradient: str, layer: int, hyper: str, moments: list[str]) -> str:
    arguments = [gradient, f"rows_{layer}", hyper, *(f"{moment}_{layer}" for moment in moments), f"pool_{layer}"]
    return f"pool_{layer} := {UPDATE}({', '.join(arguments)})"


def test_plain_sgd_is_part_of_the_gradient_kernel():
    module = _after("sgd")
    assert params_of(module, "train_step") == [*FORWARD, "pool_1", "pool_0"]
    assert _tail(module) == [
        "%3 = conv2d_grad_input(%2, rows_1)",
        "pool_1 := conv2d_grad_weights(%0, %2, rows_1, scale, pool_1)",
        "%4 = clip_grad(%3, %0)",
        "pool_0 := conv2d_grad_weights(x, %4, rows_0, scale, pool_0)",
    ]
    assert [k.param("d").role for k in kernels_of(module, "train_step", "conv2d_grad_weights")] == [INOUT, INOUT]


@pytest.mark.parametrize(
    ("kind", "hyper", "moments"),
    [("momentum", "hyper", ["velocity"]), ("adam", "hyper", ["first_moment", "second_moment"])],
)
def test_optimisers_with_state_take_the_gradient_from_the_arena(kind, hyper, moments):
    module = _after(kind)
    states = [[f"{name}_{layer}" for name in ("pool", *moments)] for layer in (1, 0)]
    assert params_of(module, "train_step") == [*FORWARD, hyper, *states[0], *states[1]]
    updates = [line for line in _tail(module) if line.startswith("pool")]
    assert updates == [_update(kind, d, layer, hyper, moments) for layer, d in ((1, "%4"), (0, "%6"))]
    assert [k.param("d").role for k in kernels_of(module, "train_step", "conv2d_grad_weights")] == [OUT, OUT]


def test_the_kernel_of_an_optimiser_names_its_function_and_takes_its_numbers():
    (kernel, *_) = kernels_of(_after("momentum"), "train_step", UPDATE)
    assert dict(kernel.attrs) == {"kind": "momentum", "function": "tt_momentum_update"}
    assert [(p.name, p.role) for p in kernel.params] == [
        ("g", "in"),
        ("rows", "rows"),
        ("hyper", "in"),
        ("velocity", "inout"),
        ("pool", "inout"),
    ]
    assert kernel.param("hyper").elements == 2  # learning rate, momentum
    (kernel, *_) = kernels_of(_after("adam"), "train_step", UPDATE)
    assert kernel.param("hyper").elements == 6  # learning rate, two rates of decay, epsilon, two powers


@pytest.mark.parametrize(
    ("kind", "hyper", "moments"),
    [("sgd", "hyper", []), ("momentum", "hyper", ["velocity"]), ("adam", "hyper", ["first_moment", "second_moment"])],
)
def test_batches_accumulate_and_update_in_a_function_of_their_own(kind, hyper, moments):
    module = _after(kind, 4)
    assert params_of(module, "train_step") == [*FORWARD, "gradient_1", "gradient_0"]
    assert [line for line in _tail(module) if line.startswith("gradient")] == [
        "gradient_1 := conv2d_grad_weights(%0, %2, rows_1, scale, gradient_1)",
        "gradient_0 := conv2d_grad_weights(x, %4, rows_0, scale, gradient_0)",
    ]
    states = [f"{name}_{layer}" for layer in (1, 0) for name in ("pool", *moments, "gradient")]
    assert params_of(module, "apply_update") == [hyper, "rows_1", "rows_0", *states]
    assert lines_of(module, "apply_update") == [
        _update(kind, f"gradient_{layer}", layer, hyper, moments) for layer in (1, 0)
    ]


def test_without_batches_there_is_no_second_function():
    for kind in ("sgd", "momentum", "adam"):
        assert "apply_update" not in [gv.name_hint for gv in _after(kind).functions]


def test_channels_chosen_on_the_board_accumulate_too():
    module = _after("momentum", at_run_time=True)
    assert params_of(module, "train_step") == [*FORWARD, "gradient_1", "gradient_0"]
    assert params_of(_after("sgd", at_run_time=True), "train_step") == [*FORWARD, "pool_1", "pool_0"]


@pytest.mark.parametrize(
    ("spec", "fused", "accumulates", "state"),
    [
        (SGD().spec(), True, False, ()),
        (SGD(batch_size=2).spec(), False, True, ("gradient",)),
        (Momentum().spec(), False, False, ("velocity",)),
        (Adam(batch_size=2).spec(), False, True, ("first_moment", "second_moment", "gradient")),
        (Adam().spec(at_run_time=True), False, True, ("first_moment", "second_moment", "gradient")),
        (SGD().spec(at_run_time=True), True, False, ()),
    ],
)
def test_what_persists_for_an_optimiser(spec, fused, accumulates, state):
    assert (spec.fused, spec.accumulates, spec.state) == (fused, accumulates, state)


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam"])
def test_the_layers_of_the_results_are_listed_and_predict_stays(kind):
    module = _after(kind)
    assert [int(i) for i in module["train_step"].attrs["gradients"]] == [1, 0]
    assert lines_of(module, "predict") == lines_of(_before(), "predict")


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam"])
def test_rows_are_updated_after_all_who_read_them(kind):
    module = _after(kind)
    steps, _ = steps_of(module, "train_step")
    before = dependencies(steps)
    for layer in (0, 1):
        readers = {i for i, s in enumerate(steps) for a in s.args if str(a.name) == f"rows_{layer}"}
        update = next(i for i, s in enumerate(steps) if s.alias is not None and str(s.alias.name) == f"pool_{layer}")
        assert readers - {update} <= before[update]
