# SPDX-License-Identifier: Apache-2.0
"""No kernel without a numerical test."""

from tvm_passes.ops import KERNELS

from ..test_primitives import called
from . import (
    test_conv2d,
    test_conv2d_transpose,
    test_depthwise,
    test_elementwise,
    test_int8,
    test_layout,
    test_pool,
    test_runtime,
)

# Every test module runs all of its CASES, and test_primitives what it calls.
MODULES = (
    test_conv2d,
    test_conv2d_transpose,
    test_depthwise,
    test_elementwise,
    test_layout,
    test_pool,
    test_runtime,
)


def test_every_kernel_is_compiled_and_compared():
    covered = [op for module in MODULES for op in module.CASES]
    assert len(covered) == len(set(covered))
    assert set(covered) | called() | {"dequantize"} == set(KERNELS)
    assert "dequantize" in test_int8.CASES
