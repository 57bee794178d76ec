# SPDX-License-Identifier: Apache-2.0
"""Random boards at a serial line against the host: python tests/fuzz/serial.py --cases 10000

Shows the smallest case that was found, and fails, where something other than DeviceError comes through, or a call
outlasts its limit or takes more memory than it may.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

# In place of this folder: pyserial has the name of this file.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import hypothesis  # noqa: E402
from boards.serial_line.hostile_cases import CASES, Figures, run  # noqa: E402
from boards.serial_line.hostile_device import Case  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: %(default)s)")
    options = parser.parse_args()
    figures = Figures()

    @hypothesis.seed(options.seed)
    @hypothesis.settings(
        max_examples=options.cases, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(CASES)
    def attack(case: Case) -> None:
        run(case, figures)

    began = time.perf_counter()
    attack()
    print(
        f"{figures.cases} boards in {time.perf_counter() - began:.0f} s: {figures.results} results, "
        f"{figures.device_errors} DeviceError, {figures.input_errors} InputError, nothing else; at most "
        f"{max(0.0, figures.most_late_s):.2f} s after the limit of a call, {figures.most_memory_bytes / 2**20:.1f} MiB"
    )
    return 0 if figures.cases >= options.cases else 1


if __name__ == "__main__":
    sys.exit(main())
