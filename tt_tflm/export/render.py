# SPDX-License-Identifier: Apache-2.0
"""Folders of templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

_SUFFIX = ".j2"


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
