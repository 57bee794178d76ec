# SPDX-License-Identifier: Apache-2.0
"""README.md and docs/ run as printed, in the order of their lines, with models and data that the package makes.

The README is read first; every page of docs/ goes on in a folder that the README has left.
"""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from .reader import ROOT, RUN, SHOWN, blocks_of, read

PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
RUNNABLE = [page for page in PAGES if any(b.language in RUN and b.note != "not run" for b in blocks_of(page))]
# Every block that no test runs, and why: whoever adds one says so here.
NOT_RUN = {
    ("README.md", "sets up a machine"): 2,
    ("docs/evaluation.md", "needs data that is not shipped"): 1,
    ("docs/experiments.md", "needs data that is not shipped"): 1,
    ("docs/how_it_works.md", "registers for the whole process, as tests/recipes does in one of its own"): 1,
    ("docs/int8.md", "needs data that is not shipped"): 1,
    ("docs/meta_training.md", "needs data that is not shipped"): 1,
    ("docs/persistence.md", "needs data that is not shipped"): 1,
    ("docs/starter_model.md", "needs data that is not shipped"): 1,
    ("docs/starter_model.md", "takes the better part of an hour"): 1,
    ("docs/tflm.md", "needs data that is not shipped"): 1,
    ("docs/zephyr.md", "needs a Zephyr tree"): 5,
}

# One reader has no use for a second process that reads the README again.
reading = [pytest.mark.xdist_group("documents"), pytest.mark.qemu, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What reading the README leaves."""
    left = tmp_path_factory.mktemp("reader")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(left)
        read("README.md")
    return left


class TestReading:
    pytestmark = reading

    def test_the_readme(self, folder: Path) -> None:
        assert (folder / "out" / "report.json").is_file()

    @pytest.mark.parametrize("page", RUNNABLE)
    def test_page(self, page: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copytree(folder, tmp_path / "work")
        monkeypatch.chdir(tmp_path / "work")
        read(page)


@pytest.mark.parametrize("document", ["README.md", *PAGES])
def test_every_block_says_what_it_is(document: str) -> None:
    for block in blocks_of(document):
        assert block.language in RUN + SHOWN, f"{block.place}: expected a fence of {RUN + SHOWN}"


def test_blocks_that_are_not_run_are_counted() -> None:
    blocks = [block for document in ("README.md", *PAGES) for block in blocks_of(document)]
    assert Counter((b.document, b.value) for b in blocks if b.note == "not run") == NOT_RUN
    assert sum(b.language in RUN and b.note != "not run" for b in blocks) > 3 * sum(NOT_RUN.values()) // 2


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", *PAGES])
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"


@pytest.mark.parametrize("document", ["README.md", *PAGES])
def test_data_of_developers_is_not_asked_of_users(document: str) -> None:
    assert "TT_DATA" not in (ROOT / document).read_text(encoding="utf-8")
