# SPDX-License-Identifier: Apache-2.0
"""What lies between float32 and int8 tensors, and between int8 tensors of different scales."""

from __future__ import annotations

from tvm import relax

from ..kernel import Step
from ..kernels import int8
from . import clip
from .op import OPS, Gradient, Int8, Op, Tape


def _dequantize(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = the real number behind x  /  g: gradients are those with respect to real numbers."""
    tape.add(step.args[0], g)


OPS.register(Op("quantize", int8=Int8(int8.quantize)))
OPS.register(Op("requantize", gradient=Gradient(clip.gradient), int8=Int8(int8.requantize)))
OPS.register(Op("dequantize", int8.dequantize, gradient=Gradient(_dequantize)))
