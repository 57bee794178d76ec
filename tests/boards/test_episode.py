# SPDX-License-Identifier: Apache-2.0
"""Episodes: what is read, how images are fitted, and the one line for every way a file can be wrong."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tt_tflm.boards.episode import load_episode, resize_bilinear
from tt_tflm.boards.input_range import InputScaling
from tt_tflm.errors import InputError, InputWarning

SHAPE = (6, 5, 3)


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "support_x": draw.integers(0, 256, (6, *SHAPE), dtype=np.uint8),
        "support_y": np.array([0, 1, 2, 0, 1, 2]),
        "query_x": draw.integers(0, 256, (4, *SHAPE), dtype=np.uint8),
        "query_y": np.array([2, 1, 0, 0]),
    }


@pytest.fixture
def save(tmp_path: Path):
    def save_arrays(arrays: dict[str, np.ndarray]) -> Path:
        path = tmp_path / "episode.npz"
        np.savez(path, **arrays)
        return path

    return save_arrays


def check_refused(path: Path, *parts: str, input_shape: tuple[int, ...] = SHAPE) -> None:
    with pytest.raises(InputError) as caught:
        load_episode(path, input_shape)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("expected", "received", *parts):
        assert part in message


def test_images_of_the_right_size_are_scaled(save, arrays) -> None:
    episode = load_episode(save(arrays), SHAPE)
    assert episode.classes == 3
    assert episode.support_x.dtype == np.float32
    np.testing.assert_allclose(episode.support_x, arrays["support_x"] / 127.5 - 1, atol=1e-7)
    np.testing.assert_array_equal(episode.support_y, arrays["support_y"])
    np.testing.assert_array_equal(episode.query_y, arrays["query_y"])


def test_other_scaling(save, arrays) -> None:
    episode = load_episode(save(arrays), SHAPE, InputScaling(1 / 255, 0.0))
    np.testing.assert_allclose(episode.query_x, arrays["query_x"] / 255, atol=1e-7)


@pytest.mark.parametrize("size", [(6, 5), (13, 4), (3, 11), (12, 10), (1, 1)])
def test_resizing_equals_tensorflow(size: tuple[int, int]) -> None:
    tf = pytest.importorskip("tensorflow")
    images = np.random.default_rng(1).integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    expected = tf.image.resize(images, size, antialias=False).numpy()
    np.testing.assert_allclose(resize_bilinear(images, *size), expected, atol=1e-3)


def test_grey_is_repeated_for_a_colour_model(save, arrays) -> None:
    arrays["support_x"] = arrays["support_x"][..., :1]
    arrays["query_x"] = arrays["query_x"][..., :1]
    episode = load_episode(save(arrays), (12, 10, 3))
    assert episode.support_x.shape == (6, 12, 10, 3)
    np.testing.assert_array_equal(episode.support_x[..., 0], episode.support_x[..., 2])


def test_colour_becomes_grey_for_a_grey_model_as_in_files(save, arrays) -> None:
    episode = load_episode(save(arrays), (*SHAPE[:2], 1))
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in arrays["support_x"]])
    np.testing.assert_allclose(episode.support_x[..., 0], expected / 127.5 - 1, atol=1e-6)


def test_float_samples_are_taken_as_they_are(save, arrays) -> None:
    arrays["support_x"] = arrays["support_x"].astype(np.float32) - 128
    arrays["query_x"] = arrays["query_x"].astype(np.float32)
    episode = load_episode(save(arrays), SHAPE)
    np.testing.assert_array_equal(episode.query_x, arrays["query_x"])


def test_bytes_of_another_rank_are_scaled(save, arrays) -> None:
    arrays["support_x"] = arrays["support_x"].reshape(6, -1)
    arrays["query_x"] = arrays["query_x"].reshape(4, -1)
    assert load_episode(save(arrays), (90,)).support_x.shape == (6, 90)
    check_refused(save(arrays), "support_x", "(91,)", input_shape=(91,))


@pytest.mark.parametrize("name", ["support_x", "support_y", "query_x", "query_y"])
def test_missing_array(save, arrays, name: str) -> None:
    del arrays[name]
    check_refused(save(arrays), name)


def test_object_array(save, arrays) -> None:
    arrays["support_x"] = np.array([np.zeros(2), np.zeros(3), 0, 0, 0, 0], dtype=object)
    check_refused(save(arrays), "support_x", "object array")


def test_one_class(save, arrays) -> None:
    arrays["support_y"][:] = 0
    arrays["query_y"][:] = 0
    check_refused(save(arrays), "support_y", "two classes")


@pytest.mark.parametrize("labels", [[1, 2, 3, 1, 2, 3], [-1, 0, 1, 0, 1, 0], [0, 2, 0, 2, 0, 2]])
def test_classes_do_not_count_from_zero(save, arrays, labels: list[int]) -> None:
    arrays["support_y"] = np.array(labels)
    check_refused(save(arrays), "support_y", "without a gap")


@pytest.mark.parametrize("labels", [np.zeros(6), np.array(list("abcabc")), np.zeros((6, 1), np.int64)])
def test_labels_are_no_integers(save, arrays, labels: np.ndarray) -> None:
    arrays["support_y"] = labels
    check_refused(save(arrays), "support_y", "integers")


def test_query_of_an_unknown_class(save, arrays) -> None:
    arrays["query_y"][0] = 3
    check_refused(save(arrays), "query_y", "received 3")


def test_lengths_differ(save, arrays) -> None:
    arrays["query_x"] = arrays["query_x"][:-1]
    check_refused(save(arrays), "query_x", "received 3")


def test_no_samples(save, arrays) -> None:
    arrays["query_x"], arrays["query_y"] = arrays["query_x"][:0], arrays["query_y"][:0]
    check_refused(save(arrays), "query_y", "none")


def test_float_samples_of_another_shape(save, arrays) -> None:
    arrays["query_x"] = np.zeros((4, 6, 6, 3), np.float32)
    check_refused(save(arrays), "query_x", "(6, 6, 3)")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(save, arrays, value: float) -> None:
    arrays["support_x"] = np.full((6, *SHAPE), value, np.float32)
    check_refused(save(arrays), "support_x", "finite")


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i2", "u4", "i4", "i8", "f2", "f8", ">f4"])
def test_other_numbers_are_cast_and_told_of_once(save, arrays, dtype: str) -> None:
    x = {name: (arrays[name].reshape(-1, 90) // 2).astype(dtype) for name in ("support_x", "query_x")}
    with pytest.warns(InputWarning) as told:
        episode = load_episode(save(arrays | x), (90,))
    (warning,) = told
    text = f"expected uint8 or float32, received {np.dtype(dtype)}: cast to float32, values as they are"
    assert text in str(warning.message) and "\n" not in str(warning.message)
    for name, values in x.items():
        fitted = getattr(episode, name)
        assert fitted.dtype == np.float32
        np.testing.assert_array_equal(fitted, values.astype(np.float32))


@pytest.mark.parametrize("x", [np.full((6, *SHAPE), 1j), np.full((6, *SHAPE), "a"), np.full((6, *SHAPE), 1e39)])
def test_what_cannot_be_cast(save, arrays, x: np.ndarray) -> None:
    check_refused(save(arrays | {"support_x": x}), "support_x", str(x.dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_without_a_channel_axis(save, arrays, dtype: type) -> None:
    arrays["support_x"] = arrays["support_x"][..., 0].astype(dtype)
    check_refused(save(arrays), "support_x", "expected", str(arrays["support_x"].shape[1:])[1:-1])
    with pytest.raises(InputError, match="add the axis of channels"):
        load_episode(save(arrays), (*arrays["support_x"].shape[1:], 1))


def test_images_of_four_channels(save, arrays) -> None:
    arrays["support_x"] = np.repeat(arrays["support_x"][..., :1], 4, axis=3)
    check_refused(save(arrays), "support_x", "as many channels", "3, received 4")


def test_number_instead_of_samples(save, arrays) -> None:
    arrays["support_x"] = np.uint8(3)
    check_refused(save(arrays), "support_x", "a single number")


def test_no_file(tmp_path: Path) -> None:
    check_refused(tmp_path / "none.npz", "none.npz")
    check_refused(tmp_path, "no file")


def test_single_array(tmp_path: Path) -> None:
    path = tmp_path / "episode.npy"
    np.save(path, np.zeros(3))
    check_refused(path, "single array")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 and no more"])
def test_no_zip_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "episode.npz"
    path.write_bytes(content)
    check_refused(path, "episode.npz")


def test_truncated_file(save, arrays) -> None:
    path = save(arrays)
    content = path.read_bytes()
    for size in (len(content) // 2, len(content) - 10):
        path.write_bytes(content[:size])
        check_refused(path)


def test_damaged_member(save, arrays) -> None:
    path = save(arrays)
    content = bytearray(path.read_bytes())
    content[300] ^= 0xFF
    path.write_bytes(content)
    check_refused(path)


@pytest.mark.data
def test_examples(data_folder: Path) -> None:
    paths = [*(data_folder / "examples").glob("cifar10*.npz"), *(data_folder / "examples").glob("gtsrb*.npz")]
    assert len(paths) == 2
    for path in paths:
        episode = load_episode(path, (128, 128, 3))
        assert episode.support_x.shape == (25, 128, 128, 3)
        assert episode.classes == 5
        assert -1.0 <= episode.support_x.min() < episode.support_x.max() <= 1.0
