# SPDX-License-Identifier: Apache-2.0
"""Models of the writer: read back by the schema's own accessors, and run by TFLite and by TFLM."""

import numpy as np
import pytest
import tensorflow as tf
import tflite

from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.tflite.writer import BUFFER_ALIGNMENT, TfliteWriter


def small_model() -> tuple[bytes, np.ndarray, np.ndarray]:
    """A convolution whose result is added to a variable; the model, kernel and bias."""
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((5, 3, 3, 3)).astype(np.float32)
    bias = rng.standard_normal(5).astype(np.float32)
    writer = TfliteWriter()
    x = writer.add_tensor("x", (1, 6, 6, 3), "float32")
    k = writer.add_tensor("k", kernel.shape, "float32", kernel)
    b = writer.add_tensor("b", bias.shape, "float32", bias)
    y = writer.add_tensor("y", (1, 3, 3, 5), "float32")
    state = writer.add_tensor("state", (1, 3, 3, 5), "float32", variable=True)
    z = writer.add_tensor("z", (1, 3, 3, 5), "float32")
    relu = {"FusedActivationFunction": tflite.ActivationFunctionType.RELU}
    writer.add_builtin(
        "CONV_2D", [x, k, b], [y], "Conv2DOptions", Padding=tflite.Padding.SAME, StrideW=2, StrideH=2, **relu
    )
    writer.add_builtin("ADD", [y, state], [z], "AddOptions")
    writer.add_metadata("note", b"abc")
    return writer.finish([x, state], [z, state], "small"), kernel, bias


def test_what_was_written_is_read_back() -> None:
    content, kernel, _ = small_model()
    assert tflite.Model.ModelBufferHasIdentifier(content, 0)
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    assert (model.Version(), model.SubgraphsLength(), model.Description()) == (3, 1, b"small")
    assert [graph.Tensors(i).Name() for i in range(graph.TensorsLength())] == [b"x", b"k", b"b", b"y", b"state", b"z"]
    assert [graph.Inputs(i) for i in range(2)] == [0, 4]
    assert [graph.Outputs(i) for i in range(2)] == [5, 4]
    assert [graph.Tensors(i).IsVariable() for i in range(6)] == [False, False, False, False, True, False]
    data = model.Buffers(graph.Tensors(1).Buffer()).DataAsNumpy()
    np.testing.assert_array_equal(data.view("<f4").reshape(kernel.shape), kernel)
    assert model.Metadata(0).Name() == b"note"


def test_constants_lie_on_their_boundary() -> None:
    content, kernel, bias = small_model()
    for array in (kernel, bias):
        assert content.index(array.tobytes()) % BUFFER_ALIGNMENT == 0


def test_tensorflow_lite_and_tflm_run_it() -> None:
    content, kernel, bias = small_model()
    x = np.random.default_rng(1).standard_normal((1, 6, 6, 3)).astype(np.float32)
    expected = tf.nn.relu(tf.nn.conv2d(x, kernel.transpose(1, 2, 3, 0), 2, "SAME") + bias).numpy()
    lite = tf.lite.Interpreter(model_content=content)
    lite.allocate_tensors()
    lite.set_tensor(lite.get_input_details()[0]["index"], x)
    lite.invoke()
    np.testing.assert_allclose(lite.get_tensor(lite.get_output_details()[0]["index"]), expected, atol=1e-5)
    micro = TflmInterpreter(content, 10_000)
    micro.set_input(0, x)
    micro.invoke()
    np.testing.assert_allclose(micro.output(0), expected, atol=1e-5)


def test_a_variable_is_set_kept_read_and_reset_through_tflm() -> None:
    content, _, _ = small_model()
    x = np.zeros((1, 6, 6, 3), np.float32)
    micro = TflmInterpreter(content, 10_000)

    def run() -> np.ndarray:
        micro.set_input(0, x)
        micro.invoke()
        return micro.output(0)

    first = run()
    micro.set_input(1, np.full((1, 3, 3, 5), 2, np.float32))
    for _ in range(2):
        np.testing.assert_array_equal(run(), first + 2)
        np.testing.assert_array_equal(micro.output(1), 2)
    micro.reset()
    np.testing.assert_array_equal(run(), first)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: w.add_tensor("t", (2, 0), "float32"), r"tensor 't': expected positive sizes, received \(2, 0\)"),
        (lambda w: w.add_tensor("t", (2,), "float64"), "tensor 't': expected a dtype of .*, received float64"),
        (
            lambda w: w.add_tensor("t", (2,), "float32", np.zeros(2, np.int32)),
            r"tensor 't': expected data float32 \(2,\), received int32 \(2,\)",
        ),
        (
            lambda w: w.add_tensor("t", (2,), "float32", np.zeros(2, np.float32), variable=True),
            "tensor 't': expected a constant or a variable, received both",
        ),
        (lambda w: w.add_builtin("NO_OP", [], []), "expected a builtin operator of TFLite, received NO_OP"),
        (
            lambda w: w.add_builtin("CONV_2D", [], [], "Conv2DOptions", Stride=2),
            "CONV_2D: expected a field of Conv2DOptions, received Stride",
        ),
        (lambda w: w.add_builtin("TANH", [], [], Alpha=2), "TANH: expected an options table for Alpha, received none"),
        (lambda w: w.add_custom("TT_X", [3], [], b""), "expected a tensor from 0 to .*, received 3"),
    ],
)
def test_what_does_not_fit_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(TfliteWriter())
