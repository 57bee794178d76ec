# SPDX-License-Identifier: Apache-2.0
"""Run an imported module, and read the operators with weights out of it, independently of the passes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_tflm.frontend.names import WeightOp
from tt_tflm.frontend.quiet import import_keras


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras, imported the way the package does."""
    return import_keras()


@pytest.fixture(scope="session")
def set_weights() -> Callable[..., Any]:
    """Fill a model with seeded random weights; variances stay positive. Returns the model."""

    def fill(model: Any, seed: int = 0) -> Any:
        rng = np.random.default_rng(seed)
        for weight in model.weights:
            low, high = (0.5, 2.0) if "variance" in weight.name else (-1.0, 1.0)
            weight.assign(rng.uniform(low, high, weight.shape))
        return model

    return fill


@pytest.fixture(scope="session")
def run_relax() -> Callable[[Any, np.ndarray], np.ndarray]:
    """Execute `main` of an imported module on TVM's llvm target: module, float32 (1, ...) -> float32 (1, ...)."""
    import tvm
    from tvm import relax

    def run(module: Any, image: np.ndarray) -> np.ndarray:
        machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
        return machine["main"](tvm.runtime.tensor(image)).numpy()

    return run


@pytest.fixture(scope="session")
def operators() -> Callable[[Any], list[str]]:
    """The operators of `main` in order, without "relax."."""

    def names(module: Any) -> list[str]:
        return [binding.value.op.name.removeprefix("relax.") for binding in _calls(module)]

    return names


@pytest.fixture(scope="session")
def weight_ops() -> Callable[[Any], list[WeightOp]]:
    """The operators of `main` with weights, as rows with their bias column, in order."""

    def read(module: Any) -> list[WeightOp]:
        calls = _calls(module)
        consumers: dict[Any, list[Any]] = {}
        for binding in calls:
            for argument in binding.value.args:
                consumers.setdefault(argument, []).append(binding)
        return [
            op for binding in calls if (op := _weight_op(binding.value, consumers.get(binding.var, []))) is not None
        ]

    return read


def _calls(module: Any) -> list[Any]:
    bindings = [binding for block in module["main"].body.blocks for binding in block.bindings]
    return [binding for binding in bindings if hasattr(binding.value, "op")]


def _weight_op(call: Any, consumers: list[Any]) -> WeightOp | None:
    name = call.op.name
    if name == "relax.nn.conv2d":
        kernel = call.args[1].value.numpy()
        if call.attrs.kernel_layout == "HWOI":
            kind, rows = "depthwise", kernel.transpose(2, 3, 0, 1).reshape(kernel.shape[2], -1)
        else:
            kind, rows = "conv2d", kernel.transpose(3, 0, 1, 2).reshape(kernel.shape[3], -1)
    elif name == "relax.matmul":
        kind, rows = "dense", call.args[1].value.numpy().T
    else:
        return None
    bias = np.zeros(len(rows), np.float32)
    if len(consumers) == 1 and consumers[0].value.op.name == "relax.add":
        other = consumers[0].value.args[1]
        if hasattr(other, "value") and other.value.numpy().shape == bias.shape:
            bias = other.value.numpy()
    return WeightOp(kind, np.column_stack([rows, bias]))
