# SPDX-License-Identifier: Apache-2.0
"""What becomes of a model of the zoo: converted through the public interface, run and trained, and compared with Keras.

A model converts when the build's output is that of Keras to 1e-4, and one step of SGD moves the first, the middle and
the last trainable layer as tf.GradientTape says, to 1e-3; in int8, when its output is that of TensorFlow Lite's
reference kernels, and those layers move. Otherwise its outcome is the one line that refuses it; whatever else happens
is a fault.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from int8.straight_through import StraightThrough
from oracle.boards import check_updates, relative_error

import tt_tflm
from tt_tflm.devices import DeviceProfile
from tt_tflm.program.quantization import quantized
from zoo.registry import CLASS_SCORES, ZooModel
from zoo.rows import Row, UnknownRowError, match_rows
from zoo.weights import batch, make_model

CONVERTS = "converts"
FORWARD_TOLERANCE = 1e-4
UPDATE_TOLERANCE = 1e-3
TEMPERATURE = 10.0
_CANDIDATES = 4
# Where a change of weights in the last bit changes a gradient by more, a ReLU or a maximum is about to turn.
_CALM = 1e-4
_RESTLESS = 5e-4
_NORM_FLOOR = 1e-6


@dataclass(frozen=True)
class Way:
    """How a model is built and run.

    Attributes:
        name: column of the table.
        device: the build's target, and where it is simulated.
        precision, backend: as the converter has them.
    """

    name: str
    device: str = "host"
    precision: str = "float32"
    backend: str = "c"


WAYS = (
    Way("host"),
    Way("M7", device="cortex-m7"),
    Way("int8", precision="int8"),
    Way("TFLM", backend="tflm"),
)
HOST = WAYS[0]


@dataclass(frozen=True)
class Outcome:
    """What became of a model.

    Attributes:
        kind: "converts", "refused" or "wrong": the last is never right.
        message: why, if it does not convert.
        forward: error of the output, relative to its scale.
        update: largest error of a tensor's change, relative to its largest change; 0 where that is not compared.
        trained: the layers that were.
        seconds: it took.
    """

    kind: str
    message: str = ""
    forward: float = 0.0
    update: float = 0.0
    trained: tuple[str, ...] = ()
    seconds: float = 0.0


def judge(entry: ZooModel, way: Way = HOST) -> Outcome:
    """Convert, run, train and compare one model."""
    started = time.perf_counter()
    model = make_model(entry)
    try:
        outcome = _compare(entry, way, model)
    except tt_tflm.TinyTrainError as error:
        outcome = Outcome("refused", str(error))
    except (AssertionError, UnknownRowError) as error:
        outcome = Outcome("wrong", str(error).splitlines()[0] if str(error) else type(error).__name__)
    except Exception as error:  # whatever a user would see as a traceback
        outcome = Outcome("wrong", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return replace(outcome, seconds=time.perf_counter() - started)


def _compare(entry: ZooModel, way: Way, model: keras.Model) -> Outcome:
    rng = np.random.default_rng(zlib.crc32(entry.name.encode()) + 1)
    objective = Objective(entry, model, rng)
    converter = tt_tflm.TrainableConverter.from_keras_model(model, output=entry.head)
    converter.target, converter.precision, converter.backend = way.device, way.precision, way.backend
    converter.input_scaling = _scaling(entry)
    converter.loss = tt_tflm.PrototypeLoss(2, TEMPERATURE) if objective.enrolled else tt_tflm.SoftmaxLoss()
    if way.precision == "int8":
        converter.representative_data = np.asarray(batch(entry, model, rng, 8)[0], np.float32)
    layers = [layer.name for layer in converter.layers]
    trained = tuple(dict.fromkeys((layers[0], layers[len(layers) // 2], layers[-1])))
    converter.plan = tt_tflm.UpdatePlan(layers=dict.fromkeys(trained, "all"))
    converter.optimizer = tt_tflm.SGD(1.0)
    with _board(converter, way, objective) as board:
        before = board.weights()
        # Rows of int8 codes are no longer Keras' own, and their gradients are those of another function.
        rows = {} if way.precision == "int8" else match_rows(model, list(trained), before)
        sample, noise = objective.calm_sample(rows) if rows else (objective.any_sample(), {})
        gradients = objective.gradients(sample, rows)
        rate = _speaking_rate(gradients, before)
        board.set_learning_rate(rate)
        x, label = _flat(sample[0]), sample[1]
        output = board.embedding(x) if objective.enrolled else board.predict(x)
        expected = objective.output(sample[0]) if rows else _output_of_codes(entry, converter, x)
        forward = relative_error(output, expected)
        assert forward <= FORWARD_TOLERANCE, f"forward: off by {forward:.2g} of {np.max(np.abs(expected)):.3g}"
        board.train_step(x, label)
        after = board.weights()
    _check_moved(before, after, trained)
    update = _update_error(before, after, gradients, rate, noise) if rows else 0.0
    return Outcome(CONVERTS, forward=forward, update=update, trained=trained)


def _output_of_codes(entry: ZooModel, converter: tt_tflm.TrainableConverter, x: np.ndarray) -> np.ndarray:
    """What TensorFlow Lite's reference kernels make of a sample: how far int8 is from Keras says nothing of nets that
    were never trained."""
    content = quantized(converter._import_float(), converter.representative_data)[1]
    output = StraightThrough(content).output(x)
    return tf.nn.softmax(output).numpy() if entry.output == "softmax" else output


def _check_moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray], trained: tuple[str, ...]) -> None:
    moved = {key.rsplit("/", 1)[0] for key, value in after.items() if np.any(value != before[key])}
    assert all(np.all(np.isfinite(value)) for value in after.values()), "training: weights that are not finite"
    assert moved and moved <= set(trained), f"training: moved {sorted(moved)}, asked for {sorted(trained)}"


def _update_error(
    before: dict[str, np.ndarray],
    after: dict[str, np.ndarray],
    gradients: dict[str, np.ndarray],
    rate: float,
    noise: dict[str, float],
) -> float:
    """The largest error of a change, relative to its tensor's largest; refuses what TensorFlow does not say."""
    changes = {key: after[key] - before[key] for key in gradients}
    expected = {key: -rate * value.reshape(before[key].shape) for key, value in gradients.items()}
    allowed = {key: rate * value for key, value in noise.items()}
    check_updates(changes, expected, before, allowed, tolerance=UPDATE_TOLERANCE)
    return max(relative_error(changes[key], expected[key]) for key in _speaking(gradients))


@contextmanager
def _board(converter: tt_tflm.TrainableConverter, way: Way, objective: Objective) -> Iterator:
    build = converter.convert()
    with _quick_compiler(way):
        board = build.simulate(device="tflm" if way.backend == "tflm" else way.device)
    with board:
        for label, x in enumerate(objective.enrolled):
            board.enroll(_flat(x), label)
        yield board


@contextmanager
def _quick_compiler(way: Way) -> Iterator[None]:
    """On the host, where each program runs three times: optimising it takes longer than all else."""
    flags = DeviceProfile.compile_flags
    own = () if way.device != "host" else ("-O1",)
    with mock.patch.object(DeviceProfile, "compile_flags", lambda self, kernel: (*flags(self, kernel=kernel), *own)):
        yield


def _scaling(entry: ZooModel) -> tuple[float, float]:
    """That by which pixels of 0 to 255 come to lie in the range of a model's input."""
    return ((entry.high - entry.low) / 255, entry.low)


def _speaking_rate(gradients: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> float:
    """A power of two by which every gradient moves its weights by about their size, so that subtracting weights does
    not round the update away."""
    ratios = [float(np.max(np.abs(weights[key])) / np.max(np.abs(gradients[key]))) for key in _speaking(gradients)]
    return float(np.clip(2.0 ** np.round(np.log2(max(ratios, default=2.0**-4))), 2.0**-10, 2.0**14))


def _speaking(gradients: dict[str, np.ndarray]) -> list[str]:
    """Tensors whose gradient is more than rounding: that of a bias before a softmax over keys is a sum of zero."""
    largest = {key: float(np.max(np.abs(gradient))) for key, gradient in gradients.items()}
    return [key for key, value in largest.items() if value > 1e-6 * max(largest.values())]


class Objective:
    """What a model is trained for, as TensorFlow computes it: classes, or prototypes of two enrolled samples."""

    def __init__(self, entry: ZooModel, model: keras.Model, rng: np.random.Generator) -> None:
        self._model = model
        self._entry = entry
        heads = [tensor._keras_history.operation.name for tensor in model.outputs]
        self._head = heads.index(entry.head) if entry.head else None
        samples = batch(entry, model, rng, _CANDIDATES + 2)
        self._samples = [_sample(samples, i) for i in range(_CANDIDATES)]
        self.enrolled = [] if entry.output in CLASS_SCORES else [_sample(samples, i) for i in (-1, -2)]
        self._prototypes = [self._direction(self._output(x)) for x in self.enrolled]

    def output(self, x) -> np.ndarray:
        """Of the model, flat."""
        return self._output(x).numpy()

    def any_sample(self) -> tuple[object, int]:
        """A sample, and the label that is furthest from it."""
        return self._samples[0], int(np.argmin(self._scores(self._samples[0])))

    def calm_sample(self, rows: dict[str, Row]) -> tuple[tuple[object, int], dict[str, float]]:
        """The sample whose gradient is least disturbed by a change of weights in their last bits, and its label; and by
        how much each tensor's gradient is."""
        best, calmest = None, np.inf
        for x in self._samples:
            sample = (x, int(np.argmin(self._scores(x))))
            calm, noise = self._disturbance(sample, rows)
            if calm < calmest:
                best, calmest = (sample, noise), calm
            if calm < _CALM:
                break
        # Beyond that, what is allowed for it would hide a fault.
        assert best is not None and calmest <= _RESTLESS, f"harness: gradients that rounding changes by {calmest:.1g}"
        return best

    def gradients(self, sample: tuple[object, int], rows: dict[str, Row]) -> dict[str, np.ndarray]:
        """Of the loss with respect to the board's tensors."""
        x, label = sample
        sources = {key: row.variable.value for key, row in rows.items()}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(sources.values()))
            loss = -self._log_scores(x)[label]
        found = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return {key: row.gradient(_dense(found[key])) for key, row in rows.items()}

    def _disturbance(self, sample: tuple[object, int], rows: dict[str, Row]) -> tuple[float, dict[str, float]]:
        rng = np.random.default_rng(0)
        calm = self.gradients(sample, rows)
        if not all(np.all(np.isfinite(value)) for value in calm.values()):
            return np.inf, {}
        variables = {id(variable): variable for variable in self._model.trainable_variables}
        variables.update({id(row.variable): row.variable for row in rows.values()})
        kept = [(variable, variable.numpy()) for variable in variables.values()]
        for variable, value in kept:
            variable.assign(value * (1 + 1e-6 * rng.uniform(-1, 1, value.shape)))
        disturbed = self.gradients(sample, rows)
        for variable, value in kept:
            variable.assign(value)
        noise = {key: float(np.max(np.abs(disturbed[key] - calm[key]))) for key in rows}
        return max((noise[key] / float(np.max(np.abs(calm[key]))) for key in _speaking(calm)), default=np.inf), noise

    def _output(self, x) -> tf.Tensor:
        batched = [array[None] for array in x] if isinstance(x, list) else x[None]
        output = self._model(batched, training=False)
        return tf.reshape(output if self._head is None else output[self._head], [-1])

    def _direction(self, embedding: tf.Tensor) -> tf.Tensor:
        return embedding / tf.maximum(tf.norm(embedding), _NORM_FLOOR)

    def _log_scores(self, x) -> tf.Tensor:
        output = self._output(x)
        if self._prototypes:
            output = TEMPERATURE * tf.linalg.matvec(tf.stack(self._prototypes), self._direction(output))
        return tf.math.log(output) if self._entry.output == "softmax" else tf.nn.log_softmax(output)

    def _scores(self, x) -> np.ndarray:
        return self._log_scores(x).numpy()


def _sample(samples: list[np.ndarray], index: int):
    """One sample: an array, or a list of them where the model has several inputs."""
    return [array[index] for array in samples] if len(samples) > 1 else samples[0][index]


def _flat(sample) -> np.ndarray:
    """A sample as boards take it: float32, and those of several inputs flat, one behind the other."""
    joined = np.concatenate([x.ravel() for x in sample]) if isinstance(sample, list) else sample
    return joined.astype(np.float32)


def _dense(gradient) -> np.ndarray:
    return tf.convert_to_tensor(gradient).numpy().astype(np.float64)
