# SPDX-License-Identifier: Apache-2.0
"""Templates hold text, names and tables: loops over what they are given, and no decision."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tt_tflm"
# Pages for people and settings of build systems may leave out what one backend has not.
CODE = (".c", ".h", ".S", ".cc", ".cpp", ".ino")
TEMPLATES = sorted(path for path in PACKAGE.rglob("*.j2") if path.with_suffix("").suffix in CODE)
# What an emitter has decided is a list: a template goes over it, or puts a value.
_LOOP = re.compile(r"(for \w+(, \w+)? in [\w.]+(\.items\(\))?|endfor)")
_VALUE = re.compile(r"[\w.]+( \| (join\('[^']*'\)|indent|length|upper))?( [-+*] \d+)?")


@pytest.mark.parametrize("template", TEMPLATES, ids=[str(path.relative_to(PACKAGE)) for path in TEMPLATES])
def test_a_template_decides_nothing(template):
    text = template.read_text()
    statements = [statement.strip() for statement in re.findall(r"\{%-?(.*?)-?%\}", text, re.DOTALL)]
    assert [statement for statement in statements if not _LOOP.fullmatch(statement)] == []
    values = [value.strip() for value in re.findall(r"\{\{(.*?)\}\}", text, re.DOTALL)]
    assert [value for value in values if not _VALUE.fullmatch(value)] == []
