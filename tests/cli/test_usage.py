# SPDX-License-Identifier: Apache-2.0
"""Words that the command line does not understand: one line and exit code 2; and what it lists."""

import json
import subprocess
import sys

import pytest

from tt_tflm.boards.simulated.task import GRADIENTS
from tt_tflm.build.converter import MODES
from tt_tflm.cli.evaluate import COMPARED
from tt_tflm.cli.options import GRADIENT_NAMES, MODE_NAMES
from tt_tflm.frontend.supported import supported_layers
from tt_tflm.meta.evaluation_settings import DEFAULT_STRATEGIES


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["expected a command", "simulate", "received none"]),
        (["train"], ["expected a command", "convert", "received train"]),
        (["metatrain"], ["received metatrain: did you mean 'meta-train'? see tt-tflm --help"]),
        (["--fast"], ["expected an option of tt-tflm", "received --fast"]),
        (["summary"], ["expected MODEL, received none"]),
        (["summary", "m.keras", "--jsn", "f"], ["did you mean --json"]),
        (["summary", "m.keras", "n.keras"], ["n.keras"]),
        (["convert", "m.keras"], ["expected --output, received none"]),
        (["convert", "m.keras", "-o"], ["expected a value for -o"]),
        (["convert", "m.keras", "-o", "o", "--target", "z80"], ["--target", "cortex-m55", "received 'z80'"]),
        (["convert", "m.keras", "-o", "o", "--target", "cortex-m77"], ["did you mean 'cortex-m7'"]),
        (["simulate", "o", "--episode", "e.npz", "--device", "tfml"], ["did you mean 'tflm'"]),
        (["evaluate", "m.keras", "--data", "d.npz", "--strategies", "tinytrian"], ["did you mean 'tinytrain'"]),
        (["convert", "m.keras", "-o", "o", "--input-scaling", "modle"], ["did you mean 'model'"]),
        (["convert", "m.keras", "-o", "o", "--loss", "mse"], ["--loss", "prototype or softmax", "received 'mse'"]),
        (["convert", "m.keras", "-o", "o", "--optimizer", "lamb"], ["--optimizer", "adam", "received 'lamb'"]),
        (["convert", "m.keras", "-o", "o", "--learning-rate", "0"], ["--learning-rate", "above 0", "received '0'"]),
        (["convert", "m.keras", "-o", "o", "--learning-rate", "nan"], ["above 0", "received 'nan'"]),
        (["convert", "m.keras", "-o", "o", "--learning-rate", "fast"], ["above 0", "received 'fast'"]),
        (["convert", "m.keras", "-o", "o", "--classes", "1"], ["at least 2", "received '1'"]),
        (["convert", "m.keras", "-o", "o", "--classes", "5"], ["--loss prototype", "received it without --loss"]),
        (["convert", "m.keras", "-o", "o", "--train", "a:x"], ["--train LAYER", "received 'a:x'"]),
        (["convert", "m.keras", "-o", "o", "--train", "a:"], ["--train LAYER", "received 'a:'"]),
        (["convert", "m.keras", "-o", "o", "--train", ":1"], ["names no layer"]),
        (["convert", "m.keras", "-o", "o", "--train", "a:1", "--train", "a:2"], ["'a' twice"]),
        (["convert", "m.keras", "-o", "o", "--train", "a", "--plan", "p.json"], ["--plan or --train"]),
        (["convert", "m.keras", "-o", "o", "--plan", "none.json"], ["none.json"]),
        (["simulate", "o"], ["expected --episode"]),
        (["simulate", "o", "--episode", "e.npz", "--iterations", "-1"], ["at least 0", "received '-1'"]),
        (["simulate", "o", "--episode", "e.npz", "--iterations", "1.5"], ["whole number", "received '1.5'"]),
        (["simulate", "o", "--episode", "e.npz", "--device", "arduino"], ["--device", "received 'arduino'"]),
        (["supported-ops", "--json", "no/such/folder/f.json"], ["existing folder"]),
        (["supported-ops", "--json", "."], ["which is a folder"]),
    ],
)
def test_refused(run, tmp_path, monkeypatch, arguments: list[str], parts: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run(*arguments).check_refused(*parts)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command", [[], ["summary"], ["plan"], ["convert"], ["simulate"], ["supported-ops"], ["devices"]]
)
def test_help(run, command: list[str]) -> None:
    outcome = run(*command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Usage: tt-tflm")


def test_version(run) -> None:
    outcome = run("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("tt-tflm ")


def test_supported_ops(run, tmp_path) -> None:
    path = tmp_path / "ops.json"
    outcome = run("supported-ops", "--json", path)
    assert (outcome.code, outcome.err) == (0, "")
    content = json.loads(path.read_text())
    assert [entry["layer"] for entry in content["layers"]] == [layer.layer for layer in supported_layers()]
    for layer in supported_layers():
        assert all(name in outcome.out for name in layer.layer.split(", "))


def test_names_are_those_of_the_package() -> None:
    # Written out in the command line, so that --help needs no import of TVM.
    assert MODE_NAMES == MODES
    assert GRADIENT_NAMES == GRADIENTS
    assert COMPARED.split(",") == list(DEFAULT_STRATEGIES)


def test_starting_imports_nothing_heavy() -> None:
    program = (
        "import sys, tt_tflm.cli.main\n"
        "print([name for name in ('tensorflow', 'keras', 'tvm', 'numpy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
