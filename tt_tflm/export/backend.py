# SPDX-License-Identifier: Apache-2.0
"""What can be exported."""

from __future__ import annotations

from tt_tflm.build import Build
from tt_tflm.errors import InputError


def need_c_backend(build: Build) -> None:
    """Refuses a build without C sources of its model.

    Raises:
        InputError: the build is of the backend ``tflm``.
    """
    if build.backend != "c":
        raise InputError(
            f"expected a build of backend 'c' to export, received one of backend '{build.backend}': convert without "
            "--backend, or see --zephyr and examples/tflm_firmware"
        )
