# SPDX-License-Identifier: Apache-2.0
"""The console of a build of the backend ``tflm`` as a process: its C code with the tflite-micro wheel around it.

Started by `tt_tflm.boards.simulated.console`; standard input and output are the console's line.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import subprocess
import sys
from pathlib import Path

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.tflm_models import TflmModels
from tt_tflm.errors import ToolchainError

_READY = "ready"
_LAYOUTS = "layouts.json"
_LONGEST_START_S = 120.0


def start_console(
    library: Path, files: SimulationFiles, scratch: Path, folder: str | Path, line: int
) -> subprocess.Popen[bytes]:
    """A process with a console that listens.

    Args:
        library: the sources of the console and of the build, with a function ``main``.
        files: the build.
        scratch: an empty folder, needed until the console listens.
        folder: working directory of the process.
        line: file descriptor of the console's line.

    Raises:
        ToolchainError: the process did not come up.
    """
    for number, name in enumerate(files.description["tflm"]):
        (scratch / str(number)).write_bytes(files.models[name])
    (scratch / _LAYOUTS).write_text(json.dumps(files.description["tflm"]), encoding="utf-8")
    # Not "-m", by which modules would be looked for in the working directory first.
    start = f"import sys; sys.path[0] = sys.argv.pop(1); from {__name__} import main; main()"
    package = Path(__file__).parents[len(__name__.split(".")) - 1]
    hears, tells = os.pipe()
    with os.fdopen(hears, "rb") as answers:
        try:
            command = [sys.executable, "-c", start, str(package), str(library), str(scratch), str(tells)]
            process = subprocess.Popen(
                command, cwd=folder, stdin=line, stdout=line, stderr=subprocess.DEVNULL, pass_fds=(tells,)
            )
        finally:
            os.close(tells)
        in_time = select.select([answers], [], [], _LONGEST_START_S)[0]
        answer = answers.read().decode(errors="replace") if in_time else ""
    if answer != _READY:
        process.kill()
        process.wait()
        raise ToolchainError(f"expected a console that listens, received {answer or 'no answer from its process'}")
    return process


def main() -> None:
    """Runs a console; library, scratch folder and where to tell of it come on the command line."""
    library, scratch, tells = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with os.fdopen(tells, "w", encoding="utf-8") as told:
        try:
            layouts = json.loads((scratch / _LAYOUTS).read_text(encoding="utf-8"))
            models = TflmModels(layouts, {name: (scratch / str(i)).read_bytes() for i, name in enumerate(layouts)})
            console = ctypes.CDLL(str(library))
            models.hold(console)
        except Exception as error:
            told.write(str(error))
            raise
        told.write(_READY)
    sys.exit(console.main())
