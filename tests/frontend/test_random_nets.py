# SPDX-License-Identifier: Apache-2.0
"""On random nets: the imported module computes what Keras computes, and every row is the folded Keras kernel's."""

from collections.abc import Callable

import numpy as np
from hypothesis import given
from oracle.folding import fold_batch_norm, row_layers
from oracle.random_nets import Net, net_settings, nets

from tt_tflm.frontend.keras_model import check_model
from tt_tflm.frontend.names import name_layers
from tt_tflm.frontend.tflite_import import to_relax


@given(net=nets())
@net_settings(20)
def test_import_names_and_rows(net: Net, run_relax: Callable, weight_ops: Callable) -> None:
    check_model(net.model)
    module = to_relax(net.model)
    ops = weight_ops(module)
    layers = name_layers(net.model, ops)

    folded = row_layers(fold_batch_norm(net.model))
    assert sorted(layer.name for layer in layers) == sorted(folded)
    for layer, op in zip(layers, ops, strict=True):
        kernel, bias = layer.rows_to_kernel(op.rows)
        expected = folded[layer.name]
        np.testing.assert_allclose(kernel, np.asarray(expected.kernel), rtol=1e-6, atol=1e-7)
        assert layer.bias == expected.use_bias
        if layer.bias:
            np.testing.assert_allclose(bias, np.asarray(expected.bias), rtol=1e-5, atol=1e-6)

    for image, _ in net.samples(2):
        expected = np.asarray(net.model(image[None]))
        received = run_relax(module, np.asarray(image[None], np.float32))
        assert np.max(np.abs(received - expected)) <= 1e-5 * max(1.0, np.max(np.abs(expected)))
