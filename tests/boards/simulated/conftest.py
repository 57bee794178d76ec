# SPDX-License-Identifier: Apache-2.0
"""A hand-written build with the API of a generated one, so that boards are tested without the compiler."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.boards.simulated import SimulationFiles

ROOT = Path(__file__).parents[3]
FAKE_MODEL = Path(__file__).parent / "fake_model"
INPUT_SHAPE = (2, 3, 2)
ROWS, ROW_LENGTH, STRIDE = 5, 12, 14
TRAINED = [1, 3]
ARENA_BYTES = 64
PROTOTYPE_CLASSES = 3
SIM_MODEL = '#include "tt_model.h"\n#define TT_SIM_MODEL tt_model\n'


class DenseRows:
    """Rows of a Dense layer, converted as the front end's layers do."""

    def rows_to_kernel(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return rows[:, :ROW_LENGTH].T.copy(), rows[:, ROW_LENGTH].copy()


def base_rows() -> np.ndarray:
    rows = np.zeros((ROWS, STRIDE), np.float32)
    rows[:, : ROW_LENGTH + 1] = np.random.default_rng(1).normal(size=(ROWS, ROW_LENGTH + 1))
    return rows


def make_files(folder: Path, loss: str) -> SimulationFiles:
    """A fake build with this loss ("softmax" or "prototype"), laid out in `folder`."""
    include, source = folder / "include", folder / "src"
    include.mkdir(parents=True)
    source.mkdir()
    for header in [*FAKE_MODEL.glob("*.h"), *(ROOT / "ops/include").glob("*.h"), ROOT / "ops/engine/tt_engine.h"]:
        shutil.copy(header, include)
    for file in [*FAKE_MODEL.glob("*.c"), *(ROOT / "ops/src").glob("*.[ch]"), *(ROOT / "ops/engine").glob("*.[ch]")]:
        shutil.copy(file, source)
    (include / "tt_sim_model.h").write_text(SIM_MODEL)
    prototypes = loss == "prototype"
    (include / "tt_fake_variant.h").write_text(f"#define TT_MODEL_HAS_PROTOTYPES {int(prototypes)}\n")
    values = ", ".join(f"{value!r}f" for value in map(float, base_rows().reshape(-1)))
    (include / "tt_fake_weights.h").write_text("extern const float TT_FAKE_WEIGHTS[];\n")
    (source / "tt_fake_weights.c").write_text(
        f'#include "tt_fake_weights.h"\n\nconst float TT_FAKE_WEIGHTS[] = {{{values}}};\n'
    )
    pool = 4 * len(TRAINED) * STRIDE + (4 * PROTOTYPE_CLASSES * (ROWS + 1) if prototypes else 0)
    kernels = (source / "tt_fake_kernel.c",)
    return SimulationFiles(
        sources=tuple(sorted(set(source.glob("*.c")) - set(kernels))),
        kernel_sources=kernels,
        include_dirs=(include,),
        sim_dir=ROOT / "ops/sim",
        description={
            "schema_version": 1,
            "input_shape": list(INPUT_SHAPE),
            "classes": PROTOTYPE_CLASSES if prototypes else ROWS,
            "embedding_elements": ROWS if prototypes else None,
            "loss": loss,
            "label": "class",
            "label_elements": 1,
            "arena_bytes": ARENA_BYTES,
            "regions_bytes": pool,
            "prototypes": {"sums_offset": 0, "counts_offset": 0, "temperature": 10.0} if prototypes else None,
            "rows": [
                {"layer": "head", "offset": 0, "channels": TRAINED, "stride": STRIDE, "row_length": ROW_LENGTH},
            ],
        },
        base_rows={"head": base_rows()},
        layers={"head": DenseRows()},
    )


@pytest.fixture(scope="session")
def softmax_files(tmp_path_factory: pytest.TempPathFactory) -> SimulationFiles:
    return make_files(tmp_path_factory.mktemp("softmax") / "build", "softmax")


@pytest.fixture(scope="session")
def prototype_files(tmp_path_factory: pytest.TempPathFactory) -> SimulationFiles:
    return make_files(tmp_path_factory.mktemp("prototype") / "build", "prototype")


@pytest.fixture
def custom_files(tmp_path: Path) -> Callable[..., SimulationFiles]:
    """Makes a build from the text of its one header and one source; keywords are entries of simulation.json."""

    def make(header: str, source: str, **description: object) -> SimulationFiles:
        (tmp_path / "tt_model.h").write_text(header)
        (tmp_path / "tt_model.c").write_text(source)
        (tmp_path / "tt_sim_model.h").write_text(SIM_MODEL)
        return SimulationFiles(
            sources=(tmp_path / "tt_model.c",),
            kernel_sources=(),
            include_dirs=(tmp_path, ROOT / "ops/include"),
            sim_dir=ROOT / "ops/sim",
            description={
                "embedding_elements": None,
                "loss": "softmax",
                "label": "class",
                "label_elements": 1,
                "prototypes": None,
                "rows": [],
                **description,
            },
            base_rows={},
            layers={},
        )

    return make


@pytest.fixture
def sample() -> np.ndarray:
    return np.random.default_rng(2).normal(size=INPUT_SHAPE).astype(np.float32)
