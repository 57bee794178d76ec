# SPDX-License-Identifier: Apache-2.0
"""Operations that move elements: transposes, slices, repetitions, padding, lookups at constant positions, resizing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from tvm import relax

from ..imported_graph import UnsupportedGraphError, Value, shape_of
from ..kernel import OUT, Kernel, Param, Step
from ..kernels import strided
from ..kernels.space import Place, Space, row_major
from .op import OPS, Gradient, Lower, Lowering, Op, Tape

# -------------------------------------------------------------- through strides


def _read(lowering: Lowering, source: Value, shape: Sequence[int], place: Place) -> Value:
    """The tensor of that shape whose elements lie in ``source`` at ``place``."""
    shape = tuple(shape)
    if source.array is not None:
        flat = np.ascontiguousarray(source.array).ravel()
        steps = [step * flat.itemsize for step in place.strides]
        # A copy, since views of this kind do not know where they end.
        return Value(None, shape, np.lib.stride_tricks.as_strided(flat[place.offset :], shape, steps).copy())
    space = Space(shape, (place, row_major(shape)))
    flat_space = space.collapsed()
    if place.offset == 0 and prod(shape) == source.elements and flat_space.places[0] == flat_space.places[1]:
        return Value(source.var, shape)
    params = (Param("x", source.elements), Param("y", prod(shape), OUT))
    return Value(lowering.emit(Kernel("read_strided", params, space.attrs()), [source.var]), shape)


def _read_gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = x through strides  /  g to where it was read, what was read several times added up, 0 elsewhere."""
    space = Space.of(step.kernel.attrs)
    attrs: dict[str, Any] = {**Space(space.shape, space.places[::-1]).attrs(), "value": 0.0}
    params = (Param("x", int(g.ty.shape[0])), Param("y", step.kernel.param("x").elements, OUT))
    tape.add(step.args[0], tape.emit(Kernel("write_strided", params, attrs), [g]))


def _write_gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = x through strides, a constant around it  /  g where x is."""
    space = Space.of(step.kernel.attrs)
    params = (Param("x", int(g.ty.shape[0])), Param("y", step.kernel.param("x").elements, OUT))
    kernel = Kernel("read_strided", params, Space(space.shape, space.places[::-1]).attrs())
    tape.add(step.args[0], tape.emit(kernel, [g]))


def transposed(lowering: Lowering, source: Value, axes: Sequence[int]) -> Value:
    """``source`` with its axes in that order."""
    return _read(lowering, source, [source.shape[a] for a in axes], row_major(source.shape).permuted(axes))


def _lower_permute(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    given = binding.value.attrs.axes
    rank = len(source.shape)
    axes = tuple(reversed(range(rank))) if given is None else tuple(int(a) % rank for a in given)
    lowering.forward(binding, transposed(lowering, source, axes))
    return True


def _numbers(argument: Any) -> list[int]:
    return [int(number.value) for number in argument.fields]


def _sliced(lowering: Lowering, source: Value, ranges: Sequence[range]) -> Value:
    """The elements at those indices of every axis."""
    steps = row_major(source.shape).strides
    offset = sum(r.start * step for r, step in zip(ranges, steps, strict=True))
    place = Place(tuple(r.step * step for r, step in zip(ranges, steps, strict=True)), offset)
    return _read(lowering, source, [len(r) for r in ranges], place)


def _lower_slice(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    axes, begin, end, *rest = (_numbers(argument) for argument in binding.value.args[1:])
    steps = rest[0] if rest else [1] * len(axes)
    ranges = [range(extent) for extent in source.shape]
    for axis, first, last, step in zip(axes, begin, end, steps, strict=True):
        ranges[axis] = range(*slice(first, last, step).indices(source.shape[axis]))
    if tuple(len(r) for r in ranges) != shape_of(binding.var) or 0 in shape_of(binding.var):
        raise UnsupportedGraphError(
            f"expected a slice of shape {shape_of(binding.var)} that holds something, received one of {source.shape} "
            f"from {begin} to {end} in steps of {steps}"
        )
    lowering.forward(binding, _sliced(lowering, source, ranges))
    return True


def _lower_split(lowering: Lowering, binding: Any) -> bool:
    """One part of a split."""
    call = lowering.graph.definition(binding.value.tuple_value)
    source = lowering.plain(call.args[0])
    axis = int(call.attrs.axis) % len(source.shape)
    extent, sections = source.shape[axis], call.attrs.indices_or_sections
    if hasattr(sections, "__len__"):
        cuts = [0, *(int(cut) for cut in sections), extent]
    else:
        length = -(-extent // int(sections))
        cuts = [min(i * length, extent) for i in range(int(sections) + 1)]
    ranges = [range(n) for n in source.shape]
    index = int(binding.value.index)
    ranges[axis] = range(cuts[index], cuts[index + 1])
    lowering.forward(binding, _sliced(lowering, source, ranges))
    return True


def _lower_flip(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    axis = int(binding.value.attrs.axis) % len(source.shape)
    ranges = [range(n)[::-1] if a == axis else range(n) for a, n in enumerate(source.shape)]
    lowering.forward(binding, _sliced(lowering, source, ranges))
    return True


def _repeated(lowering: Lowering, source: Value, before: Sequence[int], behind: Sequence[int]) -> Value:
    """``source``, every axis as a whole ``before`` times, and each of its elements ``behind`` times."""
    shape, strides = [], []
    for outer, extent, step, inner in zip(before, source.shape, row_major(source.shape).strides, behind, strict=True):
        shape += [outer, extent, inner]
        strides += [0, step, 0]
    return _read(lowering, source, shape, Place(tuple(strides)))


def _lower_tile(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    repeats = [int(r) for r in binding.value.attrs.repeats]
    rank = max(len(repeats), len(source.shape))
    repeats = [1] * (rank - len(repeats)) + repeats
    source = Value(source.var, (1,) * (rank - len(source.shape)) + source.shape, source.array)
    return _reshaped(lowering, binding, _repeated(lowering, source, repeats, [1] * rank))


def _lower_repeat(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    if binding.value.attrs.axis is None:
        source = Value(source.var, (source.elements,), source.array)
    axis = int(binding.value.attrs.axis or 0) % len(source.shape)
    ones = [1] * len(source.shape)
    behind = [int(binding.value.attrs.repeats) if a == axis else 1 for a in range(len(ones))]
    return _reshaped(lowering, binding, _repeated(lowering, source, ones, behind))


def _lower_broadcast(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    shape = shape_of(binding.var)
    shape_before = (1,) * (len(shape) - len(source.shape)) + source.shape
    steps = row_major(shape_before).strides
    place = Place(tuple(0 if n == 1 else step for n, step in zip(shape_before, steps, strict=True)))
    lowering.forward(binding, _read(lowering, source, shape, place))
    return True


def _reshaped(lowering: Lowering, binding: Any, value: Value) -> bool:
    shape = shape_of(binding.var)
    lowering.forward(binding, Value(value.var, shape, None if value.array is None else value.array.reshape(shape)))
    return True


OPS.register(
    Op(
        "read_strided",
        strided.strided(strided.scaled),
        gradient=Gradient(_read_gradient),
        lowers={
            "relax.permute_dims": Lower(_lower_permute, early=True),
            "relax.strided_slice": Lower(_lower_slice),
            "relax.split": Lower(_lower_split),
            "relax.flip": Lower(_lower_flip),
            "relax.tile": Lower(_lower_tile),
            "relax.repeat": Lower(_lower_repeat),
            "relax.broadcast_to": Lower(_lower_broadcast, early=True),
        },
    )
)

# -------------------------------------------------------------- padding

_PAD_MODES: dict[str, Callable[[np.ndarray, tuple[int, int]], np.ndarray]] = {
    "reflect": lambda positions, widths: np.pad(positions, widths, "reflect"),
    "replicate": lambda positions, widths: np.pad(positions, widths, "edge"),
    "circular": lambda positions, widths: np.pad(positions, widths, "wrap"),
}


def _lower_pad(lowering: Lowering, binding: Any) -> bool:
    attrs = binding.value.attrs
    source = lowering.plain(binding.value.args[0])
    mode, value = str(attrs.pad_mode), float(attrs.pad_value)
    widths = [int(width) for width in attrs.pad_width]
    pairs = list(zip(widths[::2], widths[1::2], strict=True))
    if mode == "constant" and np.isfinite(value) and min(widths) >= 0 and source.array is None:
        shape = shape_of(binding.var)
        steps = row_major(shape).strides
        offset = sum(before * step for (before, _), step in zip(pairs, steps, strict=True))
        space = Space(source.shape, (row_major(source.shape), Place(steps, offset)))
        params = (Param("x", source.elements), Param("y", prod(shape), OUT))
        lowering.define(binding, Kernel("write_strided", params, {**space.attrs(), "value": value}), [source.var])
        return True
    if mode not in _PAD_MODES or min(widths) < 0 or source.array is not None:
        raise UnsupportedGraphError(
            f"expected padding of an activation with a finite constant, or by reflect, replicate or circular, "
            f"received {mode} of {widths} with {value}"
        )
    for axis, pair in enumerate(pairs):
        if any(pair):
            positions = _PAD_MODES[mode](np.arange(source.shape[axis]), pair)
            source = _taken(lowering, source, axis, positions.astype(np.float32), False)
    lowering.forward(binding, source)
    return True


OPS.register(
    Op(
        "write_strided",
        strided.write_strided,
        gradient=Gradient(_write_gradient),
        lowers={"relax.nn.pad": Lower(_lower_pad)},
    )
)

# -------------------------------------------------------------- at positions of one axis


def _taken(lowering: Lowering, source: Value, axis: int, positions: np.ndarray, linear: bool) -> Value:
    """``source`` at those positions of an axis; between two elements it is interpolated."""
    count, extent = positions.size, source.shape[axis]
    shape = (*source.shape[:axis], count, *source.shape[axis + 1 :])
    linear = linear and bool((positions != np.floor(positions)).any())
    if not linear:
        whole = positions.astype(np.int64)
        step = int(whole[1] - whole[0]) if count > 1 else 1
        ranges = [range(n) for n in source.shape]
        if step and np.array_equal(whole, whole[0] + step * np.arange(count)):
            ranges[axis] = range(int(whole[0]), int(whole[0]) + step * count, step)
            return _sliced(lowering, source, ranges)
        if count % extent == 0 and np.array_equal(whole, np.arange(count) // (count // extent)):
            behind = [count // extent if a == axis else 1 for a in range(len(shape))]
            repeated = _repeated(lowering, source, [1] * len(shape), behind)
            return Value(repeated.var, shape, None if repeated.array is None else repeated.array.reshape(shape))
        if source.array is not None:
            return Value(None, shape, np.take(source.array, whole, axis))
    outer, inner = prod(source.shape[:axis]), prod(source.shape[axis + 1 :])
    params = (Param("x", source.elements), Param("at", count), Param("y", prod(shape), OUT))
    attrs = {"outer": outer, "length": extent, "count": count, "inner": inner, "linear": int(linear)}
    at = relax.const(np.ascontiguousarray(positions, np.float32))
    return Value(lowering.emit(Kernel("take", params, attrs), [lowering.tensor(source), at]), shape)


def _lower_take(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    indices = lowering.constant(binding.value.args[1])
    if indices is None:
        raise UnsupportedGraphError("expected a lookup at constant indices, received indices that are computed")
    if binding.value.attrs.axis is None:
        source = Value(source.var, (source.elements,), None if source.array is None else source.array.ravel())
    axis = int(binding.value.attrs.axis or 0) % len(source.shape)
    extent = source.shape[axis]
    # Frameworks count negative ones from the end; whatever lies outside is undefined.
    whole = np.where(indices < 0, indices + extent, indices).ravel()
    if ((whole < 0) | (whole >= extent)).any():
        raise UnsupportedGraphError(f"expected indices below {extent}, received {indices.min()} to {indices.max()}")
    return _reshaped(lowering, binding, _taken(lowering, source, axis, whole.astype(np.float32), False))


# Where pixels lie -> how the nearest one is chosen, as TensorFlow has it.
_ROUNDING = {"half_pixel": "round_prefer_ceil", "align_corners": "round", "asymmetric": "floor"}


def _lower_resize(lowering: Lowering, binding: Any) -> bool:
    call = binding.value
    source = lowering.plain(call.args[0])
    method, layout = str(call.attrs.method), str(call.attrs.layout)
    if layout != "NHWC" or method not in ("nearest_neighbor", "linear"):
        raise UnsupportedGraphError(f"expected resizing by nearest or linear in NHWC, received {method} in {layout}")
    linear, mode = method == "linear", str(call.attrs.coordinate_transformation_mode)
    rounding = str(call.attrs.rounding_method)
    if mode not in _ROUNDING or not (linear or rounding in ("", _ROUNDING[mode])):
        known = ", ".join(f"{mode} ({rounding})" for mode, rounding in _ROUNDING.items())
        raise UnsupportedGraphError(f"expected positions of {known}, received {mode} ({rounding})")
    for axis, size in zip((1, 2), shape_of(binding.var)[1:3], strict=True):
        positions = _resized(source.shape[axis], size, mode, linear)
        source = _taken(lowering, source, axis, positions, linear)
    lowering.forward(binding, source)
    return True


def _resized(extent: int, size: int, mode: str, linear: bool) -> np.ndarray:
    """Where the elements of a resized axis lie in the old one, in float32 as TensorFlow computes it."""
    corners = mode == "align_corners" and size > 1
    scale = np.float32(extent - 1) / np.float32(size - 1) if corners else np.float32(extent) / np.float32(size)
    index = np.arange(size, dtype=np.float32)
    half = np.float32(0.5)
    if mode == "half_pixel":
        positions = (index + half) * scale
        positions = positions - half if linear else np.floor(positions)
    else:
        positions = index * scale
        if not linear:
            positions = np.floor(positions + half) if corners else np.floor(positions)
    return np.clip(positions, 0, extent - 1).astype(np.float32)


def _take_gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = x at positions of an axis  /  g to those positions, added up."""
    x, at = step.args
    if tape.active(x):
        at_positions = step.kernel.param("at")
        params = (Param("g", int(g.ty.shape[0])), at_positions, Param("dx", step.kernel.param("x").elements, OUT))
        tape.add(x, tape.emit(Kernel("take_grad", params, dict(step.kernel.attrs)), [g, at]))


OPS.register(
    Op(
        "take",
        strided.take,
        gradient=Gradient(_take_gradient),
        lowers={"relax.take": Lower(_lower_take), "relax.image.resize2d": Lower(_lower_resize)},
    )
)
OPS.register(Op("take_grad", strided.take_grad))
