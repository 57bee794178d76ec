# SPDX-License-Identifier: Apache-2.0
"""Add the function ``train_step``: the forward pass, ending in the gradient of the loss.

Before::

    def predict(x, rows_0):
        v = R.call_tir(cls.conv2d, (x, rows_0), ...)
        y = R.call_tir(cls.softmax, (v,), ...)
        return y

After (``predict`` stays)::

    def train_step(x, rows_0, label, loss):
        v = R.call_tir(cls.conv2d, (x, rows_0), ...)
        _, g = R.call_tir_inplace(cls.softmax_cross_entropy, (v, label, loss), inplace_indices=[2, -1], ...)
        return g

A softmax at the end of the network is left out of ``train_step``: the loss takes the logits. The attribute
``loss_input`` of the function is the number of the variable that ``g`` is the gradient of.
"""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import relax

from .kernel import INOUT, OUT, Kernel, Param, emit, flat, steps_of

PROTOTYPES = "prototypes"


@dataclass(frozen=True)
class LossSpec:
    """Which loss: ``softmax`` on logits, or ``prototype`` on an embedding with that many classes."""

    kind: str
    classes: int


def logits_of(module: tvm.IRModule) -> relax.Var:
    """What the softmax loss is taken of: the output of ``predict``, or the input of a softmax that ends it."""
    steps, (output,) = steps_of(module, "predict")
    last = next(step for step in steps if step.var.same_as(output))
    return last.args[0] if last.kernel.op == "softmax" else output


def AttachLoss(loss: LossSpec) -> tvm.transform.Pass:
    """The pass for that loss."""

    @tvm.transform.module_pass(opt_level=0, name="AttachLoss")
    def attach(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        return _attach(module, loss)

    return attach


def _attach(module: tvm.IRModule, loss: LossSpec) -> tvm.IRModule:
    steps, (output,) = steps_of(module, "predict")
    target = logits_of(module) if loss.kind == "softmax" else output
    if loss.kind == "softmax":
        steps = [step for step in steps if not (step.var.same_as(output) and not target.same_as(output))]
    old_params = list(module["predict"].params)
    params = [relax.Var(str(p.name), p.ty) for p in old_params]
    extra = [relax.Var("label", flat(1, "uint32")), relax.Var("loss", flat(1))]
    if loss.kind == "prototype":
        extra.insert(1, relax.Var("prototypes", flat(1)))
        extra.append(relax.Var("scores", flat(loss.classes)))
    builder = relax.BlockBuilder(module)
    values = dict(zip(old_params, params, strict=True))
    with builder.function("train_step", [*params, *extra], attrs={"global_symbol": "train_step"}):
        with builder.dataflow():
            for step in steps:
                values[step.var] = emit(builder, step.kernel, [values.get(a, a) for a in step.args])
            kernel = _kernel(loss, int(target.ty.shape[0]))
            gradient = builder.emit_output(emit(builder, kernel, [values[target], *extra]))
        builder.emit_func_output(gradient)
    return builder.get()


def _kernel(loss: LossSpec, elements: int) -> Kernel:
    label, value, out = Param("label", 1, dtype="uint32"), Param("loss", 1, INOUT), Param("g", elements, OUT)
    if loss.kind == "softmax":
        return Kernel("softmax_cross_entropy", (Param("logits", elements), label, value, out), {}, ("logits",))
    prototypes, scores = Param("prototypes", 1, PROTOTYPES), Param("scores", loss.classes, INOUT)
    return Kernel("prototype_loss", (Param("embedding", elements), label, prototypes, value, scores, out))
