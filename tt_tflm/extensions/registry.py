# SPDX-License-Identifier: Apache-2.0
"""Lists that are kept in one place and may be added to from outside the package.

An entry is added by a call. Those of this package are added as their folder is imported (``import_modules``); those of
other packages likewise, once the registry is first read, if they name their module in their entry points::

    [project.entry-points."tt_tflm.exporters"]
    mbed = "my_package.mbed"
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import re
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from tt_tflm.errors import InputError, ToolchainError, meant

_Entry = TypeVar("_Entry")
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_NAME_IN_C = re.compile(r"[a-z][a-z0-9_]{0,31}")


def import_modules(package: str, path: Iterable[str], *, subpackages_alone: bool = False) -> None:
    """Imports what lies in a folder, for its ``__init__.py`` to call at its end: entries are added in the order of the
    modules' names, whichever of them is asked for first.

    Args:
        package: name of the folder's package.
        path: its ``__path__``.
        subpackages_alone: leave modules out.
    """
    for module in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        if module.ispkg or not subpackages_alone:
            importlib.import_module(f"{package}.{module.name}")


class Registry(Generic[_Entry]):
    """Entries by name, in the order in which they were added.

    Args:
        kind: what an entry is, with its article, for messages: ``a strategy``.
        group: of entry points that are imported before the registry is first read.
        in_c: names are parts of names of C as well.
    """

    def __init__(self, kind: str, group: str, *, in_c: bool = False) -> None:
        self._kind, self._group, self._in_c = kind, group, in_c
        self._entries: dict[str, _Entry] = {}
        self._complete = False

    def add(self, name: str, entry: _Entry) -> None:
        """Adds an entry.

        Raises:
            InputError: the name is malformed or taken.
        """
        if not isinstance(name, str) or not (_NAME_IN_C if self._in_c else _NAME).fullmatch(name):
            signs = "digits and '_', at most 32" if self._in_c else "digits, '_', '.' and '-'"
            raise InputError(f"{self._kind}: expected a name of lower-case letters, {signs}, received {name!r}")
        if name in self._entries:
            raise InputError(f"{self._kind}: expected a name that is not taken, received {name!r}: choose another")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> _Entry:
        """The entry of a name.

        Raises:
            InputError: there is none; the message lists the names and says which one may be meant.
        """
        self._read()
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            known = ", ".join(self._entries)
            raise InputError(
                f"expected {self._kind} of {known}, received {name!r}{meant(name, self._entries)}"
            ) from None

    def __contains__(self, name: object) -> bool:
        self._read()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._read()
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        self._read()
        return len(self._entries)

    def values(self) -> tuple[_Entry, ...]:
        """The entries, in their order."""
        self._read()
        return tuple(self._entries.values())

    def _read(self) -> None:
        if self._complete:
            return
        for point in importlib.metadata.entry_points(group=self._group):
            try:
                point.load()
            except Exception as error:
                # What another package raises is not known; its user has to be told which package it was.
                owner = point.dist.name if point.dist else "an installed package"
                reason = " ".join(str(error).split())
                raise ToolchainError(
                    f"{self._group}: expected '{point.value}' of {owner} to be imported, received "
                    f"{type(error).__name__}: {reason}: mend or uninstall {owner}"
                ) from error
        self._complete = True
