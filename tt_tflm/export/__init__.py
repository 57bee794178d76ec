# SPDX-License-Identifier: Apache-2.0
"""Builds as what the build systems of firmware take."""

from tt_tflm.export.arduino import export_arduino
from tt_tflm.export.zephyr import export_zephyr, zephyr_files

__all__ = ["export_arduino", "export_zephyr", "zephyr_files"]
