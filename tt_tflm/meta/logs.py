# SPDX-License-Identifier: Apache-2.0
"""The history of a training run on disk: a CSV file and TensorBoard's events."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from tt_tflm.errors import InputError
from tt_tflm.files.output import write_whole
from tt_tflm.meta.checkpoint import clear_unfinished

CSV_NAME = "history.csv"


class Logs:
    """Writes the rows of a history. A run that goes on from a checkpoint writes the rows after it again.

    Args:
        folder: made if need be; None writes nothing.

    Raises:
        InputError: the folder cannot be made.
    """

    def __init__(self, folder: str | PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._events: Any = None
        self._written = 0
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"expected a folder for logs, received {folder}: {error.strerror}") from error
        clear_unfinished(self._folder / CSV_NAME)

    def write(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Writes the whole history as CSV, and to TensorBoard what is new.

        Raises:
            InputError: the files cannot be written.
        """
        if self._folder is None:
            return
        text = io.StringIO()
        table = csv.DictWriter(text, list(history[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(history)
        write_whole(self._folder / CSV_NAME, lambda file: file.write(text.getvalue().encode()))
        self._write_events(history[self._written :])
        self._written = len(history)

    def _write_events(self, rows: Sequence[Mapping[str, Any]]) -> None:
        import tensorflow as tf

        try:
            if self._events is None:
                self._events = tf.summary.create_file_writer(str(self._folder))
            with self._events.as_default():
                for row in rows:
                    # tf.summary.scalar wants TensorBoard installed; the record it reads does not.
                    values = [
                        tf.compat.v1.Summary.Value(tag=name, simple_value=value)
                        for name, value in row.items()
                        if name != "episode" and value is not None
                    ]
                    record = tf.compat.v1.Summary(value=values).SerializeToString()
                    tf.summary.experimental.write_raw_pb(record, step=row["episode"])
            self._events.flush()
        except tf.errors.OpError as error:
            raise InputError(
                f"expected a folder that can be written, received {self._folder}: {error.message}"
            ) from None
