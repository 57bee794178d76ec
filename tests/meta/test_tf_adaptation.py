# SPDX-License-Identifier: Apache-2.0
"""Adaptation in TensorFlow: episodes of every size run through functions that are traced once."""

import logging

import numpy as np
import pytest
from meta import small

from tt_tflm.boards.episode import Episode
from tt_tflm.boards.simulated.task import Augment
from tt_tflm.meta.tf_adaptation import TfAdaptation
from tt_tflm.optimizers import Adam
from tt_tflm.plan.update_plan import LayerPlan


def test_episodes_of_other_sizes_are_adapted_to_without_advice_of_tensorflow(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("tensorflow"), "propagate", True)
    adaptation = TfAdaptation(small.tiny(), 5.0, Adam())
    for classes in range(2, 9):
        x = np.random.default_rng(0).uniform(-1, 1, (classes + 1, *small.SHAPE)).astype(np.float32)
        y = np.arange(classes + 1) % classes
        adaptation.adapt(Episode(x, y, x, y), {"stem": LayerPlan((0, 1))}, 1, Augment())
    assert [record.getMessage() for record in caplog.records if "retracing" in record.getMessage()] == []
