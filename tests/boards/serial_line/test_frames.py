# SPDX-License-Identifier: Apache-2.0
"""Requests and answers as lines."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_tflm.boards.serial.fields import Fields
from tt_tflm.boards.serial.frames import ConsoleError, Damaged, read_answer, request


def _line(text: bytes) -> bytes:
    return b"%s*%08X" % (text, zlib.crc32(text))


def test_a_request_is_a_line_with_its_checksum():
    line = request(17, "data", 0, "AAAA")
    assert line == b"#17 data 0 AAAA*%08x\n" % zlib.crc32(b"#17 data 0 AAAA")


def test_answers_are_read():
    answer = read_answer(_line(b"!ok #5 samples=3 loss=3f800000 data=AQID"))
    fields = Fields("predict", answer.fields)
    assert (answer.code, answer.sequence, fields.number("samples")) == (0, 5, 3)
    assert fields.floating("loss") == 1.0 and fields.data("data", 0, 3) == b"\x01\x02\x03"
    assert not answer.tells_damage
    refused = read_answer(_line(b"!error 108 #6 there is no room"))
    assert (refused.code, refused.sequence, refused.text) == (ConsoleError.FULL, 6, "there is no room")
    assert refused.message().startswith("there is no room: ")
    assert read_answer(_line(b"!error 7 the class")).message().startswith("the class has no enrolled sample: ")
    assert read_answer(_line(b"!error 101 the checksum")).tells_damage
    assert read_answer(_line(b"!ok")).fields == {}
    # Codes of a later firmware are told as it tells them.
    assert read_answer(_line(b"!error 150 #1 it rains")).message() == "it rains (error 150)"


@given(st.binary(max_size=60))
def test_what_is_no_answer_is_damage(content):
    with pytest.raises(Damaged):
        read_answer(content.replace(b"\n", b""))


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at, change):
    line = bytearray(_line(b"!ok #5 samples=3 loss=3f800000"))
    line[at % len(line)] ^= change
    try:
        answer = read_answer(bytes(line))
    except Damaged:
        return
    # The case of a digit of the checksum is nobody's concern.
    assert bytes(line).lower() == _line(b"!ok #5 samples=3 loss=3f800000").lower() and answer.code == 0


@pytest.mark.parametrize(
    "text",
    [b"!error 0 #5 well", b"!ok #5 a=1 a=2", b"!ok #5 a", b"!ok #99999999999", b"!ok #5 a=\x1b[2J", b"!error 1e2 #5"],
)
def test_what_no_console_says_is_damage_for_all_its_checksum(text):
    with pytest.raises(Damaged):
        read_answer(_line(text))


def test_what_a_board_says_of_an_error_is_cut():
    assert len(read_answer(_line(b"!error 150 #1 " + b"a" * 10000)).message()) < 250
