# SPDX-License-Identifier: Apache-2.0
"""Builds as what the build systems of firmware take, a folder for each target."""

from tt_tflm.export.exporters import EXPORTERS, Exporter, ExportOption, export, exporter
from tt_tflm.extensions.registry import import_modules

__all__ = ["EXPORTERS", "ExportOption", "Exporter", "export", "exporter"]

import_modules(__name__, __path__, subpackages_alone=True)
