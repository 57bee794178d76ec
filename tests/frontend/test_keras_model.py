# SPDX-License-Identifier: Apache-2.0
"""What is loaded and accepted, and the one clear line for everything else."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tt_tflm.errors import InputError, UnsupportedLayerError, UnsupportedModelError
from tt_tflm.frontend.graph import flatten
from tt_tflm.frontend.keras_model import check_model
from tt_tflm.frontend.loaders import load_keras
from tt_tflm.frontend.quiet import import_keras, most_telling_line, silence
from tt_tflm.models import STARTER

keras = import_keras()
L = keras.layers


def _model(*layers: Any, shape: tuple[int, ...] = (8, 8, 4), **options: Any) -> Any:
    return keras.Sequential([keras.Input(shape, **options), *layers])


def _refusal(action: Callable[[], Any], kind: type[Exception] = UnsupportedLayerError) -> str:
    with pytest.raises(kind) as error:
        action()
    text = str(error.value)
    assert "\n" not in text and "expected" in text and "received" in text
    return text


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "m.keras"
    _model(L.Conv2D(3, 3, name="stem"), L.GlobalAveragePooling2D(), L.Dense(2)).save(path)
    return path


class TestLoad:
    def test_a_saved_model_comes_back(self, saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
        model = load_keras(saved)
        assert model.layers[0].name == "stem"
        assert capfd.readouterr() == ("", "")

    def test_missing_file(self, tmp_path: Path) -> None:
        assert "No such file" in _refusal(lambda: load_keras(tmp_path / "none.keras"), InputError)

    def test_folder(self, tmp_path: Path) -> None:
        assert "a folder" in _refusal(lambda: load_keras(tmp_path), InputError)

    @pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
    def test_truncated(self, saved: Path, kept: float) -> None:
        data = saved.read_bytes()
        saved.write_bytes(data[: int(len(data) * kept)])
        text = _refusal(lambda: load_keras(saved), InputError)
        assert "truncated" in text and str(saved) in text

    def test_weights_damaged_inside_a_complete_archive(self, saved: Path, tmp_path: Path) -> None:
        damaged = tmp_path / "damaged.keras"
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(damaged, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                target.writestr(name, content[: len(content) // 2] if name.endswith(".h5") else content)
        text = _refusal(lambda: load_keras(damaged), InputError)
        assert "sound weights" in text and "truncated" in text

    def test_another_format(self, tmp_path: Path) -> None:
        path = tmp_path / "m.h5"
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        assert "save it again" in _refusal(lambda: load_keras(path), InputError)

    def test_an_archive_that_is_no_model(self, tmp_path: Path) -> None:
        path = tmp_path / "m.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", '{"class_name": "Nothing", "config": {}}')
        _refusal(lambda: load_keras(path), InputError)

    @pytest.mark.parametrize("nested", [False, True])
    def test_lambda(self, tmp_path: Path, nested: bool) -> None:
        inner = _model(L.Lambda(lambda x: x * 2, name="twice"), L.Dense(2), shape=(4,))
        model = _model(inner, shape=(4,)) if nested else inner
        path = tmp_path / "m.keras"
        model.save(path)
        text = _refusal(lambda: load_keras(path))
        assert "'twice' (Lambda)" in text and "write what it computes" in text

    def test_unknown_class(self, tmp_path: Path) -> None:
        class Mine(L.Dense):
            pass

        path = tmp_path / "m.keras"
        _model(Mine(2), shape=(4,)).save(path)
        assert "(Could not locate class 'Mine')" in _refusal(lambda: load_keras(path), InputError)

    @pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
    def test_lambda_as_activation(self, tmp_path: Path) -> None:
        path = tmp_path / "m.keras"
        _model(L.Dense(2, activation=lambda x: x * 2), shape=(4,)).save(path)
        assert "activation" in _refusal(lambda: load_keras(path), InputError)


class TestCheck:
    @pytest.mark.parametrize(
        "layer",
        [
            L.Conv2D(3, 3, strides=2, padding="same", activation="relu6"),
            L.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False),
            L.SeparableConv2D(3, 3, activation="hard_silu"),
            L.Dense(3, activation="softmax"),
            L.BatchNormalization(),
            L.ReLU(4.0, negative_slope=0.1),
            L.LeakyReLU(0.1),
            L.Softmax(),
            L.Softmax(axis=3),
            L.AveragePooling2D(2, padding="same"),
            L.MaxPooling2D(2),
            L.GlobalAveragePooling2D(keepdims=True),
            L.GlobalMaxPooling2D(),
            L.ZeroPadding2D(((0, 1), (2, 0))),
            L.Flatten(),
            L.Reshape((16, -1)),
            L.Dropout(0.5),
            L.SpatialDropout2D(0.5),
            L.Rescaling(1 / 127.5, offset=-1),
            *[
                L.Activation(name)
                for name in (
                    "relu",
                    "relu6",
                    "leaky_relu",
                    "hard_silu",
                    "hard_swish",
                    "sigmoid",
                    "tanh",
                    "softmax",
                    None,
                )
            ],
        ],
        ids=lambda layer: layer.name,
    )
    def test_accepted(self, layer: Any) -> None:
        check_model(_model(layer))

    @pytest.mark.parametrize(
        "layer",
        [
            L.Conv1D(3, 3, strides=2, padding="same"),
            L.AveragePooling1D(2, padding="same"),
            L.MaxPooling1D(2),
            L.GlobalAveragePooling1D(),
            L.GlobalMaxPooling1D(),
            L.ZeroPadding1D(1),
            L.SpatialDropout1D(0.1),
        ],
        ids=lambda layer: layer.name,
    )
    def test_accepted_in_one_dimension(self, layer: Any) -> None:
        check_model(_model(layer, shape=(9, 3)))

    @pytest.mark.parametrize("merge", [L.Add(), L.Multiply(), L.Concatenate(), L.Concatenate(axis=1)])
    def test_accepted_merges(self, merge: Any) -> None:
        image = keras.Input((8, 8, 4))
        check_model(keras.Model(image, merge([L.ReLU()(image), image])))

    @pytest.mark.parametrize(
        ("layer", "received", "remedy"),
        [
            (L.LayerNormalization(axis=1, name="x"), "axis [1]", "axis=-1"),
            (L.Conv2DTranspose(3, 3, dilation_rate=2, name="x"), "(2, 2)", "UpSampling2D"),
            (L.EinsumDense("abcd,de->aebc", (3, 8, 8), name="x"), "abcd,de->aebc", "transpose before it"),
            (L.Masking(name="x"), "a mask", "leave it out"),
            (L.Conv2D(3, 3, dtype="mixed_float16", name="x"), "float16", "float32 policy"),
            (L.MaxPooling2D(2, data_format="channels_first", name="x"), "channels_first", "channels_last"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, L.Layer) else None,
    )
    def test_refused(self, layer: Any, received: str, remedy: str) -> None:
        text = _refusal(lambda: check_model(_model(L.ReLU(), layer)))
        assert text.startswith(f"layer 'x' ({type(layer).__name__}): ")
        assert received in text.split("received", 1)[1] and remedy in text

    def test_everything_that_is_in_the_way_is_told_at_once(self) -> None:
        model = _model(L.Masking(name="a"), L.ReLU(), L.LayerNormalization(axis=1, name="b"), L.Masking(name="c"))
        with pytest.raises(UnsupportedModelError) as error:
            check_model(model)
        assert [line.split(":")[0] for line in error.value.obstacles] == [
            "layer 'b' (LayerNormalization)",
            "layer 'a' (Masking)",
            "layer 'c' (Masking)",
        ]

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("weight", ["kernel", "bias"])
    def test_weights_that_are_not_finite(self, weight: str, value: float) -> None:
        model = _model(L.ReLU(), L.Dense(3, name="head"), shape=(4,))
        variable = getattr(model.get_layer("head"), weight)
        values = np.zeros(variable.shape)
        values.flat[1] = value
        variable.assign(values)
        text = _refusal(lambda: check_model(model), InputError)
        assert f"layer 'head' (Dense), weight '{weight}'" in text
        assert ("NaN" if np.isnan(value) else "infinity") in text

    def test_folding_that_overflows(self) -> None:
        model = _model(L.Dense(2, name="head"), L.BatchNormalization(name="norm"), shape=(4,))
        model.get_layer("head").kernel.assign(np.full((4, 2), 1e30))
        model.get_layer("norm").gamma.assign([1e30, 1e30])
        assert "layer 'head'" in _refusal(lambda: check_model(model), InputError)

    def test_negative_variance(self) -> None:
        model = _model(L.BatchNormalization(name="norm"), shape=(2,))
        model.get_layer("norm").moving_variance.assign([1.0, -1.0])
        assert "layer 'norm' (BatchNormalization)" in _refusal(lambda: check_model(model), InputError)

    def test_a_layer_that_another_model_uses_too_is_not_shared(self) -> None:
        image = keras.Input((4,))
        hidden = L.Dense(4)(image)
        full = keras.Model(image, L.Dense(2)(hidden))
        check_model(keras.Model(image, hidden))
        check_model(full)

    def test_training_mode(self) -> None:
        image = keras.Input((4,))
        model = keras.Model(image, L.BatchNormalization(name="norm")(image, training=True))
        assert "training=True" in _refusal(lambda: check_model(model))

    def test_two_outputs(self) -> None:
        image = keras.Input((4,))
        model = keras.Model(image, [L.ReLU(name="a")(image), L.Dense(2, name="b")(image)])
        assert "2 ('a', 'b')" in _refusal(lambda: check_model(model), InputError)

    def test_unknown_shape(self) -> None:
        model = _model(L.GlobalAveragePooling2D(), shape=(None, None, 3))
        assert "keras.Input((N, N, 3))" in _refusal(lambda: check_model(model), InputError)

    @pytest.mark.parametrize("options", [{"sparse": True}, {"dtype": "string"}, {"dtype": "complex64"}])
    def test_inputs_that_are_no_dense_numbers(self, options: dict[str, Any]) -> None:
        image = keras.Input((4,), **options)
        text = _refusal(lambda: flatten(keras.Model(image, L.Identity()(image))), InputError)
        assert "dense tensor of numbers" in text

    def test_unbuilt_model(self) -> None:
        assert "keras.Input" in _refusal(lambda: check_model(keras.Sequential([L.Dense(2)])), InputError)

    def test_subclassed_model(self) -> None:
        class Mine(keras.Model):
            def call(self, x: Any) -> Any:
                return x

        assert "received Mine" in _refusal(lambda: check_model(Mine()))

    def test_functional_subclass_with_its_own_call(self) -> None:
        class Mine(keras.Model):
            def call(self, x: Any) -> Any:
                return 2 * super().call(x)

        image = keras.Input((4,))
        _refusal(lambda: check_model(Mine(image, L.Dense(2)(image))))

    def test_not_a_model(self) -> None:
        _refusal(lambda: check_model("m.keras"))

    def test_a_nested_model_of_open_shape_takes_the_outer_one(self) -> None:
        inner = _model(L.Conv2D(4, 3), L.GlobalAveragePooling2D(), shape=(None, None, 3))
        check_model(_model(inner, L.Dense(2), shape=(9, 9, 3)))


class TestQuiet:
    def test_importing_the_front_end_does_not_import_tensorflow(self) -> None:
        code = "import sys, tt_tflm.frontend; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])

    def test_importing_tensorflow_says_nothing(self) -> None:
        code = "from tt_tflm.frontend.quiet import import_tensorflow; import_tensorflow().constant(1)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
        )
        assert (done.stdout, done.stderr) == ("", "")

    def test_silence_holds_for_python_and_for_descriptors(self, capfd: pytest.CaptureFixture[str]) -> None:
        with silence() as captured:
            print("from python")
            print("and stderr", file=sys.stderr)
            os.write(1, b"native out\n")
            os.write(2, b"native err\n")
        print("after")
        assert capfd.readouterr() == ("after\n", "")
        assert {"from python", "and stderr", "native out", "native err"} <= set(captured.text.splitlines())

    def test_silence_ends_with_an_exception(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(KeyError), silence():
            print("lost")
            raise KeyError
        print("after")
        assert capfd.readouterr() == ("after\n", "")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", ""),
            ("first\nsecond", "first"),
            ("Traceback\n  loc: error: no such op\nmore", "loc: error: no such op"),
            ("x" * 500, "x" * 300),
        ],
    )
    def test_most_telling_line(self, text: str, line: str) -> None:
        assert most_telling_line(text) == line


def test_loading_leaves_no_variables_to_be_made_later() -> None:
    """Sizes are checked on a model without values, to which Keras would give some in anyone's next stateless scope."""
    from keras.src.backend.common import global_state

    load_keras(STARTER)
    assert not global_state.get_global_attribute("uninitialized_variables")
