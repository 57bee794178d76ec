# SPDX-License-Identifier: Apache-2.0
"""The operations, a file for each family. Each is registered once, with everything that anybody asks of it: loop nests,
gradient rule, what that keeps, int8 form, TFLM op and how it is recognised in an imported graph. Schedule table,
canonicaliser, reverse walk, quantiser, multiply-accumulate counts, TFLM codes and ``tt-tflm supported-ops`` read the
table.

To add one, register an ``Op`` in ``OPS``, here or anywhere else before a model is converted. For an elementwise one
``elementwise`` does that from two scalar expressions, and nothing else is to be written. One with loops of its own has
them in ``tvm_passes.kernels``, and for TFLM a registration in ops/tflm; then ``python -m tt_tflm.tflite.op_codes``
writes its code into the C header.
"""

# In the order in which patterns are registered: what is special after what is general.
from . import convolution, contraction, movement, reduction, broadcast  # noqa: F401, I001
from . import clip, layout, pooling, arithmetic, comparison, unary, activation, integer, training  # noqa: F401
from .elementwise import elementwise, lower_unary
from .op import (
    ACTIVATIONS,
    GRADIENTS,
    INT8_KERNELS,
    KERNELS,
    NO_GRADIENT,
    OPS,
    QUANTIZERS,
    WEIGHTED,
    Gradient,
    Int8,
    Integers,
    Lower,
    Lowering,
    Op,
    Tape,
    Tflm,
)

__all__ = [
    "ACTIVATIONS",
    "GRADIENTS",
    "INT8_KERNELS",
    "KERNELS",
    "NO_GRADIENT",
    "OPS",
    "QUANTIZERS",
    "WEIGHTED",
    "Gradient",
    "Int8",
    "Integers",
    "Lower",
    "Lowering",
    "Op",
    "Tape",
    "Tflm",
    "elementwise",
    "lower_unary",
]
