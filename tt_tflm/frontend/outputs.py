# SPDX-License-Identifier: Apache-2.0
"""The output to train of a model that has several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tt_tflm.errors import InputError, meant
from tt_tflm.frontend.graph import functional_of, output_names
from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras


def with_output(model: keras.Model, name: str) -> keras.Model:
    """A model of one output, which shares its layers with that given.

    Args:
        model: with outputs from different layers.
        name: of the layer that makes the output.

    Raises:
        InputError: no output is of that name, or several are.
        UnsupportedLayerError: it is a subclassed model.
    """
    functional = functional_of(model)
    names = output_names(functional)
    if names.count(name) != 1:
        raise InputError(
            f"model '{model.name}': expected the name of one of its outputs ({', '.join(names)}), received {name!r}"
            f"{meant(name, names)}"
        )
    return import_keras().Model(functional.inputs, functional.outputs[names.index(name)], name=model.name)
