# SPDX-License-Identifier: Apache-2.0
"""What calls the device runtime: losses, optimisers, Fisher potentials."""

from __future__ import annotations

from ..kernel import LOSS, UPDATE
from ..kernels import runtime
from .op import OPS, Op, Tflm

_LOSS = {"classes": "int32", "elements": "int32", "batch_size": "int32", "temperature": "float32"}
_OPTIMIZER = {
    **dict.fromkeys(("channels", "stride", "candidate", "copies", "block"), "int32"),
    **dict.fromkeys(("learning_rate", "momentum", "beta_1", "beta_2", "epsilon"), "float32"),
}
_BUILD_LOSS = dict.fromkeys(("elements", "label_elements", "loss"), "int32")

OPS.register(Op(LOSS, runtime.loss, tflm=Tflm(36, "build_loss", _BUILD_LOSS)))
OPS.register(Op(UPDATE, runtime.optimizer_update))
# TFLM's own ops for some of them.
OPS.register(Op("softmax_cross_entropy", tflm=Tflm(27, "loss", _LOSS)))
OPS.register(Op("prototype_loss", tflm=Tflm(28, "loss", _LOSS)))
OPS.register(Op("sgd", tflm=Tflm(29, "optimizer", _OPTIMIZER)))
OPS.register(Op("momentum", tflm=Tflm(30, "optimizer", _OPTIMIZER)))
OPS.register(Op("adam", tflm=Tflm(31, "optimizer", _OPTIMIZER)))
OPS.register(Op("fisher_potential", runtime.fisher_potential, tflm=Tflm(32)))
