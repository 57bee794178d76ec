# SPDX-License-Identifier: Apache-2.0
"""Which layers and channels are trained, and what that costs."""

from tt_tflm.plan.budget import Budget
from tt_tflm.plan.select import select
from tt_tflm.plan.update_plan import LayerPlan, UpdatePlan

__all__ = ["Budget", "LayerPlan", "UpdatePlan", "select"]
