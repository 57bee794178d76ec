# SPDX-License-Identifier: Apache-2.0
"""What objective a model's output and its compiled loss imply, and whether the loss asked for fits.

Whatever is no classifier over one set of classes (a regressor, labels judged one by one, a class at each position)
could be trained as one softmax over everything, and would learn something else than in Keras. It is refused here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tt_tflm.errors import InputError
from tt_tflm.frontend.compiled_loss import CROSS_ENTROPIES, CompiledLoss
from tt_tflm.frontend.fold import DROPPED
from tt_tflm.frontend.graph import MODEL_INPUT, Graph, Node
from tt_tflm.frontend.layers import activation_name
from tt_tflm.losses import SoftmaxLoss

if TYPE_CHECKING:
    from tt_tflm.losses import Loss

_MOVES = (
    "Concatenate", "ExpandDims", "Flatten", "GetItem", "Permute", "RepeatVector", "Reshape", "Squeeze", "Transpose",
    *DROPPED,
)  # fmt: skip
_AS_EMBEDDING = "use PrototypeLoss (--loss prototype) if the output is an embedding"


@dataclass(frozen=True)
class Output:
    """What a model's output is.

    Attributes:
        model: name of the model.
        layer: what computes it, as errors name it.
        activation: that it ends in: ``linear``, ``softmax``, ``sigmoid`` or another.
        shape: without the batch axis.
        positions: places with scores of their own: more than one for a grid or a sequence, or where a softmax is taken
            at each of several places.
    """

    model: str
    layer: str
    activation: str
    shape: tuple[int, ...]
    positions: int


def output_of(graph: Graph, model: str) -> Output:
    """What the output of a model is, seen through layers that only move its values.

    Args:
        graph: of the model.
        model: its name.
    """
    heads = [_head(graph, index) for index in _heads(graph)]
    node, activation = next((head for head in heads if head[1] in ("sigmoid", "softmax")), heads[0])
    layer = f"layer '{node.name}' ({type(node.layer).__name__})" if node else f"model '{model}'"
    # Softmaxes side by side are as many sets of classes, and so is one that is taken at several places.
    at = len(heads) * math.prod(node.output_shape[:-1]) if node and activation == "softmax" else 0
    return Output(model, layer, activation, graph.output_shape, at or math.prod(graph.output_shape[:-1]))


def _heads(graph: Graph) -> list[int]:
    """The nodes, or MODEL_INPUT, whose values stand in the output, behind layers that only move them."""
    heads, met, pending = [], {graph.output}, [graph.output]
    while pending:
        index = pending.pop()
        node = None if index == MODEL_INPUT else graph.nodes[index]
        if node is None or not _only_moves(node):
            heads.append(index)
            continue
        pending += [source for source in dict.fromkeys(node.sources) if source not in met]
        met.update(node.sources)
    return heads


def _only_moves(node: Node) -> bool:
    kind = node.kind
    return kind in _MOVES or (kind == "Activation" and activation_name(node.layer.activation) == "linear")


def _head(graph: Graph, index: int) -> tuple[Node | None, str]:
    if index == MODEL_INPUT:
        return None, "linear"
    node = graph.nodes[index]
    kind = node.kind.lower()
    # Of a layer or of a bare operation.
    return node, kind if kind in ("softmax", "sigmoid") else activation_name(
        getattr(node.layer, "activation", None)
    ) or "linear"


def fitting_loss(output: Output, compiled: CompiledLoss | None, requested: Loss | None) -> Loss:
    """The loss to train by.

    Args:
        output: of the model.
        compiled: the loss that it was compiled with.
        requested: what the user asks for; None for what the model implies.

    Raises:
        InputError: the model's objective is another, or nothing tells what it is.
    """
    if requested is not None and not isinstance(requested, SoftmaxLoss):
        return requested
    _check_classifier(output, compiled)
    if requested is None:
        _check_implied(output, compiled)
    return requested or SoftmaxLoss()


def _check_classifier(output: Output, compiled: CompiledLoss | None) -> None:
    """Refuses an output that is known to be no scores of classes."""
    if output.activation == "sigmoid":
        raise InputError(
            f"{output.layer}: expected logits or a softmax over classes for SoftmaxLoss, received a sigmoid, which "
            f"judges each of {math.prod(output.shape)} outputs by itself: end the model in one output for each class, "
            "with a softmax or without activation, and train it so"
        )
    if output.positions > 1:
        raise InputError(
            f"{output.layer}: expected one set of classes for SoftmaxLoss, received classes at each of "
            f"{output.positions} positions (output {output.shape}): pool or flatten before the last layer with "
            f"weights, and train it so{'' if output.activation == 'softmax' else f', or {_AS_EMBEDDING}'}"
        )
    if compiled is not None and not compiled.is_cross_entropy:
        raise InputError(
            f"model '{output.model}': expected one compiled with {' or '.join(CROSS_ENTROPIES)}, or without a loss, "
            f"for SoftmaxLoss, received {compiled}: compile it with the loss that its output is for, or {_AS_EMBEDDING}"
        )
    if math.prod(output.shape) < 2:
        raise InputError(
            f"{output.layer}: expected an output of at least 2 classes for SoftmaxLoss, received "
            f"{math.prod(output.shape)}: give it one for each class"
        )
    if compiled is not None and compiled.from_logits == (output.activation == "softmax"):
        other = not compiled.from_logits
        wanted = "an output without softmax" if compiled.from_logits else "a softmax"
        raise InputError(
            f"{output.layer}: expected {wanted}, as the model is compiled with {compiled}, received "
            f"{_article(output.activation)} output: compile it with from_logits={other}, and train it so"
        )


def _check_implied(output: Output, compiled: CompiledLoss | None) -> None:
    """Refuses to choose a loss for a model that does not tell its objective in full."""
    if compiled is not None and compiled.extras:
        name, value = next(iter(compiled.extras.items()))
        raise InputError(
            f"model '{output.model}': expected a cross-entropy without {name}, received {name}={value!r}: ask for "
            "SoftmaxLoss() (--loss softmax) to train without it"
        )
    if compiled is None and output.activation != "softmax":
        raise InputError(
            f"{output.layer}: expected a loss for {_article(output.activation)} output, which may be logits or an "
            "embedding, of a model that was not compiled, received none: set converter.loss = SoftmaxLoss() "
            "(--loss softmax) or PrototypeLoss(...) (--loss prototype)"
        )


def _article(activation: str) -> str:
    return f"{'an' if activation[0] in 'aeiou' else 'a'} {activation}"
