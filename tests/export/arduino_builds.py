# SPDX-License-Identifier: Apache-2.0
"""Builds for the exported Arduino library: one with all there is, one with the least, one for TensorFlow Lite Micro."""

from __future__ import annotations

import functools

from oracle.fixed_nets import CLASSIFIER_PLAN, small_classifier, small_embedding

import tt_tflm

DEVICE = "nano33ble"


@functools.cache
def build(kind: str, weights: str = "auto") -> tt_tflm.Build:
    """``dynamic``: chooses on the board and adapts; ``softmax``: trains a classifier; ``tflm``: as dynamic, by TFLM."""
    softmax = kind == "softmax"
    model = small_classifier("softmax") if softmax else small_embedding()
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.target, converter.backend = DEVICE, "tflm" if kind == "tflm" else "c"
    converter.weights = weights
    converter.loss = tt_tflm.SoftmaxLoss() if softmax else tt_tflm.PrototypeLoss(3)
    converter.optimizer = tt_tflm.SGD(learning_rate=0.01) if softmax else tt_tflm.Adam(learning_rate=0.01)
    converter.mode = "static" if softmax else "dynamic"
    converter.tail = 1 if kind == "tflm" else None  # TFLM's ops train no depthwise layer with a multiplier
    converter.plan = tt_tflm.UpdatePlan(layers=CLASSIFIER_PLAN) if softmax else None
    return converter.convert()
