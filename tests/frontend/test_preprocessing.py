# SPDX-License-Identifier: Apache-2.0
"""Which models scale their input themselves."""

import keras
import pytest

from tt_tflm.frontend.graph import MODEL_INPUT, Graph, Node
from tt_tflm.frontend.preprocessing import preprocessing_of

L = keras.layers
SHAPE = (4, 4, 3)


def operation(kind: str) -> object:
    """What stands for an operation of `keras.ops` in a graph: an object whose class has its name, and is of Keras."""
    return type(kind, (), {"name": kind.lower(), "__module__": "keras.src.ops"})()


def chain(*parts: object) -> Graph:
    nodes = [Node(f"n{i}", part, (i - 1,), (SHAPE,), SHAPE) for i, part in enumerate(parts)]
    assert nodes[0].sources == (MODEL_INPUT,)
    return Graph("x", SHAPE, tuple(nodes), len(nodes) - 1)


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ((L.Rescaling(1 / 255), L.Conv2D(2, 1)), "n0"),
        ((L.Normalization(), L.Conv2D(2, 1)), "n0"),
        ((L.RandomFlip(), L.RandomRotation(0.1), L.Resizing(4, 4), L.Rescaling(1 / 255), L.Conv2D(2, 1)), "n3"),
        ((operation("Cast"), operation("TrueDivide"), operation("Subtract"), L.Conv2D(2, 1)), "n1"),
        ((operation("GetItem"), operation("Stack"), operation("Add"), L.Conv2D(2, 1)), "n2"),
        ((L.Conv2D(2, 1), L.Rescaling(2.0)), None),
        ((L.BatchNormalization(), L.Conv2D(2, 1)), None),
        ((L.ZeroPadding2D(), L.Conv2D(2, 1), operation("Multiply")), None),
    ],
)
def test_what_scales_the_input_is_found_behind_what_leaves_it_as_it_is(parts: tuple, found: str | None) -> None:
    node = preprocessing_of(chain(*parts))
    assert (node and node.name) == found


def test_a_sum_of_the_input_with_itself_is_no_scaling() -> None:
    twice = Node("twice", L.Add(), (MODEL_INPUT, MODEL_INPUT), (SHAPE, SHAPE), SHAPE)
    assert preprocessing_of(Graph("x", SHAPE, (twice,), 0)) is None
