# SPDX-License-Identifier: Apache-2.0
"""The model that comes with the package: small, trained, convertible, and known by name to the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tt_tflm.boards.input_range import InputScaling
from tt_tflm.cli.main import main
from tt_tflm.meta.episodes import draw_episodes
from tt_tflm.meta.fake_quantization import call_fake_quantized, linear_kernels
from tt_tflm.meta.images import load_images
from tt_tflm.meta.statistics import nearest_prototype
from tt_tflm.models import STARTER, starter

MOST_BYTES = 300_000
EPISODES = 40


def test_it_is_small_and_takes_grey_images() -> None:
    model = starter()
    assert STARTER.stat().st_size <= MOST_BYTES
    assert (model.input_shape, model.output_shape) == ((None, 32, 32, 1), (None, 64))
    assert model.count_params() == 58_968


def test_it_tells_digits_apart_that_it_has_never_seen_with_int8_weights_too() -> None:
    digits = load_digits()
    images = load_images((np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target), channels=1)
    model, every = starter(), np.arange(len(digits.target))
    x = images.images(every.tolist(), (32, 32, 1), InputScaling())
    exact = np.asarray(model(x, training=False))
    rounded = np.asarray(call_fake_quantized(model, linear_kernels(model), x, training=False))
    accuracies = []
    for embeddings in (exact, rounded):
        shares = []
        for episode in draw_episodes(images, EPISODES):
            (support, support_y), (query, query_y) = episode.flat("support"), episode.flat("query")
            shares.append(nearest_prototype(embeddings[support], support_y, embeddings[query], query_y))
        accuracies.append(np.mean(shares))
    # Before meta-training it is right in about half of them, by chance in a fifth.
    assert accuracies[0] > 0.8
    assert accuracies[1] > accuracies[0] - 0.02


def test_the_command_line_knows_it_by_name(tmp_path: Path) -> None:
    figures = tmp_path / "layers.json"
    with pytest.raises(SystemExit) as ended:
        main(["summary", "starter", "--json", str(figures)])
    assert ended.value.code == 0
    layers = json.loads(figures.read_text())["layers"]
    assert (layers[0]["name"], layers[-1]["name"]) == ("stem_conv", "block_6_project")
