# SPDX-License-Identifier: Apache-2.0
"""Optimisers, a file each: how a board updates its rows.

An optimiser of one's own is a subclass of `Optimizer` under ``register_optimizer`` and a C source (see `Optimizer`);
nothing else is edited.
Of another package, its module is named in the entry points ``tt_tflm.optimizers``, see
``tt_tflm.extensions.registry``.
"""

from tt_tflm.extensions.registry import import_modules
from tt_tflm.optimizers.adam import Adam
from tt_tflm.optimizers.momentum import Momentum
from tt_tflm.optimizers.optimizer import OPTIMIZERS, Optimizer, register_optimizer
from tt_tflm.optimizers.sgd import SGD

__all__ = ["OPTIMIZERS", "SGD", "Adam", "Momentum", "Optimizer", "register_optimizer"]

import_modules(__name__, __path__)
