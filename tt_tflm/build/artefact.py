# SPDX-License-Identifier: Apache-2.0
"""The artefact of a conversion: sources, weights, plan and report; saved, loaded and simulated."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tt_tflm.boards.simulated import AdaptiveBoard, SimulationFiles, open_board
from tt_tflm.boards.simulated.code_size import code_bytes
from tt_tflm.boards.simulated.console import ConsoleProcess
from tt_tflm.boards.simulated.count_macs import count_macs
from tt_tflm.boards.simulated.tflm import tflm_arena_bytes
from tt_tflm.devices import Device, device_from_json
from tt_tflm.emit.c.library import KERNEL_SOURCE
from tt_tflm.errors import InputError
from tt_tflm.files.new_folder import new_folder
from tt_tflm.frontend.layers import Layer

SCHEMA_VERSION = 1
_SIMULATION = "sim/simulation.json"
_WEIGHTS = "sim/weights.npz"
INFER_MODEL = "sim/infer.tflite"


@dataclass(frozen=True)
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
    """

    files: Mapping[str, str]
    rows: Mapping[str, np.ndarray]
    layers: tuple[Layer, ...]
    report_data: Mapping[str, Any]
    plan: Mapping[str, Any]
    simulation: Mapping[str, Any]
    models: Mapping[str, bytes] = field(default_factory=dict)

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
            device: as for `simulate`.
            folder: where the board keeps what it saves, in a file ``storage.bin``.
            capacity: samples that it can keep.
            pixels: whether it keeps them as uint8; else as float32.

        Raises:
            InputError: there is no such device or folder, capacity is not from 1 to 4096, or the build is of the
                backend ``tflm``, whose console needs firmware around TensorFlow Lite Micro.
            ToolchainError: a compiler or the emulator is missing.
        """
        if self.backend == "tflm":
            raise InputError(
                "console: expected a build of backend 'c', received one of backend 'tflm': export it for a board"
            )
        if not Path(folder).is_dir():
            raise InputError(f"expected a folder for what the board saves, received '{folder}'")
        with self._folder() as scratch:
            files = self._simulation_files(Path(scratch))
            return ConsoleProcess(files, device or "host", folder, capacity=capacity, pixels=pixels)

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
        self._write(Path(folder.name) / "build")
        return folder

    def _write(self, folder: Path) -> None:
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for name, content in self.models.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "plan.json").write_text(json.dumps(self.plan, indent=2) + "\n", encoding="utf-8")
        description = {**self.simulation, "layers": [asdict(layer) for layer in self.layers]}
        (folder / _SIMULATION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        np.savez(folder / _WEIGHTS, **{f"rows_{i}": self.rows[layer.name] for i, layer in enumerate(self.layers)})

    def _simulation_files(self, scratch: Path) -> SimulationFiles:
        folder = scratch / "build"
        sources = sorted((folder / "src").glob("*.c"))
        kernel = folder / KERNEL_SOURCE
        return SimulationFiles(
            sources=tuple(path for path in sources if path != kernel),
            kernel_sources=(kernel,),
            include_dirs=(folder / "include", folder / "src"),
            sim_dir=folder / "sim",
            description=self.simulation,
            base_rows=self.rows,
            layers={layer.name: layer for layer in self.layers},
            models=self.models,
        )


def load_build(folder: str | Path) -> Build:
    """The build that ``Build.save`` wrote.

    Raises:
        InputError: the folder holds no build, or one of another version.
    """
    root = Path(folder)
    name = ""
    try:
        contents = []
        for name in (_SIMULATION, "report.json", "plan.json"):
            contents.append(json.loads((root / name).read_text(encoding="utf-8")))
        simulation, report, plan = contents
        device_from_json(report["device"])
        layers = tuple(_layer(entry) for entry in simulation.pop("layers"))
        name = _WEIGHTS
        with (root / name).open("rb") as stream, np.load(stream, allow_pickle=False) as weights:
            arrays = [weights[f"rows_{i}"] for i in range(len(layers))]
        files, models = {}, {}
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.suffix == ".tflite":
                models[name] = path.read_bytes()
            elif path.is_file() and path.suffix not in (".json", ".npz"):
                files[name] = path.read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"expected a folder that Build.save wrote, received '{root}' whose {name} cannot be read: {error}"
        ) from None
    for name, content in (("report.json", report), (_SIMULATION, simulation)):
        if content.get("schema_version") != SCHEMA_VERSION:
            raise InputError(
                f"expected schema version {SCHEMA_VERSION} in '{root / name}', "
                f"received {content.get('schema_version')!r}"
            )
    rows = {layer.name: array for layer, array in zip(layers, arrays, strict=True)}
    return Build(files, rows, layers, report, plan, simulation, models)


def _layer(entry: Mapping[str, Any]) -> Layer:
    return Layer(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()})
