# SPDX-License-Identifier: Apache-2.0
"""Losses, a file each: what a board trains towards.

A loss of one's own is a subclass of `Loss` under ``register_loss`` and a C source (see `Loss`); nothing else is edited.
Of another package, its module is named in the entry points ``tt_tflm.losses`` (see ``tt_tflm.extensions.registry``).
"""

from tt_tflm.extensions.registry import import_modules
from tt_tflm.losses.loss import LOSSES, Loss, register_loss
from tt_tflm.losses.prototype import PrototypeLoss
from tt_tflm.losses.softmax import SoftmaxLoss

__all__ = ["LOSSES", "Loss", "PrototypeLoss", "SoftmaxLoss", "register_loss"]

import_modules(__name__, __path__)
