# SPDX-License-Identifier: Apache-2.0
"""Fisher potentials of a board against tf.GradientTape, on random nets and on the three backbones."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import assume, given
from oracle.fixed_nets import small_inputs
from oracle.random_nets import Net, net_settings, nets
from oracle.reference import SGD, PrototypeLoss

import tt_tflm
from dynamic.builds import convert_dynamic, inspected, small_dynamic_build
from dynamic.fisher_reference import AdaptingReference

TOLERANCE = 1e-3
NETS_PER_HEAD = 6
BACKBONES = ("mcunet-5fps_backbone", "mbv2-w0.35_backbone", "proxyless-w0.3_backbone")
TAIL = 12


def check_potentials(
    actual: dict[str, np.ndarray], exact: dict[str, np.ndarray], rounded: dict[str, np.ndarray]
) -> None:
    """Compare layer by layer, relative to the layer's largest; allowed besides is what float32 costs TensorFlow."""
    for name, potentials in actual.items():
        assert potentials.dtype == np.float32
        assert potentials.shape == exact[name].shape, name
        noise = float(np.max(np.abs(rounded[name] - exact[name])))
        allowed = TOLERANCE * float(exact[name].max()) + 8 * noise + 1e-30
        assert float(np.max(np.abs(potentials - exact[name]))) <= allowed, name


@pytest.mark.slow
@pytest.mark.parametrize("head", ["logits", "softmax", "embedding"])
def test_potentials_equal_gradient_tape(head: str) -> None:
    @net_settings(NETS_PER_HEAD)
    @given(nets(head=head))
    def check(net: Net) -> None:
        samples = net.samples(3 + net.classes)
        assume(len(samples) == 3 + net.classes)
        shown = samples[:3]
        references = [AdaptingReference(net.model, net.loss, SGD(), dtype=d) for d in ("float64", "float32")]
        build = convert_dynamic(net.model, net.loss, SGD())
        with build.simulate(device="host") as board:
            if head == "embedding":
                for label, (x, _) in enumerate(samples[3:]):
                    for each in (board, *references):
                        each.enroll(x, label)
            before = board.weights()
            for x, label in shown:
                board.fisher_accumulate(x, label)
            actual = board.fisher()
            after = board.weights()
        assert set(actual) == set(inspected(build))
        check_potentials(actual, *(reference.fisher(shown) for reference in references))
        assert all(np.array_equal(before[key], after[key]) for key in before)

    check()


def test_potentials_are_means_and_are_forgotten_when_asked() -> None:
    x = small_inputs(2)
    with small_dynamic_build(SGD(), PrototypeLoss(2)).simulate(device="host") as board:
        for label in (0, 1):
            board.enroll(x[label], label)
        singles = []
        for label in (0, 1):
            board.fisher_clear()
            board.fisher_accumulate(x[label], label)
            singles.append(board.fisher())
        board.fisher_accumulate(x[0], 0)
        both = board.fisher()
        board.fisher_clear()
        with pytest.raises(tt_tflm.InputError, match="expected at least one sample, received none"):
            board.fisher()
    for name, potentials in both.items():
        np.testing.assert_allclose(potentials, (singles[0][name] + singles[1][name]) / 2, rtol=1e-5)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_potentials_of_the_backbones(name: str, data_folder: Path) -> None:
    model = keras.saving.load_model(data_folder / "models" / f"{name}.keras")
    loss = PrototypeLoss(classes=2)
    with np.load(data_folder / "examples" / "gtsrb_dev00.npz") as episode:
        pictures = [episode["support_x"][episode["support_y"] == label][:2] for label in (0, 1)]
    resized = keras.ops.convert_to_numpy(
        keras.ops.image.resize(np.concatenate(pictures).astype(np.float32), (128, 128))
    )
    x = resized / np.float32(127.5) - np.float32(1)
    references = [AdaptingReference(model, loss, SGD(), dtype=d) for d in ("float64", "float32")]
    shown = [(x[0], 0), (x[2], 1)]
    with convert_dynamic(model, loss, SGD(), tail=TAIL).simulate(device="host") as board:
        # Enrolled are other pictures than those inspected: a sample's gradient towards itself is nearly none.
        for sample, label in ((x[1], 0), (x[3], 1)):
            for each in (board, *references):
                each.enroll(sample, label)
        for sample in shown:
            board.fisher_accumulate(*sample)
        actual = board.fisher()
    assert len(actual) == TAIL
    check_potentials(actual, *(reference.fisher(shown) for reference in references))
