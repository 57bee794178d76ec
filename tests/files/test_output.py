# SPDX-License-Identifier: Apache-2.0
"""`--json`: regular files whole or not at all; pipes and devices are written to and stay what they are; - is stdout."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tt_tflm.errors import InputError
from tt_tflm.report import write_json

ROOT = Path(__file__).parents[2]


def devices(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """Runs `tt-tflm devices`, which needs nothing and shows a table."""
    command = [sys.executable, "-m", "tt_tflm.cli.main", "devices", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, check=False, **options)


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_stdout_has_the_json_alone_and_the_table_goes_to_stderr(name: str, tmp_path: Path) -> None:
    with (tmp_path / "shell").open("w") as redirected:
        done = devices("--json", name, stdout=redirected)
    assert done.returncode == 0 and "cortex-m7" in done.stderr
    assert json.loads((tmp_path / "shell").read_text())["devices"][0]["name"] == "host"
    assert stat.S_ISLNK(os.lstat("/dev/stdout").st_mode)


def test_a_regular_file_leaves_the_table_on_stdout(tmp_path: Path) -> None:
    done = devices("--json", tmp_path / "out.json", stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cortex-m7" in done.stdout and json.loads((tmp_path / "out.json").read_text())


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_text()), daemon=True)
    reader.start()
    write_json(tmp_path / "pipe", {"a": 1})
    reader.join(30)
    assert json.loads(received[0]) == {"a": 1}
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_devices_stay_devices() -> None:
    write_json(Path("/dev/null"), {"a": 1})
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(InputError, match="received /dev/full: No space left"):
        write_json(Path("/dev/full"), {"a": 1})
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    write_json(tmp_path / "link.json", {"a": 1})
    assert (tmp_path / "link.json").is_symlink() and json.loads((tmp_path / "real.json").read_text()) == {"a": 1}


def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "none" / "x", tmp_path / "loop", tmp_path / "file" / "x", tmp_path / ("a" * 400),
                 tmp_path / "a\0b"):  # fmt: skip
        with pytest.raises(InputError) as refused:
            write_json(path, {})
        assert str(refused.value).isprintable()
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]
