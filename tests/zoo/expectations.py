# SPDX-License-Identifier: Apache-2.0
"""What is known to become of each model: kept in expected.toml, and told as the table of docs/zoo.md."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from zoo.harness import CONVERTS, WAYS, Outcome, Way
from zoo.registry import MODELS, ZooModel

FILE = Path(__file__).with_name("expected.toml")
DOCUMENT = Path(__file__).parents[2] / "docs" / "zoo.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_HEADER = """# SPDX-License-Identifier: Apache-2.0
# What becomes of each model of the zoo: "converts", or what its refusal holds.
# Written by `python tests/zoo/table.py --judge`.
"""
GAP = " ... "
_REFUSAL = re.compile(r"(.*?): expected .*, (received [^:]*)")


def expected() -> dict[str, dict[str, str]]:
    """For each way, by its name, for each model that is known in it."""
    return tomllib.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def write(known: dict[str, dict[str, str]]) -> None:
    """Write expected.toml: ways and models in the order in which they are listed."""
    lines = [_HEADER]
    for way in WAYS:
        entries = known.get(way.name, {})
        lines.append(f"[{way.name}]")
        lines += [f"{name} = {json.dumps(entries[name])}" for name in MODELS if name in entries]
        lines.append("")
    FILE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def fragment(outcome: Outcome) -> str:
    """What expected.toml holds for an outcome: of a refusal, who refuses and what was received, no list between."""
    if outcome.kind == CONVERTS:
        return CONVERTS
    told = outcome.message.splitlines()[0].split("; ")[0]
    parts = _REFUSAL.match(told)
    return f"{parts[1]}{GAP}{parts[2]}" if parts else told


def tells(message: str, told: str) -> bool:
    """Whether a refusal is the one that expected.toml holds."""
    return all(part in message for part in told.split(GAP))


def ways_of(entry: ZooModel) -> tuple[Way, ...]:
    """Those in which a model is tried."""
    return WAYS if entry.devices else WAYS[:1]


def table() -> str:
    """The table in Markdown: a row for each model, and below it why some are refused."""
    known = expected()
    lines = [_summary(known), ""]
    refusals: list[str] = []
    for family in dict.fromkeys(entry.family for entry in MODELS.values()):
        lines += [
            f"### {family}",
            "",
            "| model | architecture | trained as | " + " | ".join(w.name for w in WAYS) + " |",
        ]
        lines.append("|---|---|---|" + "---|" * len(WAYS))
        for entry in (entry for entry in MODELS.values() if entry.family == family):
            cells = [_cell(entry, way, known, refusals) for way in WAYS]
            note = f" ({entry.note})" if entry.note else ""
            lines.append(f"| `{entry.name}` | {entry.source}{note} | {entry.trained_as} | {' | '.join(cells)} |")
        lines.append("")
    if refusals:
        lines += ["### Why not", "", *(f"{i}. {text}" for i, text in enumerate(refusals, 1)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _summary(known: dict[str, dict[str, str]]) -> str:
    counts = []
    for way in WAYS:
        outcomes = list(known.get(way.name, {}).values())
        if outcomes:
            counts.append(f"{way.name} {outcomes.count(CONVERTS)} of {len(outcomes)}")
    return f"{len(MODELS)} models. Converted, run and trained as TensorFlow does: {', '.join(counts)}."


def _cell(entry: ZooModel, way: Way, known: dict[str, dict[str, str]], refusals: list[str]) -> str:
    told = known.get(way.name, {}).get(entry.name)
    if told is None or told == CONVERTS:
        return "" if told is None else "yes"
    text = f"`{told}`"
    if text not in refusals:
        refusals.append(text)
    return f"no ({refusals.index(text) + 1})"
