# SPDX-License-Identifier: Apache-2.0
"""All passes on random networks: the plan computes what the graph means, and the C what TensorFlow does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st

from tt_tflm.losses import SoftmaxLoss
from tt_tflm.optimizers import SGD, Adam, Momentum
from tt_tflm.plan.tail import tail_optimizer
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.choice import Trained
from tvm_passes.kernel import AT_RUN_TIME, OUT, Kernel, Param, row_length, steps_of
from tvm_passes.kernels.geometry import Window, row_stride
from tvm_passes.kernels.tiling import CORTEX_M, HOST, Tiling
from tvm_passes.liveness import buffers_of, lower_bound
from tvm_passes.ops import WEIGHTED
from tvm_passes.pipeline import (
    canonical,
    dynamic_program,
    lower_to_c,
    planned_functions,
    training_program,
)
from tvm_passes.sparse_gradient import SparseGradient
from tvm_passes.specs import OptimizerSpec
from tvm_passes.update_in_place import UpdateInPlace

from .compiled import Rows
from .imported import constant, conv2d, imported, run_imported
from .planned import PREFIX, Program, TrainedRows
from .programs import Call, binary, conv, dense, depthwise, module_of, unary
from .symbolic import Symbols, run_plan, run_steps
from .trials import Draw, check_close, normal, same_in_every_run

CLASSES = 3
LOSS = SoftmaxLoss().spec(CLASSES)
KINDS = {"sgd": SGD, "momentum": Momentum, "adam": Adam}
OPTIMIZERS = {
    "sgd": SGD().spec(),
    "sgd_batch": SGD(batch_size=3).spec(),
    "momentum": Momentum().spec(),
    "adam": Adam().spec(),
    "adam_batch": Adam(batch_size=2).spec(),
}


@dataclass(frozen=True)
class Net:
    """A canonical module, the number of its layers, and what is trained."""

    module: tvm.IRModule
    layers: int
    trained: dict[int, Trained]


class _Sketch:
    """A network of 4 x 3 images of four channels whose tensors can be joined at any time."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.calls: list[Call] = []
        self.rows: dict[str, int] = {}
        self.forms: dict[str, tuple[str, int]] = {}
        self.tensors = ["x"]

    def add(self, kernel: Kernel, *arguments: str) -> None:
        self.tensors.append(f"v{len(self.calls)}")
        self.calls.append((self.tensors[-1], kernel, arguments))

    def weights(self, kernel: Kernel) -> str:
        """Rows of its own, or those of a layer that is used once more."""
        form = kernel.op, kernel.param("rows").elements
        known = [name for name, other in self.forms.items() if other == form]
        if known and self.draw(st.booleans()):
            return self.draw(st.sampled_from(known))
        name = f"rows_{len(self.rows)}"
        self.rows[name] = kernel.param("rows").elements
        self.forms[name] = form
        return name

    def layer(self) -> None:
        bounds = self.draw(st.sampled_from(({}, {"low": 0.0}, {"low": 0.0, "high": 6.0})))
        make = self.draw(st.sampled_from((conv, depthwise)))
        size = self.draw(st.sampled_from((1, 3)))
        kernel = make(Window(4, 3, 4, 4, 3, 4, size, size, 1, 1, size // 2, size // 2), **bounds)
        self.add(kernel, self.tensors[-1], self.weights(kernel))

    def activation(self) -> None:
        attrs = {"clip": {"low": 0.0}, "tanh": {}, "hard_swish": {}, "leaky_relu": {"alpha": 0.1}}
        op = self.draw(st.sampled_from(sorted(attrs)))
        self.add(unary(op, 48, **attrs[op]), self.tensors[-1])

    def join(self) -> None:
        op = self.draw(st.sampled_from(("add", "add", "multiply")))
        self.add(binary(op, 48), self.draw(st.sampled_from(self.tensors[-4:])), self.tensors[-1])

    def pool(self) -> None:
        w = Window(4, 3, 4, 4, 3, 4, 3, 2, 1, 1, 1, 0)
        op = self.draw(st.sampled_from(("max_pool", "avg_pool")))
        self.add(Kernel(op, (Param("x", 48), Param("y", 48, OUT)), w.attrs()), self.tensors[-1])

    def run(self) -> Net:
        for _ in range(self.draw(st.integers(1, 7))):
            self.draw(st.sampled_from((self.layer, self.layer, self.activation, self.join, self.pool)))()
        head = dense(48, CLASSES)
        self.add(head, self.tensors[-1], self.weights(head))
        module = module_of("predict", {"x": 48, **self.rows}, self.calls, self.tensors[-1])
        channels = [4] * (len(self.rows) - 1) + [CLASSES]
        chosen = self.draw(st.sets(st.integers(0, len(self.rows) - 1), min_size=1))
        trained = {
            layer: Trained(self.draw(st.integers(1, channels[layer])), self.draw(st.booleans()))
            for layer in sorted(chosen)
        }
        return Net(module, len(self.rows), trained)


@st.composite
def networks(draw: Draw) -> Net:
    return _Sketch(draw).run()


@same_in_every_run(60)
@given(networks(), st.sampled_from(sorted(OPTIMIZERS)))
def test_the_plan_computes_what_the_graph_means(net, optimizer):
    spec = OPTIMIZERS[optimizer]
    meant = UpdateInPlace(spec)(SparseGradient(net.trained)(AttachLoss(LOSS)(net.module)))
    planned = training_program(net.module, LOSS, net.trained, spec)
    for name, function in planned_functions(planned).items():
        symbols = Symbols()
        assert run_plan(symbols, function) == run_steps(symbols, *steps_of(meant, name)), name
        bound = lower_bound(buffers_of(*steps_of(meant, name)))
        assert function.arena_lower_bound_bytes <= bound, f"{name}: ordered worse than given"
        assert function.arena_lower_bound_bytes <= function.arena_bytes <= 1.1 * function.arena_lower_bound_bytes + 16


@same_in_every_run(30)
@given(networks(), st.sampled_from(["sgd", "momentum", "adam"]))
def test_a_program_for_any_plan_computes_what_the_graph_means(net, kind):
    candidates = {layer: Trained(AT_RUN_TIME) for layer in range(net.layers)}
    spec = tail_optimizer(net.module, list(candidates), KINDS[kind]().spec(at_run_time=True))
    meant = UpdateInPlace(spec)(SparseGradient(candidates)(AttachLoss(LOSS)(net.module)))
    functions = planned_functions(dynamic_program(net.module, LOSS, candidates, spec))
    assert set(functions) == {"fisher", "predict", "train_step"} | (set() if spec.fused else {"apply_update"})
    for name in set(functions) - {"fisher"}:
        symbols = Symbols()
        assert run_plan(symbols, functions[name]) == run_steps(symbols, *steps_of(meant, name)), name


# -------------------------------------------------------------- values


def _rows(net: Net) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: 0.4 * normal(rng, kernel["O"], kernel["stride"]) for name, kernel in sorted(_weighted(net).items())}


def _weighted(net: Net) -> dict[str, Kernel]:
    """The layers by the names of their rows."""
    steps, _ = steps_of(net.module, "predict")
    return {str(step.args[1].name): step.kernel for step in steps if step.kernel.op in WEIGHTED}


def _step(
    net: Net, rows: dict[str, np.ndarray], x: np.ndarray, label: int, optimizer: OptimizerSpec, tiling: Tiling
) -> dict[int, np.ndarray]:
    """One train step with a learning rate of one; what the pools hold afterwards."""
    layers = _weighted(net)
    tables: dict[str, Rows] = {}
    pools = {}
    for name, values in rows.items():
        layer, length = int(name.removeprefix("rows_")), row_length(layers[name])
        if layer in net.trained:
            tables[name] = TrainedRows(values, length, tuple(range(net.trained[layer].channels)))
            pools[layer] = tables[name].pool
        else:
            tables[name] = Rows(values, length)
    arguments = {"x": x, "label": np.uint32([label]), "loss": np.zeros(1, np.float32), **tables}
    arguments |= {f"pool_{layer}": pool for layer, pool in pools.items()}
    arguments |= {f"velocity_{layer}": np.zeros_like(pool) for layer, pool in pools.items()}
    arguments |= {f"gradient_{layer}": np.zeros_like(pool) for layer, pool in pools.items()}
    arguments |= {"scale": np.float32([-1.0 if optimizer.fused else 1.0]), "hyper": np.float32([1.0, 0.9])}
    program = Program(training_program(net.module, LOSS, net.trained, optimizer), tiling)
    program.run("train_step", arguments)
    if optimizer.accumulates:
        program.run("apply_update", arguments)
    return pools


@same_in_every_run(6)
@given(networks())
def test_fused_separate_and_accumulated_updates_agree_on_every_tiling(net):
    rows, x = _rows(net), normal(np.random.default_rng(2), 48)
    specs = {
        "fused": SGD().spec(),
        "momentum": Momentum().spec(),
        "accumulated": SGD(batch_size=2).spec(),
    }
    results = {
        (name, tiling): _step(net, rows, x, 1, spec, tiling)
        for name, spec in specs.items()
        for tiling in (HOST, CORTEX_M)
        if tiling is HOST or name == "fused"
    }
    expected = results["fused", HOST]
    for key, pools in results.items():
        for layer, pool in pools.items():
            base = rows[f"rows_{layer}"][: len(pool)]
            check_close((pool - base).ravel(), (expected[layer] - base).ravel(), f"{key}, layer {layer}")


def _small_net(emit, x):
    y = emit(tvm.relax.op.clip(emit(conv2d(x, constant(3, 3, 2, 4), padding=[1, 1, 1, 1])), 0.0, 6.0))
    flat = emit(tvm.relax.op.reshape(y, (1, 80)))
    return emit(tvm.relax.op.matmul(flat, emit(tvm.relax.op.permute_dims(constant(3, 80), [1, 0]))))


def test_an_imported_model_predicts_as_tvm_does():
    module = canonical(imported((1, 4, 5, 2), _small_net))
    x = normal(np.random.default_rng(3), 1, 4, 5, 2)
    attrs = module["predict"].attrs
    rows = {
        f"rows_{i}": Rows(tensor.numpy().reshape(-1, int(stride)), length)
        for i, (tensor, stride, length) in enumerate(zip(attrs["params"], attrs["strides"], (18, 80), strict=True))
    }
    program = Program(training_program(module, LOSS, {1: Trained(1)}, OPTIMIZERS["sgd"]))
    (y,) = program.run("predict", {"x": x, **rows})
    check_close(y, run_imported(imported((1, 4, 5, 2), _small_net), x), "predict")


# -------------------------------------------------------------- form


def _net() -> Net:
    calls = [("h", dense(6, 4, low=0.0), ["x", "rows_0"]), ("z", dense(4, 3), ["h", "rows_1"])]
    rows = {"rows_0": 4 * row_stride(6), "rows_1": 3 * row_stride(4)}
    return Net(module_of("predict", {"x": 6, **rows}, calls, "z"), 2, {0: Trained(2)})


def test_passes_are_reported_before_they_run():
    seen: list[str] = []
    training_program(_net().module, LOSS, {0: Trained(1)}, OPTIMIZERS["sgd"], seen.append)
    assert seen == ["attach loss", "sparse gradient", "update in place", "order", "plan arena"]
    seen.clear()
    dynamic_program(_net().module, LOSS, {0: Trained(AT_RUN_TIME)}, SGD().spec(at_run_time=True), seen.append)
    assert "fisher" in seen


@pytest.mark.parametrize("tiling", [HOST, CORTEX_M], ids=["host", "cortex_m"])
def test_kernels_that_are_called_are_declared_and_helpers_are_static(tiling):
    module = training_program(_net().module, LOSS, {0: Trained(2)}, OPTIMIZERS["adam"])
    called = {PREFIX + call.name for f in planned_functions(module).values() for call in f.calls}
    kernels = lower_to_c(module, tiling, PREFIX)
    declared = [line.split("(")[0].removeprefix("void ") for line in kernels.declarations.splitlines() if line]
    assert sorted(declared) == sorted(called)
    for line in kernels.definitions.splitlines():
        if line.startswith(("void ", "static ")):
            name = line.split("(")[0].split()[-1]
            assert line.startswith("void ") == (name in called), line


def test_the_same_program_gives_the_same_text():
    texts = {
        lower_to_c(training_program(_net().module, LOSS, {0: Trained(2)}, OPTIMIZERS["sgd"]), HOST, PREFIX).definitions
        for _ in range(3)
    }
    assert len(texts) == 1
