# SPDX-License-Identifier: Apache-2.0
"""What calls the device runtime: losses, optimisers, Fisher potentials."""

from __future__ import annotations

from ..kernels import runtime
from .op import OPS, Op, Tflm

_LOSS = {"classes": "int32", "elements": "int32", "batch_size": "int32", "temperature": "float32"}
_OPTIMIZER = {
    **dict.fromkeys(("channels", "stride", "candidate", "copies", "block"), "int32"),
    **dict.fromkeys(("learning_rate", "momentum", "beta_1", "beta_2", "epsilon"), "float32"),
}

OPS.register(Op("softmax_cross_entropy", runtime.softmax_cross_entropy, tflm=Tflm(27, "loss", _LOSS), loss=True))
OPS.register(Op("prototype_loss", runtime.prototype_loss, tflm=Tflm(28, "loss", _LOSS), loss=True))
OPS.register(Op("sgd", runtime.sgd, tflm=Tflm(29, "optimizer", _OPTIMIZER)))
OPS.register(Op("momentum", runtime.momentum, tflm=Tflm(30, "optimizer", _OPTIMIZER)))
OPS.register(Op("adam", runtime.adam, tflm=Tflm(31, "optimizer", _OPTIMIZER)))
OPS.register(Op("fisher_potential", runtime.fisher_potential, tflm=Tflm(32)))
