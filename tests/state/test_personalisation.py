# SPDX-License-Identifier: Apache-2.0
"""Saved states in Python, and trained rows back in Keras."""

import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.fixed_nets import small_classifier, small_embedding, small_inputs

import tt_tflm
from tt_tflm.errors import InputError
from tt_tflm.program.static import import_model
from tt_tflm.state.personalisation import (
    Personalisation,
    SavedLayer,
    find_states,
    load_states,
    merge,
    newest,
    save_model,
)

kl = keras.layers


def random_state(seed: int, sequence: int = 1, prototypes: bool = True) -> Personalisation:
    draw = np.random.default_rng(seed)
    layers = []
    for number in range(int(draw.integers(1, 5))):
        channels = tuple(int(c) for c in np.flatnonzero(draw.random(6) < 0.5))
        rows = draw.normal(size=(len(channels), 2 * int(draw.integers(1, 5)))).astype(np.float32)
        layers.append(SavedLayer(3 * number, channels, rows))
    sums = draw.normal(size=(3, 4)).astype(np.float32) if prototypes else None
    counts = np.array([2, 0, 1], np.uint32) if prototypes else None
    return Personalisation("0123456789abcdef", sequence, 40, tuple(layers), sums, counts)


@pytest.mark.parametrize("prototypes", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_what_is_written_is_read_again(seed, prototypes):
    state = random_state(seed, prototypes=prototypes)
    data = state.to_bytes()
    again = Personalisation.from_bytes(data + b"behind it")
    assert again.to_bytes() == data
    assert again.plan_fingerprint == state.plan_fingerprint
    for ours, theirs in zip(state.layers, again.layers, strict=True):
        assert ours.channels == theirs.channels
        np.testing.assert_array_equal(ours.rows, theirs.rows)
    assert (again.sums is None) == (not prototypes)


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_damage_is_noticed(data):
    state = random_state(1).to_bytes()
    spoilt = bytearray(state[: data.draw(st.integers(0, len(state)))])
    if len(spoilt) == len(state):
        spoilt[data.draw(st.integers(0, len(state) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InputError, match="expected"):
        Personalisation.from_bytes(bytes(spoilt))


def test_both_slots_of_a_storage_are_found_wherever_they_begin():
    old, new = random_state(2, sequence=8), random_state(3, sequence=9)
    dump = old.to_bytes().ljust(4096, b"\xff") + b"TTPS" + b"\xff" * 60 + new.to_bytes() + b"\xff" * 100
    found = find_states(dump)
    assert list(found) == [0, 4096 + 64]
    assert newest(list(found.values())).sequence == 9


@pytest.mark.parametrize(("first", "second", "expected"), [(1, 2, 2), (2, 1, 2), (2**32 - 1, 0, 0), (0, 2**32 - 1, 0)])
def test_the_newest_is_told_by_its_sequence_round_the_corner_too(first, second, expected):
    assert newest([random_state(1, first), random_state(1, second)]).sequence == expected


def test_a_file_without_a_state_is_refused_with_the_reason(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_states(tmp_path / "missing.bin")
    for content, reason in ((b"nothing", "it begins with TTPS"), (random_state(1).to_bytes()[:-1], "cut off")):
        (tmp_path / "state.bin").write_bytes(content)
        with pytest.raises(InputError, match=reason):
            load_states(tmp_path / "state.bin")


def norms_of_every_kind() -> keras.Model:
    """Batch norms without gamma, without beta, two in a row, behind a bias, and with a gamma of zero."""
    model = keras.Sequential(
        [
            keras.Input((8, 7, 3)),
            kl.Conv2D(6, 3, use_bias=False, name="plain"),
            kl.BatchNormalization(scale=False, name="no_gamma"),
            kl.ReLU(),
            kl.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
            kl.BatchNormalization(center=False, name="no_beta"),
            kl.BatchNormalization(name="second"),
            kl.ReLU(),
            kl.SeparableConv2D(5, 2, name="separable"),
            kl.BatchNormalization(center=False, name="behind_separable"),
            kl.ReLU(),
            kl.Conv2D(4, 1, name="pointwise"),
            kl.BatchNormalization(name="hiding"),
            kl.GlobalAveragePooling2D(),
            kl.Dense(5, name="dense"),
            kl.BatchNormalization(name="last"),
        ]
    )
    draw = np.random.default_rng(5)
    for layer in model.layers:
        values = [draw.normal(size=w.shape) for w in layer.weights]
        if isinstance(layer, kl.BatchNormalization):
            values[-1] = 0.2 + draw.random(values[-1].shape)
        layer.set_weights(values)
    gamma = model.get_layer("hiding").gamma.numpy()
    gamma[1] = 0
    model.get_layer("hiding").gamma.assign(gamma)
    return model


def trained_state(model: keras.Model, seed: int = 0) -> tuple[Personalisation, dict[str, np.ndarray]]:
    """A state in which some rows of every layer have changed, and all rows as they are then."""
    draw, imported = np.random.default_rng(seed), import_model(model)
    layers, after = [], {}
    for number, (layer, base) in enumerate(zip(imported.layers, imported.rows, strict=True)):
        channels = tuple(int(c) for c in np.flatnonzero(draw.random(layer.channels) < 0.6)) or (0,)
        rows = base.copy()
        width = layer.row_length + int(layer.bias)
        rows[list(channels), :width] += 0.1 * draw.normal(size=(len(channels), width)).astype(np.float32)
        layers.append(SavedLayer(number, channels, rows[list(channels)]))
        after[layer.name] = rows
    return Personalisation(imported.fingerprint, 1, 40, tuple(layers)), after


def test_a_merged_model_folds_to_the_rows_of_the_state():
    model = norms_of_every_kind()
    state, expected = trained_state(model)
    merge(model, state)
    merged = import_model(model)
    for layer, rows in zip(merged.layers, merged.rows, strict=True):
        np.testing.assert_allclose(rows, expected[layer.name], rtol=2e-5, atol=2e-6, err_msg=layer.name)


def test_channels_that_were_not_trained_keep_their_bits():
    model, before = small_embedding(), small_embedding()
    state, _ = trained_state(model)
    only = dataclasses.replace(state.layers[0], channels=(2,), rows=state.layers[0].rows[:1])
    merge(model, dataclasses.replace(state, layers=(only,)))
    changed = [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before.get_weights(), strict=True)]
    kernel, untouched = model.get_layer("conv").kernel.numpy(), before.get_layer("conv").kernel.numpy()
    assert sum(changed) == 2
    assert np.array_equal(np.delete(kernel, 2, -1), np.delete(untouched, 2, -1))
    assert not np.array_equal(kernel, untouched)


def test_the_state_of_another_model_is_refused():
    state, _ = trained_state(small_classifier())
    model, before = small_embedding(), small_embedding().get_weights()
    with pytest.raises(InputError, match="merge it into the model that was converted"):
        merge(model, state)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_a_board_a_merged_keras_model_and_its_tflite_agree(tmp_path):
    import tensorflow as tf

    model, x, labels = small_embedding(), small_inputs(6), np.arange(6) % 3
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(classes=3), tt_tflm.SGD(0.05)
    converter.plan = tt_tflm.UpdatePlan({"conv": "all", "embedding": [1, 3]})
    with converter.convert().simulate() as board:
        for sample, label in zip(x, labels, strict=True):
            board.enroll(sample, int(label))
        for sample, label in zip(x, labels, strict=True):
            board.train_step(sample, int(label))
        expected = np.stack([board.embedding(sample) for sample in x])
        state = Personalisation.from_bytes(board.save())
    assert np.abs(model(x).numpy() - expected).max() > 1e-2, "nothing was learned"
    merge(model, state)
    save_model(model, tmp_path / "personal.keras")
    save_model(model, tmp_path / "personal.tflite")
    scale = np.abs(expected).max()
    reloaded = keras.saving.load_model(tmp_path / "personal.keras")
    assert np.abs(reloaded(x).numpy() - expected).max() <= 1e-5 * scale
    with pytest.warns(UserWarning):
        interpreter = tf.lite.Interpreter(str(tmp_path / "personal.tflite"))
    interpreter.allocate_tensors()
    for sample, embedding in zip(x, expected, strict=True):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample[None])
        interpreter.invoke()
        output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        assert np.abs(output - embedding).max() <= 1e-5 * scale
    with pytest.raises(InputError, match=r"\.keras or \.tflite"):
        save_model(model, tmp_path / "personal.h5")
