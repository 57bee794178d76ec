# SPDX-License-Identifier: Apache-2.0
"""MODEL of any command: a file of any kind, told by its content; what is done to it is said in one line."""

import keras
import pytest

from tt_tflm.cli.main import cli
from tt_tflm.frontend.quiet import silence


def test_a_model_in_half_precision_is_cast_and_it_is_said_in_one_line(run, tmp_path):
    layers = [keras.Input((4,)), keras.layers.Dense(3, dtype="mixed_float16", name="logits")]
    with silence():
        keras.Sequential(layers).save(tmp_path / "model.h5")
        (tmp_path / "model.h5").rename(tmp_path / "model.keras")
    outcome = run("summary", tmp_path / "model.keras")
    assert outcome.code == 0 and "logits" in outcome.out
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("tt-tflm: warning: ") and "received some in mixed_float16" in outcome.err


@pytest.mark.parametrize("name", [name for name, command in cli.commands.items() if command.params[0].name == "model"])
def test_the_help_of_every_command_tells_which_files_a_model_may_be(name, run):
    assert ".keras or .h5 file of Keras 2 or 3" in " ".join(run(name, "--help").out.split())
