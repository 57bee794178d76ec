# SPDX-License-Identifier: Apache-2.0
"""The recipe of an export target: one folder, here a module of another package."""

import re
import tarfile
from pathlib import Path

import pytest

import tt_tflm
from recipes import outside
from tt_tflm.errors import InputError
from tt_tflm.export import EXPORTERS, export, exporter

TARBALL = """
import io
import tarfile

from tt_tflm.export.exporters import ExportOption, exporter

@exporter
class Tarball:
    name = "tarball"
    help = "The sources, packed."
    takes = "FILE.tar"
    options = (ExportOption("prefix", "FOLDER", "Folder in the archive."),)

    def write(self, build, path, options):
        with tarfile.open(path, "x") as archive:
            for name, text in build.files.items():
                entry = tarfile.TarInfo(f"{options.get('prefix', 'model')}/{name}")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
"""
DOCS = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.fixture
def tarball(monkeypatch, tmp_path):
    outside.install(monkeypatch, tmp_path / "site", EXPORTERS, "tt_tflm.exporters", "someones_exporter", TARBALL)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    converter = tt_tflm.TrainableConverter.from_keras_model(outside.embedding_model())
    converter.loss = tt_tflm.PrototypeLoss(3)
    folder = tmp_path_factory.mktemp("export") / "out"
    converter.convert().save(folder)
    return folder


def test_it_writes_files_from_the_command_line(tarball, out, tmp_path, capfd):
    written = tmp_path / "model.tar"
    code, _, err = outside.tt_tflm(capfd, "export", out, "--tarball", written, "--tarball-prefix", "mine")
    assert (code, err) == (0, "")
    with tarfile.open(written) as archive:
        content = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}
    assert content == {f"mine/{name}": text for name, text in tt_tflm.load_build(out).files.items()}
    shown = outside.tt_tflm(capfd, "export", "--help")[1]
    assert all(text in shown for text in ("--tarball FILE.tar", "The sources, packed.", "--tarball-prefix FOLDER"))


def test_the_others_go_on_working_beside_it(tarball, out, tmp_path, capfd):
    assert outside.tt_tflm(capfd, "export", out, "--zephyr", tmp_path / "module")[0] == 0
    assert (tmp_path / "module/zephyr/module.yml").is_file()
    for arguments, message in (
        ((), "expected --arduino LIB.zip or --zephyr DIR or --tarball FILE.tar, received none"),
        (("--zephyr", "a", "--tarball", "b"), "received --zephyr and --tarball"),
        (
            ("--zephyr", "a", "--tarball-prefix", "b"),
            "expected --tarball-prefix with --tarball, received it with --zephyr",
        ),
        (("--tarbal", "a"), "did you mean --tarball?"),
    ):
        code, shown, err = outside.tt_tflm(capfd, "export", out, *arguments)
        assert (code, shown, err.count("\n")) == (2, "", 1)
        assert message in err
    assert not Path("a").exists()


def test_it_is_called_from_python(tarball, out, tmp_path):
    build = tt_tflm.load_build(out)
    export(build, "tarball", tmp_path / "m.tar", {"prefix": "p"})
    assert tarfile.is_tarfile(tmp_path / "m.tar")
    with pytest.raises(InputError, match=r"options of tarball: expected one of prefix, received 'prefx': did you mean"):
        export(build, "tarball", tmp_path / "n.tar", {"prefx": "p"})
    with pytest.raises(InputError, match=r"expected an export target of .*, received 'tarbal': did you mean 'tarball'"):
        export(build, "tarbal", tmp_path / "n.tar")
    assert not (tmp_path / "n.tar").exists()


def test_half_a_target_is_refused():
    with pytest.raises(InputError, match="export target Half: expected takes of type str, received None"):

        @exporter
        class Half:
            name, help, options = "half", "Half.", ()


def test_the_docs_list_all():
    table = re.findall(r"^\| `--(\S+) (\S+)` \| (.*?) \|", DOCS.read_text(), re.MULTILINE)
    own = [target for target in EXPORTERS.values() if type(target).__module__.startswith("tt_tflm.")]
    assert table == [(target.name, target.takes, target.help) for target in own]
