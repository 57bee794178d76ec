# SPDX-License-Identifier: Apache-2.0
"""Declarations of kernels: written, read, called, and calls read back as steps."""

from dataclasses import replace

import pytest
import tvm
from tvm import relax, tirx
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from tvm_passes.kernel import (
    INOUT,
    OUT,
    Kernel,
    Param,
    declare,
    flat,
    is_declared,
    kernel_of,
    row_length,
    steps_of,
)
from tvm_passes.kernels.geometry import Window

from .programs import accumulate, conv, depthwise, module_of, softmax_loss, unary

CLIP = unary("clip", 8, low=0.0, high=6.0)


@I.ir_module
class Called:
    @T.prim_func(private=True)
    def accumulate(g: T.Buffer((8,), "float32"), acc: T.Buffer((8,), "float32")) -> T.void:
        T.func_attr({"tt": {"attrs": {}, "op": "accumulate", "overlay": [], "roles": ["in", "inout"]}})
        T.evaluate(0)

    @T.prim_func(private=True)
    def clip(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")) -> T.void:
        T.func_attr(
            {"tt": {"attrs": {"high": 6.0, "low": 0.0}, "op": "clip", "overlay": ["x"], "roles": ["in", "out"]}}
        )
        T.evaluate(0)

    @R.function
    def predict(x: R.Tensor((8,), "float32"), acc: R.Tensor((8,), "float32")) -> R.Tensor((8,), "float32"):
        cls = Called
        with R.dataflow():
            y = R.call_tir(cls.clip, (x,), out_ty=R.Tensor((8,), "float32"))
            total = R.call_tir_inplace(cls.accumulate, (y, acc), out_ty=R.Tensor((8,), "float32"), inplace_indices=[1])
            result: R.Tensor((8,), "float32") = total
            R.output(result)
        return result


def test_calls_are_relax_calls_of_declared_functions():
    calls = [("y", CLIP, ["x"]), ("total", accumulate(8), ["y", "acc"])]
    tvm.ir.assert_structural_equal(module_of("predict", {"x": 8, "acc": 8}, calls, "total"), Called)


def test_steps_read_calls_back():
    (clip, add), (output,) = steps_of(Called, "predict")
    x, acc = Called["predict"].params
    assert (clip.kernel, list(clip.args), clip.alias) == (CLIP, [x], None)
    assert (add.kernel, list(add.args)) == (accumulate(8), [clip.var, acc])
    assert add.alias.same_as(acc)
    assert [a.same_as(acc) for a in add.writes()] == [True]
    assert output.same_as(add.var)


@pytest.mark.parametrize(
    "kernel",
    [
        CLIP,
        conv(Window(5, 4, 3, 5, 4, 6, 3, 3, 1, 1, 1, 1), low=0.0),
        Kernel("clip_mask", (Param("y", 40), Param("mask", 2, OUT, "uint32")), {"low": 0.0}),
        Kernel("k", (Param("a", 1, "adam"), Param("b", 2, INOUT), Param("c", 3, OUT)), {"text": "t", "n": 3, "f": 0.5}),
    ],
)
def test_declarations_round_trip(kernel):
    assert kernel_of(declare(kernel)) == kernel
    assert is_declared(declare(kernel))


def test_equal_kernels_are_declared_once_and_unequal_ones_under_their_own_names():
    calls = [("a", CLIP, ["x"]), ("b", CLIP, ["a"]), ("c", unary("clip", 8, low=0.0), ["b"])]
    module = module_of("predict", {"x": 8}, calls, "c")
    assert sorted(gv.name_hint for gv in module.functions) == ["clip", "clip1", "predict"]
    assert [step.gv.name_hint for step in steps_of(module, "predict")[0]] == ["clip", "clip", "clip1"]


def test_a_call_with_several_results_defines_the_last():
    calls = [("g", softmax_loss(4), ["z", "label", "loss"])]
    module = module_of("train_step", {"z": 4, "label": 1, "loss": 1}, calls, "g")
    ((step,), (output,)) = steps_of(module, "train_step")
    assert step.alias is None
    assert output.same_as(step.var)
    assert [str(a.name) for a in step.writes()] == ["loss"]
    assert int(step.var.ty.shape[0]) == 4


def test_parameters_are_found_by_name():
    assert CLIP.param("y").role == OUT
    assert CLIP.has("x")
    assert not CLIP.has("z")
    assert CLIP["high"] == 6.0


def test_rows_have_the_taps_of_their_input_channels():
    w = Window(5, 4, 3, 5, 4, 3, 3, 2, 1, 1, 1, 1)
    assert row_length(conv(w)) == 18
    assert row_length(depthwise(w)) == 6
    assert row_length(conv(replace(w, groups=3))) == 6


def test_a_function_without_a_declaration_is_refused():
    x = tirx.decl_buffer((1,), "float32", "x")
    function = tirx.PrimFunc([x], tirx.Evaluate(0))
    assert not is_declared(function)
    with pytest.raises(ValueError, match=r"^expected a PrimFunc with attribute 'tt', received "):
        kernel_of(function)


def test_other_bindings_than_calls_are_refused():
    x = relax.Var("x", flat(4))
    builder = relax.BlockBuilder()
    with builder.function("predict", [x]):
        with builder.dataflow():
            y = builder.emit_output(builder.emit(relax.op.exp(x)))
        builder.emit_func_output(y)
    with pytest.raises(ValueError, match=r"^expected only kernel calls in 'predict', received R.exp\(x\)$"):
        steps_of(builder.get(), "predict")


def test_constants_are_arguments_like_others():
    params = (Param("a", 2), Param("b", 2), Param("y", 2, OUT))
    constants = {"c": relax.const([1.0, 2.0], "float32")}
    module = module_of("predict", {"x": 2}, [("y", Kernel("add", params), ["x", "c"])], "y", constants=constants)
    ((step,), _) = steps_of(module, "predict")
    assert step.args[1].value.numpy().tolist() == [1.0, 2.0]
