# SPDX-License-Identifier: Apache-2.0
"""Registries: names, and packages of others that cannot be imported."""

import sys

import pytest
from emit.workshop import run_quietly

from recipes import outside
from tt_tflm.errors import InputError, ToolchainError
from tt_tflm.extensions.registry import Registry

GROUP = "tt_tflm.tests"


@pytest.fixture
def registry():
    registry = Registry("a thing", GROUP)
    registry.add("first", 1)
    registry.add("second", 2)
    return registry


def test_entries_keep_their_order_and_names_are_taken_once(registry):
    assert (list(registry), registry.values(), len(registry)) == (["first", "second"], (1, 2), 2)
    assert "first" in registry
    assert registry["second"] == 2
    with pytest.raises(
        InputError, match=r"^a thing: expected a name that is not taken, received 'first': choose another$"
    ):
        registry.add("first", 3)
    assert registry["first"] == 1


@pytest.mark.parametrize("name", ["", "First", "a b", "--a", None, 3])
def test_names_are_words_of_an_option(registry, name):
    with pytest.raises(InputError, match=r"^a thing: expected a name of lower-case letters, .*, received "):
        registry.add(name, 3)


@pytest.mark.parametrize(("name", "cure"), [("frist", ": did you mean 'first'?"), ("zzz", ""), (None, ""), ([], "")])
def test_unknown_names_are_answered_with_the_known_ones(registry, name, cure):
    with pytest.raises(InputError) as refused:
        registry[name]
    assert str(refused.value) == f"expected a thing of first, second, received {name!r}{cure}"


def test_a_package_that_cannot_be_imported_is_named(registry, monkeypatch, tmp_path):
    outside.install(monkeypatch, tmp_path / "site", registry, GROUP, "someones_fault", "import nothing_of_that_name")
    with pytest.raises(ToolchainError, match="of someones_fault to be imported, received ModuleNotFoundError") as told:
        list(registry)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("first", "registry"),
    [
        ("tt_tflm.export.arduino.library", "tt_tflm.export.EXPORTERS"),
        ("tt_tflm.losses.softmax", "tt_tflm.losses.LOSSES"),
        ("tt_tflm.optimizers.sgd", "tt_tflm.optimizers.OPTIMIZERS"),
        ("tt_tflm.devices.architectures.host", "tt_tflm.devices.CORES"),
    ],
)
def test_the_order_does_not_depend_on_what_is_imported_first(first, registry):
    module = registry.rsplit(".", 1)[0]
    orders = {
        run_quietly(sys.executable, "-c", f"import {imported}, {module}; print(*{registry})")
        for imported in (first, module)
    }
    assert len(orders) == 1
