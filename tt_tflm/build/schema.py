# SPDX-License-Identifier: Apache-2.0
"""What the JSON files of a saved build hold, as far as anything reads it: the forms that `load_build` checks.

`assemble` writes them. Keys that stand here have to be there, of that type and in that range; others are let be.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tt_tflm.devices import Device, device_from_json
from tt_tflm.errors import InputError
from tt_tflm.files.limits import TENSOR_ELEMENTS
from tt_tflm.frontend.layers import KINDS, Layer
from tt_tflm.plan.cost_table import CostTable

SCHEMA_VERSION = 1

_Bytes = Annotated[int, Meta(ge=0, lt=2**32)]
_Count = Annotated[int, Meta(ge=0, lt=2**32)]
_Size = Annotated[int, Meta(ge=1, lt=2**31)]
_Macs = Annotated[int, Meta(ge=0, le=2**62)]
_Shape = Annotated[tuple[_Size, ...], Meta(min_length=1, max_length=4)]
_Line = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*$")]
_Symbol = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
_Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


class TrainedRows(Struct):
    """Where the row pool holds the trained rows of a layer of a static build."""

    layer: _Line
    offset: _Bytes
    channels: list[_Count]
    stride: _Size
    row_length: _Size


class Prototypes(Struct):
    """Where the row pool holds prototypes, and what makes scores of them."""

    sums_offset: _Bytes
    counts_offset: _Bytes
    temperature: float


class CandidateRows(Struct):
    """A layer that a board may choose."""

    layer: _Line
    channels: _Size
    stride: _Size
    int8_row_bytes: _Bytes


class Limits(Struct):
    """Of a resolved budget; None is no limit."""

    training_memory_bytes: _Macs | None
    ram_bytes: _Macs | None
    backward_macs: _Macs | None


class Choice(Struct):
    """What a board that chooses keeps where; with the backend ``tflm``, whose host chooses, also what it chooses by."""

    candidates: Annotated[list[CandidateRows], Meta(min_length=1, max_length=64)]
    potentials_offset: _Bytes
    slots_offset: _Bytes
    rows_offset: _Bytes
    copies: _Count
    budget: Limits
    backward_macs_full: _Macs
    fixed_ram_bytes: _Bytes
    table: CostTable | None = None
    rows_bytes: _Bytes | None = None
    share: float | None = None


class WeightArray(Struct):
    """An array in the binary file of the weights."""

    kind: Literal["float", "int8_t", "tt_int8_channel_t"]
    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,79}$")]
    elements: _Size


class Simulation(Struct):
    """sim/simulation.json."""

    schema_version: int
    symbol: _Symbol
    fingerprint: _Fingerprint
    input_shape: _Shape
    input_scaling: tuple[float, float]
    classes: _Count
    embedding_elements: _Size | None
    loss: _Line
    label: Literal["class", "vector"]
    label_elements: _Size
    precision: Literal["float32", "int8"]
    mode: Literal["static", "dynamic"]
    prototypes: Prototypes | None
    adaptable: bool
    arena_bytes: _Bytes
    row_pool_bytes: _Bytes
    regions_bytes: _Bytes
    state_bytes: _Bytes
    rows: list[TrainedRows]
    copies: _Count
    learning_rate: float
    choice: Choice | None
    layers: Annotated[tuple[Layer, ...], Meta(min_length=1)]
    backend: Literal["c", "tflm"] = "c"
    not_exported: _Line | None = None
    lists_bytes: _Bytes | None = None
    lists_regions_bytes: _Bytes | None = None
    calibrated: tuple[float, float] | None = None
    weights: list[WeightArray] | None = None


class FlashBytes(Struct):
    """Flash by what takes it; None where the code has not been measured."""

    code: _Bytes | None
    weights: _Bytes


class ExecutedMacs(Struct):
    """Multiply-accumulates that run."""

    predict: _Macs
    forward: _Macs
    backward: _Macs | None


class Placement(Struct):
    """Which region of RAM holds a block of the build."""

    name: _Line
    bytes: _Bytes
    region: _Line


class LayerFigures(Struct):
    """A layer in report.json."""

    name: _Line
    kind: _Line
    parameters: _Macs
    forward_macs: _Macs
    channels_total: _Count
    channels_trained: _Count


class Report(Struct):
    """report.json."""

    schema_version: int
    model: _Line
    fingerprint: _Fingerprint
    target: _Line
    device: dict[str, Any]
    placement: list[Placement] | None
    precision: _Line
    mode: _Line
    loss: _Line
    optimizer: _Line
    arena_bytes: _Bytes
    arena_lower_bound_bytes: _Bytes
    row_pool_bytes: _Bytes
    session_bytes: _Bytes
    ram_bytes: _Bytes
    input_bytes: _Bytes
    flash_bytes: FlashBytes
    forward_macs: _Macs
    backward_macs: _Macs | None
    backward_macs_full: _Macs
    executed_macs: ExecutedMacs
    training_memory_bytes: _Bytes | None
    updated_parameters: _Count | None
    layers: list[LayerFigures]


class Plan(Struct):
    """plan.json; a build that chooses for itself has one without layers."""

    layers: dict[str, Any]


def check_report(report: Report, where: str) -> Device:
    """The device that a report tells.

    Raises:
        InputError: there is none such; the message begins with ``where``.
    """
    return device_from_json(report.device, where)


def check_simulation(simulation: Simulation, where: str) -> None:
    """Refuses sizes that contradict each other, or that no build has.

    Raises:
        InputError: some do; the message begins with ``where`` and names the key.
    """
    names = [layer.name for layer in simulation.layers]
    if len(set(names)) != len(names):
        raise InputError(f"{where}: layers: expected a name of its own for each, received one twice")
    for layer in simulation.layers:
        if not layer.name.isprintable():
            raise InputError(f"{where}: layers: expected names of one printable line, received {layer.name!r}")
        if layer.kind not in KINDS:
            raise InputError(
                f"{where}: layer '{layer.name}': expected a kind of {', '.join(KINDS)}, received {layer.kind!r}"
            )
        sizes = (*layer.kernel_shape, *layer.input_shape, *layer.output_shape, layer.channels, layer.row_length)
        if (
            len(layer.kernel_shape) != len(layer.row_axes)
            or min(sizes) < 1
            or (math.prod(layer.kernel_shape) != layer.channels * layer.row_length)
        ):
            raise InputError(
                f"{where}: layer '{layer.name}': expected a kernel of {layer.channels} rows of {layer.row_length}, "
                f"received {layer.kernel_shape}"
            )
    if math.prod(simulation.input_shape) > TENSOR_ELEMENTS:
        raise InputError(
            f"{where}: input_shape: expected at most {TENSOR_ELEMENTS:,} elements, received {simulation.input_shape}"
        )
    channels = {layer.name: layer.channels for layer in simulation.layers}
    strides = {layer.name: layer.stride for layer in simulation.layers}
    for rows in simulation.rows:
        if max(rows.channels, default=0) >= channels.get(rows.layer, 0) or rows.stride != strides[rows.layer]:
            raise InputError(
                f"{where}: rows: expected channels of layers of the build, received those of '{rows.layer}'"
            )
    candidates = simulation.choice.candidates if simulation.choice else ()
    for candidate in candidates:
        if candidate.channels != channels.get(candidate.layer) or candidate.stride != strides[candidate.layer]:
            raise InputError(f"{where}: choice: expected layers of the build, received '{candidate.layer}'")
