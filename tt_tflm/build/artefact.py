# SPDX-License-Identifier: Apache-2.0
"""The artefact of a conversion: sources, weights, plan and report; saved, loaded and simulated."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tt_tflm.boards.simulated import AdaptiveBoard, SimulationFiles, open_board
from tt_tflm.boards.simulated.code_size import code_bytes
from tt_tflm.boards.simulated.console import ConsoleProcess
from tt_tflm.boards.simulated.count_macs import count_macs
from tt_tflm.boards.simulated.tflm import tflm_arena_bytes
from tt_tflm.build.schema import SCHEMA_VERSION, Plan, Report, Simulation, check_report, check_simulation
from tt_tflm.devices import Device, device_from_json
from tt_tflm.emit.c.library import kernel_source
from tt_tflm.emit.c.weight_files import (
    Weights,
    content_bytes,
    read_weights,
    weight_assembly,
    weight_binary,
    weight_source,
)
from tt_tflm.emit.source_files import pieces_of
from tt_tflm.errors import InputError
from tt_tflm.files.damage import reason
from tt_tflm.files.json_input import read_json, read_object
from tt_tflm.files.limits import SOURCE_BYTES
from tt_tflm.files.new_folder import new_folder
from tt_tflm.files.npz_arrays import read_arrays
from tt_tflm.files.regular_file import check_inside, read_text, read_whole
from tt_tflm.files.schema import checked
from tt_tflm.frontend.layers import Layer
from tvm_passes.specs import CLASS

_SIMULATION = "sim/simulation.json"
_WEIGHTS = "sim/weights.npz"
INFER_MODEL = "sim/infer.tflite"
_Description = TypeVar("_Description")


@dataclass(frozen=True, repr=False)
class Build:
    """A trainable build.

    Args:
        files: path below the build's folder -> text, everything but the weights for simulation.
        rows: base rows, layer name -> float32 (channels, stride).
        layers: the layers with weights, in order.
        report_data: report.json but for the size of the code, which needs a compiler.
        plan: content of plan.json.
        simulation: content of sim/simulation.json but for the layers.
        models: path below the build's folder -> content of a .tflite file: the forward pass for ``export_tflite``, with
            the backend ``tflm`` ``train.tflite`` and, where the board chooses, ``fisher.tflite``.
        binary: the weights, where they are no C text among the files but a binary file beside them; else None.
    """

    files: Mapping[str, str]
    rows: Mapping[str, np.ndarray]
    layers: tuple[Layer, ...]
    report_data: Mapping[str, Any]
    plan: Mapping[str, Any]
    simulation: Mapping[str, Any]
    models: Mapping[str, bytes] = field(default_factory=dict)
    binary: Weights | None = None

    def __repr__(self) -> str:
        about = self.report_data
        return (
            f"Build(model={about['model']!r}, target={about['target']!r}, backend={self.backend!r}, "
            f"mode={about['mode']!r}, loss={about['loss']!r}, ram_bytes={about['ram_bytes']})"
        )

    @property
    def backend(self) -> str:
        """``c`` or ``tflm``."""
        return self.simulation.get("backend", "c")

    @property
    def device(self) -> Device:
        """The target."""
        return device_from_json(self.report_data["device"])

    @property
    def report(self) -> dict[str, Any]:
        """The figures of report.json. ``flash_bytes.code`` is None where the target's compiler is missing; the first
        access compiles the sources for the target. With the backend ``tflm`` there are ``tflm_arena_bytes`` instead,
        what TFLM needs for ``train.tflite`` on this machine, whose pointers have 8 bytes, and
        ``tflm_firmware_arena_bytes``, an arena for all that a firmware runs; None where the tflite-micro wheel is
        missing."""
        report = json.loads(json.dumps(self.report_data))
        if self.backend == "tflm":
            return report | tflm_arena_bytes(self.models)
        with self._folder() as folder:
            report["flash_bytes"]["code"] = code_bytes(self._simulation_files(Path(folder)), self.device.profile)
        return report

    def save(self, folder: str | Path) -> None:
        """Write the build to a folder that does not exist yet or is empty; on any error nothing is left behind.

        Raises:
            InputError: the folder is not empty or cannot be written.
        """
        with new_folder(folder) as draft:
            self._write(draft)
            (draft / "report.json").write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")

    def simulate(self, device: str | None = None) -> AdaptiveBoard:
        """A board with this build on it.

        Args:
            device: ``host``, an emulated core such as ``cortex-m7``, or a device, of which the core is emulated: a
                name, or the path of a profile; ``tflm`` for builds of that backend, and for those alone. Default:
                ``host``, or ``tflm`` for such a build.

        Raises:
            InputError: there is no such device.
            ToolchainError: a compiler or the emulator is missing.
        """
        with self._folder() as folder:
            return open_board(self._simulation_files(Path(folder)), device or self.default_device)

    def console(
        self, device: str | None = None, folder: str | Path = ".", *, capacity: int = 25, pixels: bool = True
    ) -> ConsoleProcess:
        """A board with this build and the serial console on it, at a pseudo-terminal: for `tt_tflm.Board`.

        Args:
            device: as for `simulate`; ``host`` for a build of the backend ``tflm`` too.
            folder: where the board keeps what it saves, in a file ``storage.bin``.
            capacity: samples that it can keep.
            pixels: whether it keeps them as uint8; else as float32.

        Raises:
            InputError: there is no such device or folder, capacity is not from 1 to 4096, or labels are vectors, which
                the console does not take.
            ToolchainError: a compiler or the emulator is missing.
        """
        if self.simulation["label"] != CLASS:
            raise InputError(
                "console: expected a build whose labels are classes, received one of loss "
                f"'{self.simulation['loss']}', whose labels are vectors: train it with simulate()"
            )
        if not Path(folder).is_dir():
            raise InputError(f"expected a folder for what the board saves, received '{folder}'")
        with self._folder() as scratch:
            files = self._simulation_files(Path(scratch))
            return ConsoleProcess(files, device or self.default_device, folder, capacity=capacity, pixels=pixels)

    def count_macs(self) -> dict[str, int]:
        """Multiply-accumulates that an instrumented host build performs in one ``predict`` and one ``train_step``.

        Raises:
            InputError: the build is of the backend ``tflm``, whose kernels are not instrumented.
        """
        if self.backend == "tflm":
            raise InputError("count_macs: expected a build of backend 'c', received one of backend 'tflm'")
        with self._folder() as folder:
            return count_macs(self._simulation_files(Path(folder)))

    @property
    def default_device(self) -> str:
        """What ``simulate`` runs on unless told otherwise."""
        return "tflm" if self.backend == "tflm" else "host"

    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        folder = tempfile.TemporaryDirectory(prefix="tt-tflm-build-")
        self._write_sources(Path(folder.name) / "build")
        return folder

    def _write_sources(self, folder: Path) -> None:
        for name in self.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8") as file:
                file.writelines(pieces_of(self.files, name))
        if self.binary is not None:
            with (folder / weight_binary(self.binary.symbol)).open("wb") as file:
                file.writelines(self.binary.content())

    def _write(self, folder: Path) -> None:
        self._write_sources(folder)
        for name, content in self.models.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "plan.json").write_text(json.dumps(self.plan, indent=2) + "\n", encoding="utf-8")
        description = {**self.simulation, "layers": [asdict(layer) for layer in self.layers]}
        (folder / _SIMULATION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        rows: dict[str, Any] = {f"rows_{i}": self.rows[layer.name] for i, layer in enumerate(self.layers)}
        np.savez(folder / _WEIGHTS, **rows)

    def _simulation_files(self, scratch: Path) -> SimulationFiles:
        folder = scratch / "build"
        symbol = str(self.simulation["symbol"])
        kernel = folder / kernel_source(symbol)
        weights = folder / (weight_source(symbol) if self.binary is None else weight_assembly(symbol))
        sources = sorted({*(folder / "src").glob("*.c"), *(() if self.binary is None else (weights,))})
        return SimulationFiles(
            sources=tuple(path for path in sources if path != kernel),
            kernel_sources=(kernel,),
            weight_sources=(weights,),
            include_dirs=(folder / "include", folder / "src"),
            sim_dir=folder / "sim",
            description=self.simulation,
            base_rows=self.rows,
            layers={layer.name: layer for layer in self.layers},
            models=self.models,
        )


def load_build(folder: str | Path) -> Build:
    """The build that ``Build.save`` wrote.

    Its sources are compiled and run by whatever simulates it: load builds as you would run programs, from those you
    trust alone. What is refused here are mistakes, not malice: files of another form or version, and links that leave
    the folder.

    Raises:
        InputError: the folder holds no build, or one of another version; the message names the file and the field.
    """
    root = Path(folder)
    try:
        return _load(root, _files_of(root))
    except InputError as error:
        raise InputError(f"expected a folder that Build.save wrote, received '{root}': {error}") from None


def _load(root: Path, paths: list[Path]) -> Build:
    simulation, about = _described(root, _SIMULATION, Simulation)
    report, figures = _described(root, "report.json", Report)
    plan, _ = read_object(root / "plan.json", "a plan in JSON", Plan)
    check_report(figures, f"'{root / 'report.json'}'")
    check_simulation(about, f"'{root / _SIMULATION}'")
    del simulation["layers"]
    arrays = read_arrays(root / _WEIGHTS, "weights", [f"rows_{i}" for i in range(len(about.layers))])
    rows = {layer.name: array for layer, array in zip(about.layers, arrays.values(), strict=True)}
    for layer in about.layers:
        row = rows[layer.name]
        if row.dtype != np.float32 or row.shape != (layer.channels, layer.stride):
            raise InputError(
                f"{_WEIGHTS}: expected float32 {(layer.channels, layer.stride)} for layer '{layer.name}', received "
                f"{row.dtype} {row.shape}"
            )
    weights_path = None if about.weights is None else weight_binary(about.symbol)
    files, models = {}, {}
    for path in paths:
        name = path.relative_to(root).as_posix()
        if path.suffix == ".tflite":
            models[name] = read_whole(path, "a .tflite file", SOURCE_BYTES)
        elif path.suffix not in (".json", ".npz") and name != weights_path:
            files[name] = read_text(path, "a source", SOURCE_BYTES)
    return Build(files, rows, about.layers, report, plan, simulation, models, _binary(root, simulation))


def _binary(root: Path, simulation: Mapping[str, Any]) -> Weights | None:
    """The weights that lie in a binary file, as a checked simulation.json tells."""
    symbol, table = simulation["symbol"], simulation.get("weights")
    if table is None:
        return None
    content = read_whole(root / weight_binary(symbol), "the weights of a build", SOURCE_BYTES)
    if len(content) != content_bytes(table):
        raise InputError(
            f"{weight_binary(symbol)}: expected {content_bytes(table):,} bytes for the arrays of "
            f"'{root / _SIMULATION}', received {len(content):,}"
        )
    return read_weights(symbol, table, content)


def _described(root: Path, name: str, schema: type[_Description]) -> tuple[dict[str, Any], _Description]:
    """A file that tells its schema's version, which is looked at before the rest."""
    path = root / name
    content = read_json(path, f"{name} of a build")
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(f"expected schema version {SCHEMA_VERSION} in '{path}', received {version!r}")
    return content, checked(content, schema, f"'{path}'")


def _files_of(root: Path) -> list[Path]:
    """All files of a build; links may lead to others of them alone."""
    try:
        if not root.is_dir():
            raise InputError("no such folder")
        paths = sorted(root.rglob("*"))
    except (OSError, ValueError) as error:
        raise InputError(reason(error)) from None
    for path in paths:
        if path.is_symlink():
            check_inside(path, root)
    return [path for path in paths if not path.is_dir()]
