# SPDX-License-Identifier: Apache-2.0
"""Guards: every plan over the candidates gets the calls that its updates need, and no call that none of them needs."""

import itertools

import tvm
from tvm import relax

from tt_tflm.losses import SoftmaxLoss
from tt_tflm.optimizers import OPTIMIZERS
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.choice import Trained
from tvm_passes.guards import ALWAYS, guards
from tvm_passes.kernel import AT_RUN_TIME, INOUT, LOSS, steps_of
from tvm_passes.kernels.geometry import Window, row_stride
from tvm_passes.liveness import root_names
from tvm_passes.order import Order
from tvm_passes.plan_arena import PlanArena, read_plan
from tvm_passes.sparse_gradient import SparseGradient
from tvm_passes.update_in_place import UpdateInPlace

from .programs import binary, conv, dense, lines_of, module_of

W = Window(4, 4, 2, 4, 4, 2, 3, 3, 1, 1, 1, 1)
BITS = {0: 1, 1: 2, 3: 4}
ROWS = {f"rows_{i}": 2 * row_stride(18) for i in range(3)} | {"rows_3": 3 * row_stride(32)}


def _program(kind: str = "sgd", uses: int = 1) -> tvm.IRModule:
    """Three layers with masks in a row, the second used so often, a residual around it, and a head."""
    calls = [
        ("a", conv(W, low=0.0), ["x", "rows_0"]),
        *((f"b{i + 1}", conv(W, low=0.0), [f"b{i}" if i else "a", "rows_1"]) for i in range(uses)),
        ("c", conv(W, low=0.0), [f"b{uses}", "rows_2"]),
        ("u", binary("add", 32), ["a", "c"]),
        ("z", dense(32, 3), ["u", "rows_3"]),
    ]
    module = AttachLoss(SoftmaxLoss().spec(3))(module_of("predict", {"x": 32, **ROWS}, calls, "z"))
    module = SparseGradient({layer: Trained(AT_RUN_TIME) for layer in BITS})(module)
    spec = OPTIMIZERS[kind]().spec(at_run_time=True)
    return Order()(UpdateInPlace(spec if uses == 1 else spec.keeping_gradients())(module))


def _needed(module: tvm.IRModule, layers: set[int]) -> list[bool]:
    """By brute force: the calls of train_step that the updates of those layers depend on, forward and loss included."""
    steps, _ = steps_of(module, "train_step")
    roots = root_names(steps)
    loss_at = next(i for i, step in enumerate(steps) if step.kernel.op == LOSS)
    result = [False] * len(steps)
    wanted: set[str] = set()
    for index in reversed(range(len(steps))):
        step = steps[index]
        targets = {roots[a] for a in step.writes() if isinstance(a, relax.Var)}
        updates = any(name == f"pool_{layer}" or name == f"gradient_{layer}" for name in targets for layer in layers)
        always = index <= loss_at and step.kernel.op != "clip_mask"
        result[index] = updates or always or roots[step.var] in wanted
        if result[index]:
            wanted |= {roots[a] for a in step.args if isinstance(a, relax.Var)}
    return result


def test_a_call_is_needed_by_the_plans_whose_updates_depend_on_it():
    for kind, uses in (("sgd", 1), ("momentum", 1), ("sgd", 3)):
        module = _program(kind, uses)
        found = guards(steps_of(module, "train_step")[0], BITS)
        for count in range(len(BITS) + 1):
            for layers in itertools.combinations(BITS, count):
                chosen = sum(BITS[layer] for layer in layers)
                runs = [guard == ALWAYS or bool(guard & chosen) for guard in found]
                lines = lines_of(module, "train_step")
                needed = _needed(module, set(layers))
                assert list(zip(lines, runs, strict=True)) == list(zip(lines, needed, strict=True)), layers


def test_the_forward_pass_and_the_loss_always_run_and_masks_only_where_they_serve():
    module = _program()
    steps, _ = steps_of(module, "train_step")
    found = guards(steps, BITS)
    masks = {guard for step, guard in zip(steps, found, strict=True) if step.kernel.op == "clip_mask"}
    assert masks
    assert ALWAYS not in masks
    forward = {guard for step, guard in zip(steps, found, strict=True) if step.kernel.op in ("conv2d", "add")}
    assert forward == {ALWAYS}


def test_updates_are_guarded_by_their_layer():
    module = _program("momentum")
    steps, _ = steps_of(module, "apply_update")
    layers = [int(str(step.alias.name).rpartition("_")[2]) for step in steps]
    assert guards(steps, BITS) == [BITS[layer] for layer in layers]
    assert all(param.role == INOUT for step in steps for param in step.kernel.params[-1:])


def test_the_planned_calls_carry_their_guards():
    module = _program()
    steps, _ = steps_of(module, "train_step")
    planned = read_plan(PlanArena(BITS)(module), "train_step")
    assert [call.guard for call in planned.calls] == guards(steps, BITS)
    assert {call.guard for call in read_plan(PlanArena()(module), "train_step").calls} == {ALWAYS}
    assert {call.guard for call in read_plan(PlanArena(BITS)(module), "predict").calls} == {ALWAYS}
