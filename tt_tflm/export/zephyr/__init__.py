# SPDX-License-Identifier: Apache-2.0
"""Zephyr."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tt_tflm.export.exporters import ExportOption, exporter

if TYPE_CHECKING:
    from tt_tflm.build.artefact import Build


@exporter
class Zephyr:
    """See ``tt_tflm.export.zephyr.module``."""

    name = "zephyr"
    help = "A Zephyr module, with a sample and a test."
    takes = "DIR"
    options: tuple[ExportOption, ...] = ()

    def write(self, build: Build, path: Path, options: Mapping[str, str]) -> None:
        """See ``Exporter``."""
        from tt_tflm.export.zephyr.module import export_zephyr

        export_zephyr(build, path)
