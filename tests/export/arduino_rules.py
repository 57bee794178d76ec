# SPDX-License-Identifier: Apache-2.0
"""The rules of Arduino's linter for libraries, at its strict level, over an unpacked library.

The numbers are the linter's own (LS: structure, LP: library.properties, LC: code, LD: documentation, SS: sketches).
Left out are those that ask the network or a git history. Rules called X are ours: what keeps a zip from working
elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

CATEGORIES = (
    "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing", "Data Storage",
    "Data Processing", "Other",
)  # fmt: skip
FIELDS = ("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures")
OPTIONAL = ("includes", "depends", "dot_a_linkage", "precompiled", "ldflags")
SOURCES = (".c", ".cpp", ".h", ".hpp", ".ino", ".S")
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
BASE_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*")
ALIASES = {
    "atmelavr": {"avr"}, "atmelmegaavr": {"megaavr"}, "atmelsam": {"sam", "samd"}, "espressif32": {"esp32"},
    "espressif8266": {"esp8266"}, "intel_arc32": {"arc32"}, "raspberrypi": {"mbed_nano", "mbed_rp2040", "rp2040"},
    "nordicnrf52": {"nrf5", "nrf52", "mbed", "mbed_edge", "mbed_nano"},
}  # fmt: skip
_LICENCE = re.compile(
    r"(((un)?licen[sc]e)|(copy(ing|right))|(ofl)|(patents))(\.(md|markdown|txt|html))?", re.IGNORECASE
)
_README = re.compile(
    r"readme\.(markdown|mdown|mkdn|md|textile|rdoc|org|creole|mediawiki|wiki|rst|asciidoc|adoc|asc|pod|txt)",
    re.IGNORECASE,
)
_ARDUINO_H = re.compile(r"""^\s*#\s*include\s*["<](arduino\.h)[">]""", re.IGNORECASE | re.MULTILINE)
_MISSPELT = {
    "extras": re.compile(r"^extra$", re.IGNORECASE),
    "examples": re.compile(r"^e((x)|(xs)|(s))((am)|(ma))p((le)|(el))s?$", re.IGNORECASE),
    "library.properties": re.compile(r"^librar(y|ies)[.-]?_?propert(y|ies)$", re.IGNORECASE),
}


def broken_rules(library: Path) -> list[str]:
    """What the library breaks, rule by rule: 'LP020 version: ...'."""
    return [f"{name} {text}" for name, rule in RULES.items() for text in rule(library)]


def properties(library: Path) -> dict[str, str]:
    """library.properties; empty where it is missing or has a line that is none of key=value."""
    try:
        lines = (library / "library.properties").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = [line.split("=", 1) for line in lines if line.strip() and not line.startswith("#")]
    return {pair[0].strip(): pair[1].strip() for pair in pairs} if all(len(pair) == 2 for pair in pairs) else {}


def _everything(library: Path) -> Iterator[Path]:
    return (Path(folder) / name for folder, folders, names in os.walk(library) for name in folders + names)


def _field(name: str, broken: Callable[[str], bool]) -> Callable[[Path], list[str]]:
    def rule(library: Path) -> list[str]:
        value = properties(library).get(name)
        return [f"{name}: {value!r}"] if value is not None and broken(value) else []

    return rule


def _missing(name: str) -> Callable[[Path], list[str]]:
    return lambda library: [f"no {name}"] if name not in properties(library) else []


def _paths(broken: Callable[[Path], bool]) -> Callable[[Path], list[str]]:
    return lambda library: [str(path.relative_to(library)) for path in _everything(library) if broken(path)]


def _wrong_name(right: str) -> Callable[[Path], list[str]]:
    """A file or folder of the root that is this one but for its case or a slip."""

    def rule(library: Path) -> list[str]:
        names = [path.name for path in library.iterdir()]
        slip = _MISSPELT.get(right)
        return [
            name for name in names
            if name != right and (name.lower() == right.lower() or (slip and right not in names and slip.match(name)))
        ]  # fmt: skip

    return rule


def _header_for_name(library: Path) -> list[str]:
    name = properties(library).get("name", "")
    return [] if (library / "src" / f"{name.replace(' ', '_')}.h").is_file() else [f"no header for {name!r}"]


def _includes(library: Path) -> list[str]:
    names = properties(library).get("includes", "").split(",")
    return [name for name in map(str.strip, names) if not (library / "src" / name).is_file()]


def _architectures(broken: Callable[[list[str]], list[str]]) -> Callable[[Path], list[str]]:
    return lambda library: broken([a.strip() for a in properties(library).get("architectures", "").split(",")])


def _solo_aliases(names: list[str]) -> list[str]:
    return [name for name in names if name in ALIASES and not ALIASES[name] & set(names)]


def _sketches(library: Path) -> list[str]:
    folders = [path for path in (library / "examples").glob("*") if path.is_dir()]
    return [folder.name for folder in folders if not (folder / f"{folder.name}.ino").is_file()]


def _stray_sketches(library: Path) -> list[str]:
    return [
        str(path.relative_to(library)) for path in library.rglob("*.ino")
        if path.relative_to(library).parts[0] not in ("examples", "extras")
    ]  # fmt: skip


def _arduino_h(library: Path) -> list[str]:
    return [
        path.name for path in _everything(library)
        if path.suffix in SOURCES and path.is_file()
        and set(_ARDUINO_H.findall(path.read_text(encoding="utf-8"))) - {"Arduino.h"}
    ]  # fmt: skip


def _keywords(library: Path) -> list[str]:
    """keywords.txt: words, one tab, a known class; anything else is shown uncoloured."""
    path = library / "keywords.txt"
    if not path.is_file():
        return ["no keywords.txt"]
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [line for line in lines if not re.fullmatch(r"\w+\t(KEYWORD[123]|LITERAL1)", line)]


def _no_file(pattern: re.Pattern[str]) -> Callable[[Path], list[str]]:
    return lambda library: (
        [] if any(pattern.fullmatch(path.name) for path in library.iterdir() if path.is_file()) else [pattern.pattern]
    )


def _bad_format(library: Path) -> list[str]:
    return [] if properties(library) else ["not key=value"]


_ASSIGNED = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9 _.\-]*")

RULES: dict[str, Callable[[Path], list[str]]] = {
    "LS001": lambda library: (
        [] if (library / "src").is_dir() and any((library / "src").glob("*.h")) else ["no header in src"]
    ),
    "LS002": lambda library: [library.name] if len(library.name) > 63 else [],
    "LS003": lambda library: [] if BASE_NAME.fullmatch(library.name) else [library.name],
    "LS004": _paths(lambda path: path.name in (".git", ".gitmodules")),
    "LS005": _paths(Path.is_symlink),
    "LS006": _paths(lambda path: path.name == ".development"),
    "LS007": _paths(lambda path: path.suffix.lower() == ".exe"),
    "LS008": _header_for_name,
    "LS009": _wrong_name("src"),
    "LS010": lambda library: ["utility"] if (library / "utility").is_dir() else [],
    "LS011": _wrong_name("extras"),
    "LP001": lambda library: [] if (library / "library.properties").is_file() else ["no library.properties"],
    "LP002": _wrong_name("library.properties"),
    "LP004": lambda library: [str(p) for p in library.rglob("library.properties") if p.parent != library],
    "LP005": _bad_format,
    "LP006": lambda library: [name for name in properties(library) if name not in FIELDS + OPTIONAL],
    "LP007": _missing("name"),
    "LP008": _field("name", lambda value: not value),
    "LP010": _field("name", lambda value: len(value) > 16),  # 32 in later versions of the linter
    "LP011": _field("name", lambda value: not _ASSIGNED.fullmatch(value) or not re.search("[a-zA-Z]", value)),
    "LP014": _field("name", lambda value: "arduino" in value.lower()),
    "LP015": _field("name", lambda value: " " in value),
    "LP016": _field("name", lambda value: "library" in value.lower()),
    "LP019": _missing("version"),
    "LP021": _field("version", lambda value: not SEMVER.fullmatch(value)),
    "LP023": _missing("author"),
    "LP024": _field("author", lambda value: not value),
    "LP025": _missing("maintainer"),
    "LP026": _field("maintainer", lambda value: not value),
    "LP057": _field("maintainer", lambda value: "arduino" in value.lower()),
    "LP028": lambda library: ["email"] if "email" in properties(library) else [],
    "LP031": _missing("sentence"),
    "LP032": _field("sentence", lambda value: not value),
    "LP034": _missing("paragraph"),
    "LP036": lambda library: (
        ["paragraph"] if properties(library).get("sentence", "-") in properties(library).get("paragraph", "") else []
    ),
    "LP037": _missing("category"),
    "LP038": _field("category", lambda value: value not in CATEGORIES),
    "LP040": _missing("url"),
    "LP041": _field("url", lambda value: not re.fullmatch(r"https?://[a-z0-9.-]+\.[a-z]+(/[\w./-]*)?", value)),
    "LP043": _missing("architectures"),
    "LP044": _field("architectures", lambda value: not value),
    "LP045": _architectures(_solo_aliases),
    "LP046": _architectures(lambda names: [name for name in names if name != name.lower()]),
    "LP049": _field("dot_a_linkage", lambda value: value not in ("true", "false")),
    "LP051": _field("includes", lambda value: not value),
    "LP052": _includes,
    "LP053": _field("precompiled", lambda value: value not in ("true", "full", "false")),
    "LP055": _field("ldflags", lambda value: not value),
    "LC001": _arduino_h,
    "LD001": _no_file(_README),
    "LD002": _no_file(_LICENCE),
    "LD003": _stray_sketches,
    "LD004": lambda library: [] if any((library / "examples").glob("*/*.ino")) else ["no examples"],
    "LD005": _wrong_name("examples"),
    "SS001": _sketches,
    "SS002": _paths(lambda path: path.suffix in SOURCES and not BASE_NAME.fullmatch(path.name)),
    "SS003": _paths(lambda path: path.suffix in SOURCES and len(path.stem) > 63),
    "SS004": _paths(lambda path: path.suffix == ".pde"),
    "X-name": lambda library: [] if library.name == properties(library).get("name") else [library.name],
    "X-keywords": _keywords,
    "X-executable": _paths(lambda path: path.is_file() and os.access(path, os.X_OK)),
    "X-hidden": _paths(lambda path: path.name.startswith(".")),
    "X-characters": _paths(lambda path: not BASE_NAME.fullmatch(path.name) and not path.name.startswith(".")),
    "X-kinds": _paths(lambda path: path.is_file() and path.suffix not in (*SOURCES, ".md", ".txt", ".properties", "")),
    "X-folded": lambda library: _twice([str(path.relative_to(library)).lower() for path in _everything(library)]),
}


def _twice(names: list[str]) -> list[str]:
    """Names that fall together where a file system ignores case."""
    return sorted({name for name in names if names.count(name) > 1})
