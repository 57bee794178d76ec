# SPDX-License-Identifier: Apache-2.0
"""Text of generated files: templates, and values as C writes them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jinja2
import numpy as np

from tvm_passes.specs import CLASS, LossSpec

_COLUMNS = 112


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of the emitters."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("tt_tflm.emit"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def comment(name: str) -> str:
    """A user's name, harmless inside a comment, where compilers warn of a second beginning too."""
    line = "".join(c if c.isprintable() and c.isascii() else "?" for c in name)
    return line.replace("*/", "* /").replace("/*", "/ *")


def c_float(value: float) -> str:
    """The float32 next to a value, to the bit: its nine digits are not those of the value."""
    return f"{float(np.float32(value)):.8e}f"


def c_bool(value: object) -> str:
    """``true`` or ``false``."""
    return "true" if value else "false"


def loss_declaration(loss: LossSpec) -> str:
    """That of the function of a loss without prototypes, which may come from outside of the package."""
    label = "uint32_t label" if loss.label == CLASS else "const float *target"
    return (
        f"tt_status_t {loss.function}(const float *output, uint32_t elements, {label}, float *gradient, float *loss);"
    )


def wrapped(entries: Sequence[str]) -> str:
    """Entries of an initialiser, as many in a line as fit."""
    lines = [""]
    for entry in entries:
        if lines[-1] and len(lines[-1]) + len(entry) + 2 > _COLUMNS:
            lines.append("")
        lines[-1] += f"{entry}, "
    return "\n".join(line.rstrip() for line in lines).removesuffix(",")
