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
        _, g = R.call_tir_inplace(cls.loss, (v, label, loss), inplace_indices=[2, -1], ...)
        return g

A softmax at the end of the network is left out of ``train_step`` for a loss that takes the logits. The attribute
``loss_input`` of the function is the number of the variable that ``g`` is the gradient of.
"""

from __future__ import annotations

import tvm
from tvm import relax

from .kernel import INOUT, LOSS, OUT, Kernel, Param, emit, flat, steps_of
from .specs import CLASS, LossSpec

PROTOTYPES = "prototypes"


def logits_of(module: tvm.IRModule) -> relax.Var:
    """What a loss of logits is taken of: the output of ``predict``, or the input of a softmax that ends it."""
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
    target = logits_of(module) if loss.of_logits else output
    if loss.of_logits:
        steps = [step for step in steps if not (step.var.same_as(output) and not target.same_as(output))]
    old_params = list(module["predict"].params)
    params = [relax.Var(str(p.name), p.ty) for p in old_params]
    kernel = _kernel(loss, int(target.ty.shape[0]))
    extra = [relax.Var(p.name, flat(p.elements, p.dtype)) for p in kernel.params[1:-1]]
    builder = relax.BlockBuilder(module)
    values = dict(zip(old_params, params, strict=True))
    with builder.function("train_step", [*params, *extra], attrs={"global_symbol": "train_step"}):
        with builder.dataflow():
            for step in steps:
                values[step.var] = emit(builder, step.kernel, [values.get(a, a) for a in step.args])
            gradient = builder.emit_output(emit(builder, kernel, [values[target], *extra]))
        builder.emit_func_output(gradient)
    return builder.get()


def _kernel(loss: LossSpec, elements: int) -> Kernel:
    dtype = "uint32" if loss.label == CLASS else "float32"
    label, value = Param("label", loss.label_elements, dtype=dtype), Param("loss", 1, INOUT)
    output, gradient = Param("output", elements), Param("g", elements, OUT)
    attrs = {"kind": loss.kind, "function": loss.function, "label": loss.label}
    if not loss.prototypes:
        return Kernel(LOSS, (output, label, value, gradient), attrs, ("output",))
    prototypes, scores = Param("prototypes", 1, PROTOTYPES), Param("scores", loss.classes, INOUT)
    return Kernel(LOSS, (output, label, prototypes, value, scores, gradient), attrs)
