# SPDX-License-Identifier: Apache-2.0
"""TensorFlow and TVM without their chatter: the one place that sets TensorFlow's environment, imports it and silences
both."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import logging
import os
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from types import ModuleType

from tt_tflm.errors import InputError

_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
_CHATTY_LOGGERS = ("tensorflow", "absl", "h5py", "jax")


class Captured:
    """What was written while :func:`silence` held; ``text`` is filled when the block ends."""

    text: str = ""


def most_telling_line(text: str) -> str:
    """Reduce an exception's text or a log to one line of at most 300 characters.

    It is the first line that speaks of an error, else the first line; "" when there is none.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error\b", line, re.IGNORECASE)]
    return (telling or lines or [""])[0][:300]


def import_keras() -> ModuleType:
    """Import Keras on TensorFlow quietly and return it.

    Raises:
        InputError: Keras runs on another backend in this process.
    """
    if "keras" not in sys.modules or "tensorflow" not in sys.modules:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        # Logging handlers made during the import keep sys.stderr for good, so only the descriptors are redirected.
        with _redirected_descriptors(Captured()):
            importlib.import_module("tensorflow")
            importlib.import_module("keras")
    keras = sys.modules["keras"]
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Keras backend: expected tensorflow, received {keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
        )
    return keras


def import_tensorflow() -> ModuleType:
    """Import TensorFlow quietly and return it; raises as :func:`import_keras`."""
    import_keras()
    return sys.modules["tensorflow"]


@contextlib.contextmanager
def silence() -> Iterator[Captured]:
    """Keep everything written to stdout and stderr, by Python or by native code, from the user.

    Yields a :class:`Captured` whose ``text`` holds it after the block. The redirection is of the whole process:
    a progress display that has to go on meanwhile needs a descriptor of its own (``os.dup``) made before.
    """
    captured = Captured()
    printed = io.StringIO()
    levels = {name: logging.getLogger(name).level for name in _CHATTY_LOGGERS}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            _redirected_descriptors(captured),
        ):
            warnings.simplefilter("ignore")
            try:
                yield captured
            except BaseException as error:
                _clear_frames(error)
                raise
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        captured.text += printed.getvalue()


def _clear_frames(error: BaseException | None) -> None:
    """Drops what the calls that failed hold: TVM's builders complain when they go, and here nobody hears it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    gc.collect()


@contextlib.contextmanager
def _redirected_descriptors(captured: Captured) -> Iterator[None]:
    with tempfile.TemporaryFile() as sink, contextlib.ExitStack() as saved:
        _flush()
        for descriptor in (1, 2):
            # A process without a console may have these closed; there is nothing to keep quiet then.
            with contextlib.suppress(OSError):
                copy = os.dup(descriptor)
                saved.callback(os.close, copy)
                saved.callback(os.dup2, copy, descriptor)
                os.dup2(sink.fileno(), descriptor)
        try:
            yield
        finally:
            _flush()
            saved.close()
            sink.seek(0)
            captured.text += sink.read().decode("utf-8", errors="replace")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    # Native code buffers stdout on its own: unflushed text would surface after the block.
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)
