# SPDX-License-Identifier: Apache-2.0
"""Kernels that are calls of the device runtime: losses and optimisers, whose sizes are arguments."""

from __future__ import annotations

from tvm import tirx

from ..kernel import Kernel
from .conv2d import Functions, buffers
from .loops import LoopNest, constant, prim_func
from .tiling import Tiling


def _unsigned(value: int) -> tirx.Var:
    return tirx.const(value, "uint32")


def _trained_elements(rows: tirx.Var) -> tirx.Var:
    return tirx.call_extern("uint32", "tt_trained_elements", rows)


def softmax_cross_entropy(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """g = gradient of the cross-entropy of softmax(logits) against the label; loss is written too."""
    logits, label, loss, g = buffers(kernel)
    nest = LoopNest()
    nest.call("(void)tt_softmax_cross_entropy", logits, _unsigned(kernel.params[0].elements), label[0], g, loss)
    return {name: prim_func([logits, label, loss, g], nest)}


def prototype_loss(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """g = gradient of the prototype loss with respect to the embedding, prototypes held constant."""
    embedding, label, prototypes, loss, scores, g = buffers(kernel)
    nest = LoopNest()
    nest.call("(void)tt_prototypes_loss", prototypes, embedding, label[0], scores, g, loss)
    return {name: prim_func([embedding, label, prototypes, loss, scores, g], nest)}


def sgd(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """pool -= learning_rate * gradient."""
    gradient, rows, rate, pool = buffers(kernel)
    nest = LoopNest()
    nest.call("tt_sgd_update", pool, gradient, _trained_elements(rows), rate[0])
    return {name: prim_func([gradient, rows, rate, pool], nest)}


def momentum(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """velocity = momentum * velocity - learning_rate * gradient; pool += velocity."""
    gradient, rows, rate, velocity, pool = buffers(kernel)
    nest = LoopNest()
    factor = tirx.const(kernel["momentum"], "float32")
    nest.call("tt_momentum_update", pool, velocity, gradient, _trained_elements(rows), rate[0], factor)
    return {name: prim_func([gradient, rows, rate, velocity, pool], nest)}


def adam(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """Adam's step with the moments in place."""
    gradient, rows, state, first, second, pool = buffers(kernel)
    nest = LoopNest()
    nest.call("tt_adam_update", pool, first, second, gradient, _trained_elements(rows), state)
    return {name: prim_func([gradient, rows, state, first, second, pool], nest)}


def fisher_potential(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """potential[o] += (sum over positions of a * g)^2."""
    a, g, potential = buffers(kernel)
    channels = kernel.params[2].elements
    nest = LoopNest()
    positions = _unsigned(kernel.params[0].elements // channels)
    if kernel.params[0].dtype == "int8":
        grid = (constant(kernel["y_scale"]), kernel["y_zero"])
        nest.call("tt_int8_fisher_add", a, *grid, g, positions, _unsigned(channels), potential)
    else:
        nest.call("tt_fisher_add", a, g, positions, _unsigned(channels), potential)
    return {name: prim_func([a, g, potential], nest)}
