# SPDX-License-Identifier: Apache-2.0
"""Meta-training: episodic prototypical training of a backbone, so that a few samples of new classes are enough."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.boards.input_range import InputRange, InputScaling, scaling_of_pixels
from tt_tflm.errors import InputError
from tt_tflm.frontend.quiet import import_keras, silence
from tt_tflm.meta.checkpoint import clear_unfinished, load_checkpoint, save_checkpoint
from tt_tflm.meta.distribution import EpisodeArrays, Trainer, is_chief, make_strategy, schedule
from tt_tflm.meta.fake_quantization import call_fake_quantized, linear_kernels
from tt_tflm.meta.images import ImageSet, load_images
from tt_tflm.meta.logs import Logs
from tt_tflm.meta.mixed_augment import augment_episode
from tt_tflm.meta.settings import RunSettings, Settings
from tt_tflm.meta.validation import Validation, hold_out

if TYPE_CHECKING:
    import keras

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FitResult:
    """What came of a run.

    Attributes:
        model: the backbone with the weights that validated best (the last ones without validation).
        temperature: that was learned, for ``PrototypeLoss``.
        episodes: that were trained on.
        history: a row for each validation; keys ``episode``, ``loss``, ``accuracy``, ``learning_rate``,
            ``temperature``, ``validation_accuracy``, ``validation_ci95``, ``fake_quantized`` (whether the validation is
            that of weights rounded to int8) and ``seconds``. The first, episode 0, is the backbone as given.
        stopped: ``episodes``, ``minutes`` or ``patience``.
        skipped: files that could not be decoded.
    """

    model: keras.Model
    temperature: float
    episodes: int
    history: tuple[dict[str, Any], ...] = field(repr=False)
    stopped: str
    skipped: tuple[str, ...]

    @property
    def best_episode(self) -> int:
        """After how many episodes the weights of ``model`` were taken; 0 where no validation was better than that of
        the backbone as given."""
        last = self.history[-1]
        if last["validation_accuracy"] is None:
            return last["episode"]
        rows = [row for row in self.history if row["fake_quantized"] == last["fake_quantized"]]
        return max(rows, key=lambda row: row["validation_accuracy"])["episode"]


def fit(
    backbone: keras.Model,
    dataset: Any,
    settings: Settings | None = None,
    run: RunSettings | None = None,
    *,
    progress: Progress | None = None,
) -> FitResult:
    """Trains a backbone on episodes of its own: prototypical networks with cosines and a learned temperature.

    Everything random comes from (seed, number of the episode), so a run that was killed and goes on from its checkpoint
    ends with the weights of one that was not, to the bit, on the same machine. TensorFlow is set to deterministic
    operations for the whole process.

    Args:
        backbone: image in, embedding out; it is not changed.
        dataset: see ``tt_tflm.meta.images.load_images``.
        settings: what determines the result; None for the defaults.
        run: how it is come by; None for the defaults.
        progress: called with what is going on, how much is done and how much there is in all.

    Raises:
        InputError: an argument or the data is not as described, a checkpoint belongs to another run, or a file cannot
            be written.

    Example:
        >>> settings = Settings(Sampling(ways=10, shots=5), episodes=2000)
        >>> result = tt_tflm.meta.fit(backbone, "train.npz", settings)
        >>> result.model.save("ready.keras")
    """
    how = run or RunSettings()
    import_keras()
    training = _Run(backbone, dataset, settings or Settings(), how, progress)
    if how.minutes is not None:
        training.limit(how.minutes)
    if how.checkpoint is not None:
        training.keep(Path(how.checkpoint))
    return training.train(Logs(how.log_folder if training.chief else None))


class _Run:
    """A run: what it is made of, where it stands, and how it goes on."""

    def __init__(
        self,
        backbone: keras.Model,
        dataset: Any,
        settings: Settings,
        how: RunSettings,
        progress: Progress | None,
    ) -> None:
        import keras
        import tensorflow as tf

        self._strategy = make_strategy(how.strategy)
        tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(settings.seed)
        self.settings, self._every = settings, how.checkpoint_every
        self._scaling = scaling_of_pixels(backbone, how.input_scaling)
        self._tell = progress or (lambda _stage, _done, _total: None)
        self._shape = _input_shape(backbone)
        self._images = load_images(dataset, channels=self._shape[-1], skip_corrupt=how.skip_corrupt, progress=progress)
        self._images.check_scale(self._scaling)
        self._members, held_out = hold_out(self._images, settings.validation, settings.seed)
        settings.sampling.check(self._images, self._members)
        self.chief = is_chief(self._strategy)
        with self._strategy.scope(), silence():
            self.model = keras.models.clone_model(backbone)
            self.model.set_weights(backbone.get_weights())
            # A Keras variable and not TensorFlow's: the optimiser keeps moments of those alone.
            self._log_temperature = keras.Variable(np.float32(np.log(settings.temperature)), name="log_temperature")
            self._optimizer = keras.optimizers.Adam(settings.learning_rate)
            self._optimizer.build([*self.model.trainable_variables, self._log_temperature])
        self._trainer = Trainer(
            self._strategy,
            self.model,
            self._optimizer,
            self._log_temperature,
            settings.episodes_per_step,
            batch_norm_trained=settings.batch_norm == "trained",
            weight_range=settings.weight_range,
        )
        self._validation = (
            Validation(self._images, held_out, self._shape, self._scaling, settings.seed) if held_out else None
        )
        self._identity = _identity(backbone, self._images, settings, self._scaling)
        self._minutes: float | None = None
        self._checkpoint: Path | None = None
        self._episode, self._seconds, self._worse = 0, 0.0, 0
        self._history: list[dict[str, Any]] = []
        self._best = [np.array(w) for w in self.model.get_weights()]
        self._best_temperature = settings.temperature
        self._window: list[tuple[float, float]] = []

    def limit(self, minutes: float) -> None:
        """Ends the run after that time."""
        if getattr(self._strategy, "cluster_resolver", None) is not None:
            raise InputError("minutes: expected a number of episodes with strategy multiworker, whose clocks differ")
        self._minutes = float(minutes)

    def keep(self, path: Path) -> None:
        """Goes on from a checkpoint and writes further ones."""
        if not path.parent.is_dir():
            raise InputError(
                f"expected a checkpoint in an existing folder, received {path}: create {path.parent} first"
            )
        self._checkpoint = path
        if self.chief:
            clear_unfinished(path)
        if path.exists():
            self._restore(path)

    def train(self, logs: Logs) -> FitResult:
        """To the end."""
        rate = schedule(self.settings.learning_rate, self.settings.warm_up)
        started = time.monotonic() - self._seconds
        if not self._history:
            self._validate(0.0)
            logs.write(self._history)
        stopped = self._stopped()
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._step_images, self._episode)
            while stopped is None:
                episodes = coming.result()
                following = self._episode + self.settings.episodes_per_step
                coming = pool.submit(self._step_images, following)
                learning_rate = float(rate(self._progress(following)))
                fake_quantized = self._fake_quantized()
                self._window.append(self._trainer.step(episodes, learning_rate, fake_quantized=fake_quantized))
                self._seconds = time.monotonic() - started
                before, self._episode = self._episode, following
                stopped = self._stopped()
                if self._passes(before, self.settings.validate_every) or stopped:
                    self._validate(learning_rate)
                    logs.write(self._history)
                    stopped = stopped or self._stopped()
                if self._passes(before, self._every) or stopped:
                    self._save()
                self._tell(self._stage(), min(self._episode, self.settings.episodes), self.settings.episodes)
            coming.cancel()
        self.model.set_weights(self._best)
        with silence():
            import keras

            # Outside of the strategy, so that the model can be used without it.
            model = keras.models.clone_model(self.model)
            model.set_weights(self._best)
        return FitResult(
            model, self._best_temperature, self._episode, tuple(self._history), stopped, self._images.skipped
        )

    def _passes(self, before: int, every: int) -> bool:
        return self._episode // every > before // every

    def _progress(self, episode: int) -> float:
        progress = episode / self.settings.episodes
        if self._minutes is not None:
            progress = max(progress, self._seconds / (60 * self._minutes))
        return min(1.0, progress)

    def _stopped(self) -> str | None:
        # With fake quantisation, patience is counted from the first validation of rounded weights.
        counted = not self.settings.fake_quantize or (self._history and self._history[-1]["fake_quantized"])
        if counted and self.settings.patience is not None and self._worse >= self.settings.patience:
            return "patience"
        if self._episode >= self.settings.episodes:
            return "episodes"
        if self._minutes is not None and self._seconds >= 60 * self._minutes:
            return "minutes"
        return None

    def _fake_quantized(self) -> bool:
        """Whether the next step, or a validation now, is of weights rounded to int8."""
        share = self.settings.fake_quantize
        return share > 0 and self._progress(self._episode) >= 1 - share

    def _embed(self, images: np.ndarray) -> Any:
        if self._fake_quantized():
            return call_fake_quantized(self.model, linear_kernels(self.model), images, training=False)
        return self.model(images, training=False)

    def _best_accuracy(self, fake_quantized: bool) -> float:
        """Of the validations so far, with weights as they are or with rounded ones; below 0 where there is none."""
        accuracies = (row["validation_accuracy"] for row in self._history if row["fake_quantized"] == fake_quantized)
        return max((accuracy for accuracy in accuracies if accuracy is not None), default=-1.0)

    def _stage(self) -> str:
        accuracy = np.mean([accuracy for _, accuracy in self._window[-50:]]) if self._window else None
        text = f"episode {self._episode}"
        if accuracy is not None:
            text += f", training {accuracy:.1%}"
        best = self._best_accuracy(self._fake_quantized())
        return text + (f", validation {best:.1%}" if best > 0 else "")

    def _step_images(self, first: int) -> dict[int, EpisodeArrays]:
        return {i: self._episode_images(first + i) for i in self._trainer.my_episodes()}

    def _episode_images(self, number: int) -> EpisodeArrays:
        random = np.random.default_rng([self.settings.seed, 1, number])
        rows = self.settings.sampling.draw(self._members, random)
        order, labels = [], []
        for label, (support, query) in enumerate(zip(rows.support, rows.query, strict=True)):
            order += [*support, *query]
            labels += [label] * (len(support) + len(query))
        low, high = InputRange.of(self._scaling)
        images = self._images.images(order, self._shape, self._scaling)
        images = augment_episode(images, self.settings.augment, low, high, random)
        shots = np.array([len(support) for support in rows.support], np.int32)
        return images, np.array(labels, np.int32), shots

    def _validate(self, learning_rate: float) -> None:
        row: dict[str, Any] = {"episode": self._episode, "loss": None, "accuracy": None, "learning_rate": learning_rate}
        if self._window:
            row["loss"], row["accuracy"] = (float(value) for value in np.mean(self._window, axis=0))
        temperature = float(np.exp(np.asarray(self._log_temperature)))
        row |= {"temperature": temperature, "validation_accuracy": None, "validation_ci95": None}
        row |= {"fake_quantized": self._fake_quantized(), "seconds": round(self._seconds, 1)}
        self._window = []
        if self._validation is not None:
            best = self._best_accuracy(row["fake_quantized"])
            row["validation_accuracy"], row["validation_ci95"] = self._validation.accuracy(self._embed)
            self._worse = 0 if row["validation_accuracy"] > best else self._worse + 1
        if self._worse == 0:
            self._best = [np.array(weight) for weight in self.model.get_weights()]
            self._best_temperature = temperature
        self._history.append(row)

    def _save(self) -> None:
        if self._checkpoint is None or not self.chief:
            return
        groups = {
            "model": self.model.get_weights(),
            "best": self._best,
            "optimizer": [np.asarray(variable) for variable in self._optimizer.variables],
            "log_temperature": [np.asarray(self._log_temperature)],
            "window": [np.array(self._window, np.float64).reshape(-1, 2)],
        }
        arrays = {f"{group}_{i}": array for group, values in groups.items() for i, array in enumerate(values)}
        about = {
            "identity": self._identity,
            "episode": self._episode,
            "seconds": self._seconds,
            "worse": self._worse,
            "best_temperature": self._best_temperature,
            "history": self._history,
        }
        save_checkpoint(self._checkpoint, arrays, about)

    def _restore(self, path: Path) -> None:
        arrays, about = load_checkpoint(path)
        if about.get("identity") != self._identity:
            raise InputError(
                f"checkpoint {path}: expected one of this backbone, data and settings, received another's: remove it, "
                "or give another file"
            )

        def group(name: str) -> list[np.ndarray]:
            return [arrays[f"{name}_{i}"] for i in range(sum(key.rpartition("_")[0] == name for key in arrays))]

        self.model.set_weights(group("model"))
        self._best = group("best")
        for variable, value in zip(self._optimizer.variables, group("optimizer"), strict=True):
            variable.assign(value)
        self._log_temperature.assign(group("log_temperature")[0])
        self._window = [tuple(row) for row in group("window")[0].tolist()]
        self._episode, self._seconds = about["episode"], about["seconds"]
        self._worse, self._history = about["worse"], about["history"]
        self._best_temperature = about["best_temperature"]


def _input_shape(backbone: keras.Model) -> tuple[int, ...]:
    shape = tuple(backbone.input_shape[1:])
    if len(shape) != 3 or None in shape or shape[2] not in (1, 3):
        raise InputError(f"expected a backbone that takes images (H, W, 1) or (H, W, 3), received {shape}")
    return shape


def _identity(backbone: keras.Model, images: ImageSet, settings: Settings, scaling: InputScaling) -> str:
    """Of what a checkpoint may go on with: settings, scaling, labels and the backbone's weights."""
    digest = hashlib.sha256(repr(asdict(settings)).encode())
    if scaling != InputScaling():  # checkpoints have been written without it
        digest.update(repr(tuple(scaling)).encode())
    digest.update(images.labels.tobytes())
    for weight in backbone.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:32]
