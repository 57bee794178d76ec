# SPDX-License-Identifier: Apache-2.0
"""Each model of the zoo converts, or is refused as expected.toml says; the table of docs/zoo.md says the same."""

import os

import pytest

from zoo.expectations import DOCUMENT, FILE, expected, fragment, table, tells, ways_of
from zoo.harness import CONVERTS, HOST, WAYS, judge
from zoo.registry import load_models

MODELS = load_models()
# Every model that is tried on devices, in int8 and on TFLM, too: TT_ZOO=all pytest tests/zoo
_STEP = 1 if os.environ.get("TT_ZOO") == "all" else 8


@pytest.mark.parametrize("name", MODELS)
def test_host(name: str) -> None:
    _check(name, HOST)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "name"),
    [
        pytest.param(way, name, marks=[pytest.mark.qemu] if way.device != "host" else [], id=f"{way.name}-{name}")
        for way in WAYS[1:]
        for name in list(expected().get(way.name, {}))[::_STEP]
    ],
)
def test_other_ways(way, name: str) -> None:
    assert way in ways_of(MODELS[name]), f"{name}: expected.toml tells what the zoo does not try"
    _check(name, way)


def _check(name: str, way) -> None:
    told = expected()[way.name][name]
    outcome = judge(MODELS[name], way)
    if told == CONVERTS:
        assert outcome.kind == CONVERTS, outcome.message
    else:
        assert outcome.kind != CONVERTS, f"{name} converts now: write it into {FILE.name}"
        assert tells(outcome.message, told), fragment(outcome)


def test_the_document_tells_what_is_expected() -> None:
    assert table() in DOCUMENT.read_text(encoding="utf-8"), "run python tests/zoo/table.py --write"


def test_zoo_is_large_enough() -> None:
    assert len(MODELS) >= 80
    assert sum(entry.devices for entry in MODELS.values()) >= 25
