# SPDX-License-Identifier: Apache-2.0
"""The Arduino IDE and arduino-cli."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tt_tflm.export.exporters import ExportOption, exporter

if TYPE_CHECKING:
    from tt_tflm.build.artefact import Build


@exporter
class Arduino:
    """See ``tt_tflm.export.arduino.library``."""

    name = "arduino"
    help = "An Arduino library, with sketches."
    takes = "LIB.zip"
    options: tuple[ExportOption, ...] = ()

    def write(self, build: Build, path: Path, options: Mapping[str, str]) -> None:
        """See ``Exporter``."""
        from tt_tflm.export.arduino.library import export_arduino

        export_arduino(build, path)
