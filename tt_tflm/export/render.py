# SPDX-License-Identifier: Apache-2.0
"""Folders of templates, and names in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

_SUFFIX = ".j2"
_UNSAFE = re.compile(r"[^A-Za-z0-9 _.+-]")


def rendered(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """The files of a folder, path below it -> text: what ends in .j2 is rendered, the rest is as it is."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name.endswith(_SUFFIX):
            files[name.removesuffix(_SUFFIX)] = environment.get_template(name).render(settings)
        else:
            files[name] = path.read_text(encoding="utf-8")
    return files


def plain_name(model: str) -> str:
    """A model's name as it may stand in C, CMake, Kconfig, Markdown and reStructuredText."""
    return _UNSAFE.sub("?", model)
