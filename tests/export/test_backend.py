# SPDX-License-Identifier: Apache-2.0
"""Builds without C sources of their model are refused, and nothing is written."""

import keras
import pytest

import tt_tflm
from tt_tflm.export import export_arduino, export_zephyr


@pytest.fixture(scope="module")
def tflm_build():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D()])
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.target, converter.backend = "nano33ble", "tflm"
    return converter.convert()


@pytest.mark.parametrize(("export", "name"), [(export_zephyr, "module"), (export_arduino, "library.zip")])
def test_a_build_for_tflm_is_refused(tflm_build, export, name, tmp_path):
    with pytest.raises(tt_tflm.InputError, match="expected a build of backend 'c' to export, received .* 'tflm'"):
        export(tflm_build, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
