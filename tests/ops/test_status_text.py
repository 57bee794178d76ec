# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import pytest

from tt_tflm.boards.simulated.protocol import Status, status_message, status_text

HEADER = Path(__file__).parents[2] / "ops/include/tt_status.h"


def header_values() -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"\bTT_(?:ERROR_)?(\w+) = (\d+)", HEADER.read_text())}


def test_python_knows_the_statuses_of_the_header():
    assert header_values() == {status.name: int(status) for status in Status}


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_text_is_the_same_in_c_and_python(runtime, status):
    text = runtime.library.tt_status_text(int(status)).decode()
    assert text == status_text(status)
    assert status_message(status).startswith(f"{text}: ")


def test_ok_and_unknown_statuses_have_a_text(runtime):
    assert runtime.library.tt_status_text(0) == b"ok"
    assert runtime.library.tt_status_text(1000) == b"unknown status"
    assert runtime.library.tt_status_text(-1) == b"unknown status"
    assert "unknown status 77" in status_message(77)
