# SPDX-License-Identifier: Apache-2.0
"""Reads spoilt files of every kind and tells what escapes: an error other than InputError, time, memory.

    python tests/fuzz/files.py --cases 10000 [--kind state] [--seed 0] [--keep FOLDER]

A case is told by its kind and number: `--seed NUMBER --cases 1` repeats it. Exits with 1 if there was an escape.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from fuzz.kinds import KINDS, SLOW, run_case  # noqa: E402
from tt_tflm.frontend.quiet import import_keras  # noqa: E402

_SECONDS = 20
_MEBIBYTES = 1024


class OutOfTime(BaseException):
    """A case took longer than it may; no handler of errors catches it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="of each kind")
    parser.add_argument(
        "--kind",
        choices=KINDS,
        action="append",
        help="default: all but those that Keras itself reads: model, old_model, tflite_model",
    )
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="folder for the files that escape")
    arguments = parser.parse_args()
    if set(SLOW) & set(arguments.kind or ()):
        import_keras()  # takes longer than a case may
    signal.signal(signal.SIGALRM, _interrupt)
    escapes = 0
    for name in arguments.kind or [name for name in KINDS if name not in SLOW]:
        escapes += _run(name, range(arguments.seed, arguments.seed + arguments.cases), arguments.keep)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak memory {peak} MiB")
    return int(escapes > 0 or peak > _MEBIBYTES)


def _run(name: str, seeds: range, keep: Path | None) -> int:
    kind, refused, escapes, slowest, began = KINDS[name], 0, 0, (0.0, 0), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tt-tflm-fuzz-") as folder:
        for seed in seeds:
            started = time.monotonic()
            signal.alarm(_SECONDS)
            try:
                refused += run_case(kind, seed, Path(folder))
            except (Exception, OutOfTime):
                escapes += 1
                print(f"{name} {seed}: escape\n{_shortened(traceback.format_exc(limit=-4))}", flush=True)
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name}-{seed}{kind.suffix}").write_bytes(
                        (Path(folder) / f"case{kind.suffix}").read_bytes()
                    )
            finally:
                signal.alarm(0)
            slowest = max(slowest, (time.monotonic() - started, seed))
    print(
        f"{name}: {len(seeds):,} cases, {refused:,} refused, {escapes} escaped, {time.monotonic() - began:.0f} s, "
        f"slowest {slowest[0]:.2f} s (case {slowest[1]})",
        flush=True,
    )
    return escapes


def _shortened(text: str) -> str:
    return "\n".join(line[:200] for line in text.splitlines())


def _interrupt(*_: object) -> None:
    raise OutOfTime(f"more than {_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
