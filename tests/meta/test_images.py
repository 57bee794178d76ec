# SPDX-License-Identifier: Apache-2.0
"""Where labelled images may come from, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tt_tflm.boards.input_range import InputScaling
from tt_tflm.errors import InputError, InputWarning
from tt_tflm.frontend.quiet import import_tensorflow
from tt_tflm.meta.images import load_images

AS_PIXELS = InputScaling(1.0, 0.0)


def picture(mode: str = "RGB", size: tuple[int, int] = (10, 8), level: int = 40) -> Image.Image:
    bands = {"L": level, "RGB": (level, 0, 0), "RGBA": (level, 0, 0, 128), "P": level % 256, "I;16": level << 8}
    return Image.new(mode, size, bands[mode])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes: images of several modes, sizes and types, and files that are none of them."""
    for label, name in enumerate(("ant", "bee", "cat")):
        (tmp_path / name).mkdir()
        for i, mode in enumerate(("RGB", "L", "RGBA", "P")):
            picture(mode, (10 + i, 8 + label), 40 + 10 * label).save(tmp_path / name / f"{i}.png")
    picture().save(tmp_path / "ant" / "photo.JPG")
    (tmp_path / "ant" / "notes.txt").write_text("no image")
    (tmp_path / "ant" / ".hidden.png").write_text("no image")
    (tmp_path / ".git").mkdir()
    return tmp_path


def test_a_folder_of_class_folders(folder: Path) -> None:
    images = load_images(folder)
    assert images.classes == ("ant", "bee", "cat")
    assert np.bincount(images.labels).tolist() == [5, 4, 4]
    for row in range(len(images.labels)):
        assert images.read(row).shape[2] == 3
    fitted = images.images(range(len(images.labels)), (12, 16, 3))
    assert fitted.shape == (13, 12, 16, 3)
    assert fitted.dtype == np.float32


def test_modes_become_what_the_model_takes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for mode in ("L", "RGB", "RGBA"):
            picture(mode, (4, 4), 200).save(tmp_path / name / f"{mode}.png")
        Image.fromarray(np.full((4, 4), 200 << 8, np.uint16)).save(tmp_path / name / "deep.png")
    grey = load_images(tmp_path, channels=1)
    colour = load_images(tmp_path, channels=3)
    paths = ["L", "RGB", "RGBA", "deep"]  # in the order of names
    values = {
        name: (grey.images([i], (4, 4, 1), AS_PIXELS)[0, 0, 0], colour.images([i], (4, 4, 3), AS_PIXELS)[0, 0, 0])
        for i, name in enumerate(paths)
    }
    assert values["L"][0].tolist() == values["deep"][0].tolist() == [200]
    assert values["L"][1].tolist() == values["deep"][1].tolist() == [200, 200, 200]
    assert values["RGB"][1].tolist() == values["RGBA"][1].tolist() == [200, 0, 0]
    assert values["RGB"][0].tolist() == values["RGBA"][0].tolist() == [60]  # its luminance


def test_corrupt_files_are_named_counted_and_refused_or_skipped(folder: Path) -> None:
    whole = (folder / "bee" / "0.png").read_bytes()
    (folder / "bee" / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "cat" / "text.jpg").write_text("no image")
    with pytest.raises(InputError, match="2 of 15 that cannot") as refused:
        load_images(folder)
    assert "half.png" in str(refused.value) and "text.jpg" in str(refused.value) and "\n" not in str(refused.value)
    images = load_images(folder, skip_corrupt=True)
    assert [Path(path).name for path in images.skipped] == ["half.png", "text.jpg"]
    assert np.bincount(images.labels).tolist() == [5, 4, 4]
    assert images.images([5], (4, 4, 3)).shape == (1, 4, 4, 3)


def test_arrays_and_datasets(tmp_path: Path) -> None:
    import tensorflow as tf

    x = np.arange(6 * 4 * 5 * 3, dtype=np.uint8).reshape(6, 4, 5, 3)
    y = np.array([7, 7, 3, 3, 9, 9])
    np.savez(tmp_path / "data.npz", x=x, y=y, names=np.array([f"class {i}" for i in range(10)]))
    sources = {
        "file": load_images(tmp_path / "data.npz"),
        "arrays": load_images((x, y)),
        "dataset": load_images(tf.data.Dataset.from_tensor_slices((x, y))),
    }
    for images in sources.values():
        assert images.labels.tolist() == [1, 1, 0, 0, 2, 2]
        assert [rows.tolist() for rows in images.members()] == [[2, 3], [0, 1], [4, 5]]
        np.testing.assert_array_equal(images.images([4], (4, 5, 3), AS_PIXELS), x[4:5])
    assert sources["file"].classes == ("class 3", "class 7", "class 9")
    assert load_images(sources["file"]) is sources["file"]


def test_jpeg_bytes(tmp_path: Path) -> None:
    files = []
    for level in (10, 90, 170, 250):
        stream = io.BytesIO()
        picture("RGB", (8, 8), level).save(stream, "jpeg")
        files.append(stream.getvalue())
    offset = np.cumsum([0, *map(len, files)])
    content = {"jpeg": np.frombuffer(b"".join(files), np.uint8), "offset": offset, "y": np.array([0, 0, 1, 1])}
    np.savez(tmp_path / "jpeg.npz", **content)
    images = load_images(tmp_path / "jpeg.npz")
    levels = images.images([0, 1, 2, 3], (8, 8, 3), AS_PIXELS)[:, 0, 0, 0]
    assert levels == pytest.approx([10, 90, 170, 250], abs=3)
    broken = content["jpeg"].copy()
    broken[offset[1] : offset[1] + 10] = 0
    np.savez(tmp_path / "broken.npz", **{**content, "jpeg": broken})
    with pytest.raises(InputError, match=r"1 of 4 that cannot .*image 1"):
        load_images(tmp_path / "broken.npz")
    np.savez(tmp_path / "short.npz", **{**content, "jpeg": content["jpeg"][:-1]})
    with pytest.raises(InputError, match=r"offset .* that rises within it"):
        load_images(tmp_path / "short.npz")


X = np.zeros((4, 8, 8, 3), np.uint8)
BAD_ARRAYS = {
    "one class": ((X, np.zeros(4, int)), "at least two classes, received 1"),
    "labels of floats": ((X, np.zeros(4)), "y of integers"),
    "a label too few": ((X, np.arange(3)), "one label for each of 4 images, received 3"),
    "complex": ((X.astype(np.complex64), np.arange(4)), "x: expected uint8 or float32, .* received complex64"),
    "flat": ((X.reshape(4, -1), np.arange(4)), r"x of uint8 or float32, \(N, H, W, C\)"),
    "nothing": (None, "a path, .* received NoneType"),
}


def test_other_numbers_are_cast_and_told_of_once() -> None:
    x = np.linspace(-1, 1, 4 * 8 * 8 * 3).reshape(4, 8, 8, 3)
    tf = import_tensorflow()
    for source in ((x, np.arange(4)), tf.data.Dataset.from_tensor_slices((x, np.arange(4)))):
        with pytest.warns(InputWarning, match="received float64: cast to float32") as told:
            images = load_images(source)
        assert len({str(warning.message) for warning in told}) == 1
        np.testing.assert_array_equal(images.images(range(4), (8, 8, 3)), x.astype(np.float32))


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_refused(case: str) -> None:
    source, message = BAD_ARRAYS[case]
    with pytest.raises(InputError, match=message) as refused:
        load_images(source)
    assert "\n" not in str(refused.value)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    np.save(tmp_path / "single.npy", X)
    np.savez(tmp_path / "other.npz", z=X)
    np.savez(tmp_path / "objects.npz", x=np.array([None, 1], object), y=np.arange(2))
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "class").mkdir(parents=True)
    picture().save(tmp_path / "one" / "class" / "a.png")
    for name, message in (
        ("missing.npz", "No such file"),
        ("text.npz", "cannot be read"),
        ("single.npy", "received a single array"),
        ("other.npz", "received neither"),
        ("objects.npz", "received an object array"),
        ("empty", "at least two folders of images .* received 0"),
        ("one", "at least two folders of images .* received 1"),
    ):
        with pytest.raises(InputError, match=message) as refused:
            load_images(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_images_that_do_not_fit_the_model_are_refused() -> None:
    images = load_images((np.zeros((4, 8, 8, 4), np.uint8), np.arange(4)))
    with pytest.raises(InputError, match="image 2: expected images with as many channels as the model takes, 1"):
        images.images([2], (8, 8, 1))
