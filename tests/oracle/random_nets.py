# SPDX-License-Identifier: Apache-2.0
"""A hypothesis strategy for small Keras nets of every supported layer, each with a random update plan."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import keras
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from keras import layers as kl

from .folding import channel_count, fold_batch_norm, row_layers
from .kinks import KinkMeter
from .net_weights import randomise_weights
from .reference import Loss, PrototypeLoss, SoftmaxLoss

# What a net can be asked to contain at least once; "vector" stands for nets of Dense layers alone.
IMAGE_FOCUSES = ("conv", "depthwise", "separable", "pool", "residual", "gate", "concat")
FOCUSES = (*IMAGE_FOCUSES, "sequence", "vector", "reshape")
HEADS = ("softmax", "logits", "embedding")
KERNEL_SIZES = (1, 2, 3, 5)
# Nearer to a kink than this, float32 rounding decides on which side a program lands.
SAFE_MARGIN = 1e-5
# Keras seeds these from Python's global generator, which hypothesis forbids in a strategy; all weights are drawn later.
_SEEDED_OPTIONS = {
    kl.Conv1D: ("kernel_initializer",),
    kl.Conv2D: ("kernel_initializer",),
    kl.Dense: ("kernel_initializer",),
    kl.DepthwiseConv2D: ("depthwise_initializer",),
    kl.SeparableConv2D: ("depthwise_initializer", "pointwise_initializer"),
}


def net_settings(max_examples: int) -> settings:
    """The same nets in every run; a failing net is shown as found: each step of shrinking would call the compiler."""
    return settings(
        max_examples=max_examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@dataclass(eq=False)
class Net:
    """A model with random weights, the plan to train it by, and inputs that suit it."""

    model: keras.Model = field(repr=False)
    plan: dict[str, object]
    loss: Loss
    classes: int
    seed: int
    input_scale: float = 1.0
    input_offset: float = 0.0
    trace: list[str] = field(default_factory=list)

    @cached_property
    def _meter(self) -> KinkMeter:
        return KinkMeter(self.model)

    def samples(self, count: int) -> list[tuple[np.ndarray, int]]:
        """`count` pairs of float32 input and label, none near a kink of the untrained net; fewer if none are found."""
        rng = np.random.default_rng(self.seed)
        found: list[tuple[np.ndarray, int]] = []
        for _ in range(30 * count):
            raw = rng.standard_normal(self.model.input_shape[1:])
            x = (raw * self.input_scale + self.input_offset).astype(np.float32)
            label = int(rng.integers(self.classes))
            if len(found) < count and self._meter.margin(x) > SAFE_MARGIN:
                found.append((x, label))
        return found


class _Sketch:
    """The net so far: draws options, names layers, keeps what was drawn for the report of a failure."""

    def __init__(self, draw: Callable, shape: tuple[int, ...]):
        self.draw = draw
        self.input = keras.Input(shape, name="input")
        self.tensor = self.input
        self.trace = [f"input {shape}"]
        self._layers = 0

    def pick(self, *options):
        return self.draw(st.sampled_from(options))

    def chance(self, percent: int = 50) -> bool:
        return self.draw(st.integers(0, 99)) >= 100 - percent

    def add(self, make: type[keras.layers.Layer], *arguments, on=None, **options):
        """Apply a new layer to `on`, or to the tensor so far; return its output."""
        self._layers += 1
        name = f"{make.__name__.lower()}_{self._layers}"
        fixed = dict.fromkeys(_SEEDED_OPTIONS.get(make, ()), "zeros")
        value = make(*arguments, name=name, **fixed, **options)(self.tensor if on is None else on)
        shown = [*map(str, arguments), *(f"{key}={option}" for key, option in options.items())]
        self.trace.append(f"{name}({', '.join(shown)}) -> {value.shape[1:]}")
        return value

    def then(self, make: type[keras.layers.Layer], *arguments, **options) -> None:
        self.tensor = self.add(make, *arguments, **options)

    @property
    def size(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape[1:-1])

    @property
    def channels(self) -> int:
        return self.tensor.shape[-1]


@st.composite
def nets(draw: Callable, focus: str | None = None, head: str | None = None) -> Net:
    """Nets of one to four blocks and a head of the kind asked for, or of any."""
    focus = focus or draw(st.sampled_from(FOCUSES))
    head = head or draw(st.sampled_from(HEADS))
    sketch = _Sketch(draw, _input_shape(draw, focus))
    scale, offset = _rescaling(sketch)
    if focus == "vector":
        _vector_body(sketch)
    elif focus == "sequence":
        _sequence_body(sketch)
    else:
        _image_body(sketch, focus)
    classes = _head(sketch, head)
    model = keras.Model(sketch.input, sketch.tensor)
    seed = draw(st.integers(0, 2**16))
    randomise_weights(model, np.random.default_rng(seed))
    loss = PrototypeLoss(classes, draw(st.sampled_from((1.0, 10.0)))) if head == "embedding" else SoftmaxLoss()
    return Net(model, draw(plans(model)), loss, classes, seed, scale, offset, sketch.trace)


@st.composite
def plans(draw: Callable, model: keras.Model) -> dict[str, object]:
    """A plan of one to four layers, each whole or by channels, in each of the forms that a plan may take."""
    rows = row_layers(fold_batch_norm(model))
    names = draw(st.lists(st.sampled_from(list(rows)), min_size=1, max_size=4, unique=True))
    plan: dict[str, object] = {}
    for name in names:
        count = channel_count(rows[name])
        some = st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True).map(sorted)
        channels = draw(st.one_of(st.just("all"), some))
        bias = draw(st.sampled_from((None, True, False)))
        plan[name] = channels if bias is None else {"channels": channels, "bias": bias}
    return plan


def _input_shape(draw: Callable, focus: str) -> tuple[int, ...]:
    if focus == "vector":
        return (draw(st.integers(2, 17)),)
    if focus == "sequence":
        return (draw(st.integers(7, 20)), draw(st.integers(1, 4)))
    shape = (draw(st.integers(5, 11)), draw(st.integers(5, 11)), draw(st.integers(1, 4)))
    return (int(np.prod(shape)),) if focus == "reshape" else shape


def _rescaling(sketch: _Sketch) -> tuple[float, float]:
    """Maybe a Rescaling layer; the scale and offset by which inputs come out of it with a spread of one to three."""
    spread = sketch.pick(1.0, 3.0)
    if not sketch.chance(30):
        return spread, 0.0
    scale, offset = sketch.pick((1 / 127.5, -1.0), (0.25, 0.0), (2.0, 0.5))
    sketch.then(kl.Rescaling, scale, offset=offset)
    return spread / scale, -offset / scale


def _activate(sketch: _Sketch) -> None:
    kind = sketch.pick("relu", "relu6", "relu6_inline", "leaky", "hard_silu", "sigmoid", "tanh", "none")
    if kind == "relu":
        sketch.then(kl.ReLU)
    elif kind == "relu6":
        sketch.then(kl.ReLU, max_value=6.0)
    elif kind == "leaky":
        sketch.then(kl.LeakyReLU, negative_slope=sketch.pick(0.1, 0.3))
    elif kind != "none":
        sketch.then(kl.Activation, kind.removesuffix("_inline"))


def _linear(sketch: _Sketch, make: type[keras.layers.Layer], *arguments, **options) -> None:
    """A layer with weights, then batch norm and activation in one of the orders that models are written in."""
    form = sketch.pick("norm", "inline", "plain", "no_bias")
    if form == "inline":
        inline = sketch.pick("relu", "relu6", "leaky_relu", "hard_silu", "sigmoid", "tanh")
        sketch.then(make, *arguments, activation=inline, **options)
        return
    sketch.then(make, *arguments, use_bias=form == "plain" or (form == "norm" and sketch.chance()), **options)
    if form == "norm":
        sketch.then(kl.BatchNormalization, scale=sketch.chance(80), center=sketch.chance(80))
    _activate(sketch)


def _kernel(sketch: _Sketch, padding: str) -> tuple[int, ...]:
    return tuple(
        sketch.pick(*[size for size in KERNEL_SIZES if padding == "same" or size <= extent]) for extent in sketch.size
    )


def _padding(sketch: _Sketch) -> str:
    kind = sketch.pick("same", "valid", "explicit")
    if kind == "explicit":
        pads = [sketch.draw(st.integers(0, 2)) for _ in range(4)]
        sketch.then(kl.ZeroPadding2D, (tuple(pads[:2]), tuple(pads[2:])))
    return "same" if kind == "same" else "valid"


def _conv(sketch: _Sketch, filters: int | None = None, shrink: bool = True) -> None:
    padding = _padding(sketch) if shrink else "same"
    kernel = _kernel(sketch, padding)
    strides = tuple(sketch.pick(1, 2, 3) for _ in kernel) if shrink else 1
    _linear(sketch, kl.Conv2D, filters or sketch.pick(1, 3, 4, 6), kernel, strides=strides, padding=padding)


def _depthwise_strides(sketch: _Sketch, kernel: tuple[int, ...], shrink: bool) -> int:
    # TensorFlow on a CPU has no unequal strides here, and crashes on the filter gradient of one channel, 1x1, stride 2.
    crashes = sketch.channels == 1 and kernel == (1, 1)
    return sketch.pick(1, 2, 3) if shrink and not crashes else 1


def _depthwise(sketch: _Sketch, multiplier: int | None = None, shrink: bool = True) -> None:
    padding = _padding(sketch) if shrink else "same"
    kernel = _kernel(sketch, padding)
    _linear(
        sketch,
        kl.DepthwiseConv2D,
        kernel,
        strides=_depthwise_strides(sketch, kernel, shrink),
        padding=padding,
        depth_multiplier=multiplier or sketch.pick(1, 2, 3),
    )


def _separable(sketch: _Sketch) -> None:
    padding = _padding(sketch)
    kernel = _kernel(sketch, padding)
    _linear(
        sketch,
        kl.SeparableConv2D,
        sketch.pick(2, 3, 5),
        kernel,
        strides=_depthwise_strides(sketch, kernel, True),
        padding=padding,
        depth_multiplier=sketch.pick(1, 2),
    )


def _pool(sketch: _Sketch) -> None:
    make = sketch.pick(kl.MaxPooling2D, kl.AveragePooling2D)
    padding = sketch.pick("same", "valid")
    pool = tuple(sketch.pick(*[n for n in (2, 3) if padding == "same" or n <= max(2, e)]) for e in sketch.size)
    if padding == "valid" and min(sketch.size) < 2:
        padding = "same"
    sketch.then(make, pool, strides=sketch.pick(1, 2, (2, 1)), padding=padding)


def _residual(sketch: _Sketch) -> None:
    trunk = sketch.tensor
    _conv(sketch, shrink=False)
    if sketch.chance():
        _depthwise(sketch, 1, shrink=False)
    _linear(sketch, kl.Conv2D, trunk.shape[-1], 1)
    sketch.tensor = sketch.add(kl.Add, on=[trunk, sketch.tensor])
    if sketch.chance():
        _activate(sketch)


def _gate(sketch: _Sketch) -> None:
    """Squeeze and excite by a (1, 1, C) gate, or an elementwise gate of the full shape."""
    trunk = sketch.tensor
    channels = sketch.channels
    if sketch.chance(30):
        sketch.then(kl.Conv2D, channels, 1, activation="sigmoid")
    elif sketch.chance():
        sketch.then(kl.GlobalAveragePooling2D, keepdims=True)
        sketch.then(kl.Conv2D, 2, 1, activation="relu")
        sketch.then(kl.Conv2D, channels, 1, activation="sigmoid")
    else:
        sketch.then(kl.GlobalAveragePooling2D)
        sketch.then(kl.Dense, channels, activation="sigmoid")
        sketch.then(kl.Reshape, (1, 1, channels))
    sketch.tensor = sketch.add(kl.Multiply, on=[trunk, sketch.tensor])


def _concat(sketch: _Sketch) -> None:
    trunk = sketch.tensor
    _conv(sketch, shrink=False)
    first = sketch.tensor
    sketch.tensor = trunk
    if sketch.chance():
        _conv(sketch, shrink=False)
    sketch.tensor = sketch.add(kl.Concatenate, on=[first, sketch.tensor])


_IMAGE_BLOCKS = {
    "conv": _conv,
    "depthwise": _depthwise,
    "separable": _separable,
    "pool": _pool,
    "residual": _residual,
    "gate": _gate,
    "concat": _concat,
}


def _image_body(sketch: _Sketch, focus: str) -> None:
    if focus == "reshape":
        elements = sketch.channels
        height = max(n for n in range(1, 12) if elements % n == 0)
        width = max(n for n in range(1, 12) if (elements // height) % n == 0)
        sketch.then(kl.Reshape, (height, width, elements // height // width))
    kinds = sketch.draw(st.lists(st.sampled_from(IMAGE_FOCUSES), max_size=3))
    if focus in _IMAGE_BLOCKS:
        kinds.insert(sketch.draw(st.integers(0, len(kinds))), focus)
    for kind in kinds:
        _IMAGE_BLOCKS[kind](sketch)
    pooled = sketch.pick(kl.GlobalAveragePooling2D, kl.GlobalMaxPooling2D, kl.Flatten, kl.Reshape)
    sketch.then(pooled, *([(int(np.prod(sketch.tensor.shape[1:])),)] if pooled is kl.Reshape else []))


def _sequence_body(sketch: _Sketch) -> None:
    for _ in range(sketch.draw(st.integers(1, 3))):
        kind = sketch.pick("conv", "max", "average", "residual", "conv")
        padding = sketch.pick("same", "valid") if kind != "residual" else "same"
        if kind in ("max", "average") and sketch.size[0] >= 2:
            pool = kl.MaxPooling1D if kind == "max" else kl.AveragePooling1D
            sketch.then(pool, 2, strides=sketch.pick(1, 2), padding=padding)
            continue
        trunk = sketch.tensor
        filters = sketch.channels if kind == "residual" else sketch.pick(2, 3, 5)
        strides = sketch.pick(1, 2, 3) if kind != "residual" else 1
        (kernel,) = _kernel(sketch, padding)
        _linear(sketch, kl.Conv1D, filters, kernel, strides=strides, padding=padding)
        if kind == "residual":
            sketch.tensor = sketch.add(kl.Add, on=[trunk, sketch.tensor])
    sketch.then(sketch.pick(kl.GlobalAveragePooling1D, kl.GlobalMaxPooling1D, kl.Flatten))


def _vector_body(sketch: _Sketch) -> None:
    for _ in range(sketch.draw(st.integers(1, 3))):
        trunk = sketch.tensor
        kind = sketch.pick("plain", "residual", "concat", "dropout")
        _linear(sketch, kl.Dense, sketch.channels if kind == "residual" else sketch.pick(1, 4, 7, 12))
        if kind == "residual":
            sketch.tensor = sketch.add(kl.Add, on=[trunk, sketch.tensor])
        elif kind == "concat":
            sketch.tensor = sketch.add(kl.Concatenate, on=[trunk, sketch.tensor])
        elif kind == "dropout":
            sketch.then(kl.Dropout, 0.5, seed=0)


def _head(sketch: _Sketch, head: str) -> int:
    """Close the net with class scores or an embedding of at least two elements; return the number of classes."""
    classes = sketch.draw(st.integers(2, 5))
    if sketch.chance(30):
        _linear(sketch, kl.Dense, sketch.pick(3, 8))
    if head == "embedding":
        has_rows = any("kernel" in weight.path for weight in keras.Model(sketch.input, sketch.tensor).weights)
        if sketch.channels < 2 or not has_rows or sketch.chance():
            sketch.then(kl.Dense, sketch.pick(2, 6, 9))
        return classes
    form = sketch.pick("inline", "layer", "activation") if head == "softmax" else "logits"
    sketch.then(kl.Dense, classes, activation="softmax" if form == "inline" else None)
    if form == "layer":
        sketch.then(kl.Softmax)
    elif form == "activation":
        sketch.then(kl.Activation, "softmax")
    return classes
