# SPDX-License-Identifier: Apache-2.0
"""Cores, a module for each architecture."""

from tt_tflm.extensions.registry import import_modules

import_modules(__name__, __path__)
