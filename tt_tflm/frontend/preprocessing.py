# SPDX-License-Identifier: Apache-2.0
"""What a model does with its input first: one that scales it itself wants pixels as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tt_tflm.frontend.fold import DROPPED
from tt_tflm.frontend.graph import MODEL_INPUT, Graph, Node, flatten

if TYPE_CHECKING:
    import keras

_SCALING_LAYERS = frozenset({"Rescaling", "Normalization"})
# Of a constant and what comes in: `preprocess_input` of keras.applications, and x / 127.5 - 1 as it is written.
_SCALING_OPERATIONS = frozenset({"Add", "Subtract", "Multiply", "Divide", "TrueDivide"})
# What leaves values what they are, or about so: it moves, picks, repeats or casts them, or does nothing at inference.
_PASSING = frozenset(DROPPED) | frozenset(
    "AugMix Cast CenterCrop Concatenate Copy Cropping1D Cropping2D ExpandDims Flatten Flip GetItem Pad Permute "
    "RandAugment Repeat Reshape Resize Resizing Squeeze Stack Tile Transpose UpSampling1D UpSampling2D ZeroPadding1D "
    "ZeroPadding2D".split()
)
_AUGMENTING = "Random"  # begins the name of every random augmentation of Keras


def leading_preprocessing(model: keras.Model) -> Node | None:
    """The call that scales a model's input, None where none does; raises as ``flatten``."""
    return preprocessing_of(flatten(model))


def preprocessing_of(graph: Graph) -> Node | None:
    """The first call that scales what the model is given, be it behind augmentation, resizing, padding or a cast.

    Args:
        graph: of a model.

    Returns:
        A Rescaling, a Normalization, or an operation that adds, subtracts, multiplies or divides by a constant.
    """
    as_given = {MODEL_INPUT}
    for index, node in enumerate(graph.nodes):
        if not as_given.issuperset(node.sources):
            continue
        kind = node.kind
        if kind in _SCALING_LAYERS or (kind in _SCALING_OPERATIONS and len(node.sources) == 1):
            return node
        if kind in _PASSING or kind.startswith(_AUGMENTING):
            as_given.add(index)
    return None
