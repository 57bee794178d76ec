# SPDX-License-Identifier: Apache-2.0
"""The table of docs/zoo.md: ``python tests/zoo/table.py`` prints it, from expected.toml.

    --judge [NAME ...]   convert, run and train the models first (all, or those named), and write expected.toml
    --way WAY            of host, M7, int8, TFLM; default host
    --write              put the table into docs/zoo.md

A model that gives wrong numbers, or a traceback, is never written as what is expected: it is printed, and the exit
code is 1.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path[0] = str(Path(__file__).parents[1])

from zoo.expectations import BEGIN, DOCUMENT, END, expected, fragment, table, write  # noqa: E402
from zoo.harness import HOST, WAYS, judge  # noqa: E402
from zoo.registry import load_models  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", nargs="*", metavar="NAME")
    parser.add_argument("--way", choices=[way.name for way in WAYS], default=HOST.name)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    models = load_models()
    faults = 0
    if arguments.judge is not None:
        faults = _judge(arguments.judge or list(models), arguments.way)
    if arguments.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table()}\n{END}{after}", encoding="utf-8")
    elif arguments.judge is None:
        print(table(), end="")
    return 1 if faults else 0


def _judge(names: list[str], way_name: str) -> int:
    """Judge models one by one; returns how many are at fault."""
    warnings.simplefilter("ignore")
    models, faults = load_models(), 0
    way = next(way for way in WAYS if way.name == way_name)
    for name in names:
        if way is not HOST and not models[name].devices:
            continue
        outcome = judge(models[name], way)
        errors = f"{outcome.forward:.0e} {outcome.update:.0e}"
        told = f"{outcome.kind:9} {name:34} {outcome.seconds:6.1f} s  {errors}  {outcome.message}"
        print(told, file=sys.stderr, flush=True)
        known = expected()
        if outcome.kind == "wrong":
            faults += 1
            known.get(way.name, {}).pop(name, None)
        else:
            known.setdefault(way.name, {})[name] = fragment(outcome)
        write(known)
    return faults


if __name__ == "__main__":
    sys.exit(main())
