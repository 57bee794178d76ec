# SPDX-License-Identifier: Apache-2.0
"""Requests and answers as lines."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_tflm.boards.serial.frames import ConsoleError, Damaged, read_answer, request


def _line(text: bytes) -> bytes:
    return b"%s*%08X" % (text, zlib.crc32(text))


def test_a_request_is_a_line_with_its_checksum():
    line = request(17, "data", 0, "AAAA")
    assert line == b"#17 data 0 AAAA*%08x\n" % zlib.crc32(b"#17 data 0 AAAA")


def test_answers_are_read():
    answer = read_answer(_line(b"!ok #5 samples=3 loss=3f800000 data=AQID"))
    assert (answer.code, answer.sequence, answer.number("samples")) == (0, 5, 3)
    assert answer.floating("loss") == 1.0 and answer.data("data") == b"\x01\x02\x03"
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


def test_fields_that_are_missing_are_damage():
    answer = read_answer(_line(b"!ok"))
    with pytest.raises(Damaged, match="without loss"):
        answer.floating("loss")
