# SPDX-License-Identifier: Apache-2.0
"""The exported library keeps every rule, and every rule notices a library that breaks it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .arduino_rules import RULES, broken_rules, properties


def _set(name: str, value: str | None) -> Callable[[Path], None]:
    """Give a field of library.properties another value, None: take it out."""

    def change(library: Path) -> None:
        fields = properties(library) | {name: value}
        lines = [f"{key}={text}\n" for key, text in fields.items() if text is not None]
        (library / "library.properties").write_text("".join(lines))

    return change


def _write(name: str, text: str = "") -> Callable[[Path], None]:
    def change(library: Path) -> None:
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(text)

    return change


def _move(old: str, new: str) -> Callable[[Path], None]:
    def change(library: Path) -> None:
        (library / old).rename(library / new)

    return change


def _remove(name: str) -> Callable[[Path], None]:
    return lambda library: shutil.rmtree(library / name) if (library / name).is_dir() else (library / name).unlink()


# What breaks each rule; a folder's name is changed where the key says so.
BREAKING: dict[str, Callable[[Path], None] | str] = {
    "LS001": _remove("src"),
    "LS002": "T" * 64,
    "LS003": "Tiny Train",
    "LS004": _write("src/.gitmodules"),
    "LS005": lambda library: (library / "src/link.h").symlink_to("TinyTrain.h"),
    "LS006": _write(".development"),
    "LS007": _write("extras/tool.exe"),
    "LS008": _move("src/TinyTrain.h", "src/Tiny.h"),
    "LS009": _move("src", "Src"),
    "LS010": _write("utility/more.h"),
    "LS011": _write("Extra/more.md"),
    "LP001": _remove("library.properties"),
    "LP002": _move("library.properties", "Library.properties"),
    "LP004": _write("src/library.properties"),
    "LP005": _write("library.properties", "name TinyTrain\n"),
    "LP006": _set("Includes", "TinyTrain.h"),
    "LP007": _set("name", None),
    "LP008": _set("name", ""),
    "LP010": _set("name", "TinyTrain_for_everyone"),
    "LP011": _set("name", "Tiny+Train"),
    "LP014": _set("name", "TinyArduinoTrain"),
    "LP015": _set("name", "Tiny Train"),
    "LP016": _set("name", "TinyLibrary"),
    "LP019": _set("version", None),
    "LP021": _set("version", "1.0"),
    "LP023": _set("author", None),
    "LP024": _set("author", ""),
    "LP025": _set("maintainer", None),
    "LP026": _set("maintainer", ""),
    "LP057": _set("maintainer", "Friends of Arduino"),
    "LP028": _set("email", "someone"),
    "LP031": _set("sentence", None),
    "LP032": _set("sentence", ""),
    "LP034": _set("paragraph", None),
    "LP036": lambda library: _set("paragraph", properties(library)["sentence"] + " More.")(library),
    "LP037": _set("category", None),
    "LP038": _set("category", "Machine Learning"),
    "LP040": _set("url", None),
    "LP041": _set("url", "the web"),
    "LP043": _set("architectures", None),
    "LP044": _set("architectures", ""),
    "LP045": _set("architectures", "raspberrypi"),
    "LP046": _set("architectures", "mbed_Nano"),
    "LP049": _set("dot_a_linkage", "yes"),
    "LP051": _set("includes", ""),
    "LP052": _set("includes", "Tiny.h"),
    "LP053": _set("precompiled", "yes"),
    "LP055": _set("ldflags", ""),
    "LC001": _write("src/more.h", "#include <arduino.h>\n"),
    "LD001": _remove("README.md"),
    "LD002": _remove("LICENSE"),
    "LD003": _write("src/Predict/Predict.ino"),
    "LD004": _remove("examples"),
    "LD005": _move("examples", "example"),
    "SS001": _move("examples/Predict/Predict.ino", "examples/Predict/predict.ino"),
    "SS002": _write("examples/Predict/more stuff.h"),
    "SS003": _write(f"examples/Predict/{'m' * 64}.h"),
    "SS004": _write("examples/Predict/more.pde"),
    "X-name": "Tiny",
    "X-keywords": _write("keywords.txt", "TinyTrain KEYWORD1\n"),
    "X-executable": lambda library: (library / "src/TinyTrain.cpp").chmod(0o755),
    "X-hidden": _write("src/.hidden.h"),
    "X-characters": _write("extras/naïve.md"),
    "X-kinds": _write("src/model.tflite"),
    "X-folded": _write("src/tinytrain.h"),
}


def test_every_rule_is_tried():
    assert set(BREAKING) == set(RULES)


def test_the_library_keeps_every_rule(library):
    assert broken_rules(library) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_library_that_breaks_the_rule_is_noticed(rule, library, tmp_path):
    change = BREAKING[rule]
    broken = tmp_path / (change if isinstance(change, str) else library.name)
    # The sources of the model are long and no rule's business.
    shutil.copytree(library, broken, ignore=shutil.ignore_patterns("tt_*.c"))
    if not isinstance(change, str):
        change(broken)
    assert rule in [text.split()[0] for text in broken_rules(broken)]
