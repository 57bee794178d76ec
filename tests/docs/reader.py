# SPDX-License-Identifier: Apache-2.0
"""A reader who types what a document shows: its fenced blocks, one after the other, in one folder and one Python.

A comment in the line before a block says what is particular about it:

- ``<!-- not run: REASON -->``: the block is for a machine, a tree or a board that a test does not have;
- ``<!-- file: NAME -->``: the reader keeps the block as that file;
- ``<!-- board: OUT -->``: instead of the board at /dev/ttyACM0, the console of the build OUT runs on this machine.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

import tt_tflm
from tt_tflm.cli.main import main

ROOT = Path(__file__).parents[2]
PORT = "/dev/ttyACM0"
RUN = ("sh", "python", "c")
SHOWN = ("text", "json", "cpp", "cmake", "toml")
_NOTE = re.compile(r"<!-- (not run|file|board): (.+) -->")
_C_FLAGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-Wno-unused-parameter")


@dataclass(frozen=True)
class Block:
    """A code block of a document.

    Attributes:
        document: the document's path below the repository.
        line: of its first line, from 1.
        language: word after the fence, "" of an indented block.
        note: what the comment before it is about, "" without one; `value` is what it says.
    """

    document: str
    line: int
    language: str
    text: str
    note: str = ""
    value: str = ""

    @property
    def place(self) -> str:
        """Where it stands, as compilers write it."""
        return f"{self.document}:{self.line}"


def blocks_of(document: str) -> list[Block]:
    """The code blocks of a document, in order."""
    found, note = [], None
    for token in MarkdownIt("commonmark").parse((ROOT / document).read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block"):
            found.append(Block(document, token.map[0] + 2, token.info, token.content, *(note.groups() if note else ())))
        note = _NOTE.fullmatch(token.content.strip()) if token.type == "html_block" else None
    return found


def read(document: str) -> None:
    """Do what the document says, in the working folder.

    Raises:
        Exception: what a block raises, with its place in the traceback.
        AssertionError: a command of a block fails.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(document):
        if block.note == "file":
            Path(block.value).parent.mkdir(parents=True, exist_ok=True)
            Path(block.value).write_text(block.text, encoding="utf-8")
        elif block.note != "not run" and block.language in RUN:
            with _board(block) as text:
                if block.language == "python":
                    # Empty lines before it make line numbers in tracebacks those of the document.
                    exec(compile("\n" * (block.line - 1) + text, document, "exec"), names)
                elif block.language == "sh":
                    for command in _commands(text):
                        _run(command, block)
                else:
                    _compile(text, block)


@contextlib.contextmanager
def _board(block: Block) -> Iterator[str]:
    """The block's text, with a board at the port that it names."""
    if block.note != "board":
        yield block.text
        return
    assert PORT in block.text, f"{block.place}: no port to put a board at"
    folder = Path(f"board-{block.value}")
    folder.mkdir(exist_ok=True)
    with tt_tflm.load_build(block.value).console("host", folder) as process:
        yield block.text.replace(PORT, process.port)


def _commands(text: str) -> list[list[str]]:
    """The words of each command: lines that end in a backslash go on, # begins a comment."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def _run(words: list[str], block: Block) -> None:
    if words[0] == "tt-tflm":
        # In this process, as TensorFlow takes seconds to import.
        try:
            main(words[1:])
        except SystemExit as end:
            assert not end.code, f"{block.place}: {shlex.join(words)} ended with exit code {end.code}"
    else:
        assert words[0] == "python", f"{block.place}: expected tt-tflm or python, received {words[0]}"
        result = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{block.place}: {shlex.join(words)}: {result.stderr}"


def _compile(text: str, block: Block) -> None:
    """C against the headers of the build `dyn`, which the README makes."""
    command = ["gcc", *_C_FLAGS, "-fsyntax-only", "-Idyn/include", "-Idyn/console", "-x", "c", "-"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{block.place}: {result.stderr}"
