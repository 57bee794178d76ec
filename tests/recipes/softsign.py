# SPDX-License-Identifier: Apache-2.0
"""An operation that the package does not have: softsign, y = x / (1 + |x|). This file is all that there is to write."""

from __future__ import annotations

from tvm import relax, tirx
from tvm.relax.dpl import DFPattern, is_expr, is_op

from tvm_passes.kernel import Kernel
from tvm_passes.ops import Op, elementwise


def _forward(_kernel: Kernel, x: tirx.Var) -> tirx.Var:
    return x / (tirx.abs(x) + 1.0)


def _gradient(_kernel: Kernel, g: tirx.Var, y: tirx.Var) -> tirx.Var:
    """The derivative is 1 / (1 + |x|)^2, which is (1 - |y|)^2."""
    slope = 1.0 - tirx.abs(y)
    return g * slope * slope


def pattern(x: DFPattern) -> DFPattern:
    """How TensorFlow Lite spells it out."""
    one = is_expr(relax.const(1.0, "float32"))
    return is_op("relax.divide")(x, is_op("relax.add")(is_op("relax.abs")(x), one))


def register() -> Op:
    """Make it known."""
    return elementwise("softsign", _forward, _gradient, pattern=pattern, activation_names=("softsign",))
