# SPDX-License-Identifier: Apache-2.0
"""Builds of both backends do the same on random nets with random plans, or the TFLM backend says what it lacks."""

from __future__ import annotations

import os
from collections import Counter

import keras
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle.random_nets import FOCUSES, Net, net_settings, nets
from oracle.reference import PrototypeLoss

import tt_tflm

from .boards import check_equal, check_exported, pair, use

# For a long search of faults: TT_ORACLE_NETS=100 pytest tests/tflm/test_random_nets.py
NETS_PER_FOCUS = int(os.environ.get("TT_ORACLE_NETS", "2"))
STEPS = 4
# With its usual epsilon Adam would move an entry whose gradient is rounding alone as far as any other.
OPTIMIZERS = (
    tt_tflm.SGD(0.01),
    tt_tflm.SGD(0.01, batch_size=2),
    tt_tflm.Momentum(0.005),
    tt_tflm.Adam(0.005, epsilon=1e-3),
    tt_tflm.Adam(0.005, epsilon=1e-3, batch_size=2),
)


def multiplies(model: keras.Model, name: str) -> bool:
    """Whether a layer is a depthwise one with several filters for each input channel."""
    return getattr(model.get_layer(name), "depth_multiplier", 1) > 1


def outcome(net: Net, mode: str, optimizer: tt_tflm.optimizers.Optimizer) -> str:
    """Compares the builds of a net; returns what came of it."""
    count = 2 * net.classes
    samples = net.samples(count)
    assume(len(samples) == count)

    def set_up(converter: tt_tflm.TrainableConverter) -> None:
        if isinstance(net.loss, PrototypeLoss):
            converter.loss = tt_tflm.PrototypeLoss(net.classes, net.loss.temperature)
        converter.optimizer, converter.mode = optimizer, mode
        if mode == "static":
            converter.plan = tt_tflm.UpdatePlan(layers=net.plan)

    try:
        builds = pair(net.model, set_up)
    except tt_tflm.UnsupportedLayerError as error:
        assert "\n" not in str(error)
        message = str(error)
        assert "expected depth_multiplier 1 where TFLM's ops train or pass a gradient, received" in message
        assert multiplies(net.model, message.split("'")[1].split("/")[0])
        return "refused"
    except tt_tflm.InputError as error:
        # TensorFlow Lite's converter stumbles over sums of one-dimensional convolutions with one channel.
        assert "expected a model that TensorFlow Lite and TVM can convert, received" in str(error)
        return "not imported"
    x, labels = [sample for sample, _ in samples], [i % net.classes for i in range(count)]
    c, tflm = (use(builds[backend], x, labels, STEPS) for backend in ("c", "tflm"))
    changed = check_equal(builds["tflm"], c, tflm)
    check_exported(tflm, x[0])
    return "trained" if changed else "without a gradient"


@pytest.mark.parametrize("focus", FOCUSES)
def test_random_nets_train_as_in_the_c_backend(focus: str) -> None:
    outcomes: Counter[str] = Counter()

    @net_settings(NETS_PER_FOCUS)
    @given(nets(focus), st.sampled_from(("static", "dynamic")), st.sampled_from(OPTIMIZERS))
    def run(net: Net, mode: str, optimizer: tt_tflm.optimizers.Optimizer) -> None:
        outcomes[outcome(net, mode, optimizer)] += 1

    run()
    print(f"{focus}: {dict(outcomes)}")
    assert outcomes["trained"] >= 1
