# SPDX-License-Identifier: Apache-2.0
"""The command line as a function, as in the tests of the other commands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tt_tflm.cli.main import main


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Arguments -> exit code, stdout, stderr."""

    def run_main(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return int(caught.value.code), captured.out, captured.err

    return run_main
