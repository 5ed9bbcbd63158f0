"""The one training loop of every task: resumable at any step, on any device.

Keras' ``fit`` can resume at epochs only and restores neither random state nor the position in the
data; this loop saves all of it, so a run that was killed ends with the weights of one that was not.
"""

from __future__ import annotations

import math
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import keras
import numpy as np
import tensorflow as tf

from kerasseq.errors import UserError
from kerasseq.training.events import Events
from kerasseq.training.optimizers import make_optimizer
from kerasseq.training.progress import TrainingProgress, clock
from kerasseq.training.replicas import Replicas
from kerasseq.training.run_folder import CHECKPOINT, RunFolder
from kerasseq.training.schedule import learning_rate, replica_scale
from kerasseq.training.settings import TrainingSettings
from kerasseq.training.update import Update

AVERAGE_EVERY = 8
"""Steps between updates of the averaged weights, each with the decay of as many steps."""

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
"""What TensorFlow raises where another worker no longer answers."""

YOUNG = 64
"""Until this step they are updated at every one."""


class Batches(Protocol):
    """Training data, as the trainer sees it."""

    def epoch(self, number: int) -> Sequence[Any]:
        """What identifies each batch of an epoch; a function of the number alone."""

    def fetch(self, item: Any) -> Mapping[str, np.ndarray]:
        """The arrays of one batch."""

    def tokens(self, item: Any) -> int:
        """Tokens in one batch, padding not counted."""

    def learning_rate_scale(self, item: Any) -> float:
        """What the learning rate is multiplied by for one batch, usually 1."""


class Loss(Protocol):
    """What is minimised.

    An object with an attribute ``carried`` (a list of variables) hands values from update to
    update, such as the state of a stream; a checkpoint holds them. Their first axis is the number
    of a batch within its update; a replica reads and sets the slots of its own batches only, so
    they are made with ``synchronization=ON_READ`` and ``aggregation=SUM``.
    """

    def __call__(self, model: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """The summed loss and its weight: the gradient is that of their quotient.

        It is traced without autograph: a condition on a tensor takes ``keras.ops.cond``.
        """


Goal = Literal["max", "min"]


@dataclass(frozen=True)
class FitResult:
    """How a training run ended; the model holds the weights that are kept."""

    metrics: dict[str, float]
    """Validation metrics of the weights kept."""
    best_step: int
    steps: int
    seconds: float
    """Time in training steps and evaluations, over all processes of the run."""
    tokens_per_second: float


class InterruptedRunError(UserError):
    """The run was stopped by a signal, with a checkpoint."""

    status = 130


class LostWorkerError(UserError):
    """One of several workers died; the run has a checkpoint."""

    status = 75  # of sysexits.h: try again


class DivergedError(UserError):
    """The loss is no longer a number."""


class PrunedError(UserError):
    """Whoever watches a run has stopped it.

    Attributes:
        metrics: of the best weights so far.
    """

    def __init__(self, reason: str, metrics: dict[str, float]):
        super().__init__(reason)
        self.metrics = metrics


Watch = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Told of a run's validations (lines of ``metrics.jsonl``) after each; a reason stops the run."""


FEW, MOST, UPDATES, PATIENCE = 2, 10, 300, 3
"""Epochs of much data and of little; what is little; when training of little data stops."""


def epochs_of(steps: int) -> int:
    """How many epochs data of so many updates an epoch is trained for.

    >>> [epochs_of(steps) for steps in (6, 60, 150, 1000)]
    [10, 5, 2, 2]
    """
    return max(FEW, min(MOST, math.ceil(UPDATES / steps)))


class Trainer:
    """Trains a model on batches, inside a run folder.

    Args:
        model: built Keras model.
        loss: see :data:`Loss`.
        batches: training data.
        evaluate: validation metrics of the model as it is.
        goals: for each metric, whether more or less is better.
        settings: optimisation.
        run: an open run folder.
        watch: see :data:`Watch`.
        replicas: what trains; model and loss are made in its scope.
        callbacks: of Keras; see :class:`~kerasseq.training.events.Events`.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Loss,
        batches: Batches,
        evaluate: Callable[[], dict[str, float]],
        goals: Mapping[str, Goal],
        settings: TrainingSettings,
        run: RunFolder,
        watch: Watch | None = None,
        replicas: Replicas | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        if settings.monitor not in goals:
            raise UserError(
                f"training.monitor: no metric {settings.monitor!r}; there are {', '.join(goals)}"
            )
        self.model, self.batches, self.settings, self.run = model, batches, settings, run
        self._evaluate = evaluate
        self._watch = watch
        self._sign = 1 if goals[settings.monitor] == "max" else -1
        self._replicas = replicas or Replicas()
        with self._replicas.scope():
            self._optimizer = make_optimizer(settings)
            self._optimizer.build(model.trainable_variables)
        self._average = (
            [tf.Variable(v.value, trainable=False) for v in model.trainable_variables]
            if settings.average
            else []
        )
        self._carried = list(getattr(loss, "carried", ()))
        self._update = Update(
            model,
            loss,
            self._optimizer,
            settings.clip_norm,
            settings.optimizer == "lazy_adam",
            self._replicas,
            settings.accumulate,
            batches.fetch(batches.epoch(0)[0]),
        )
        self._parts = self._update.parts
        steps = math.ceil(len(batches.epoch(0)) / self._parts)
        self._epochs = settings.epochs or epochs_of(steps)
        small = not settings.epochs and self._epochs > FEW
        self._patience = settings.patience or PATIENCE * small
        self._total = sum(
            math.ceil(len(batches.epoch(number)) / self._parts) for number in range(self._epochs)
        )
        if settings.max_steps:
            self._total = min(self._total, settings.max_steps)
        self._events = Events(callbacks, model, self._epochs, steps, self._optimizer, goals)
        self._peak = settings.learning_rate * replica_scale(
            self._replicas.count, settings.replica_rate, settings.optimizer
        )
        self._writer: Any = None
        # everything that a resumed run needs beside the model's weights
        self.step = 0
        self._epoch = 0
        self._index = 0
        self._seconds = 0.0
        self._tokens = 0
        self._best: dict[str, Any] | None = None
        self._stale = 0

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)], autograph=False)
    def _update_average(self, keep: Any) -> None:
        for average, variable in zip(self._average, self.model.trainable_variables, strict=True):
            average.assign(variable + keep * (average - variable))

    # -- one run ---------------------------------------------------------------------------------

    def fit(self) -> FitResult:
        """Trains to the end, from the run's checkpoint if there is one.

        Raises:
            InterruptedRunError: on SIGINT or SIGTERM, after a checkpoint was written.
            PrunedError: if ``watch`` stops it.
            LostWorkerError: if one of several workers died.
            UserError: if the loss is no longer a number, or a checkpoint cannot be written.
        """
        try:
            return self._fit()
        except LOST as error:
            if self._replicas.workers == 1:
                raise
            raise LostWorkerError(
                f"another worker was lost at step {self.step}: the same command on every worker "
                f"continues from the last checkpoint ({str(error).splitlines()[0][:200]})"
            ) from None

    def _fit(self) -> FitResult:
        resumed = self._restore()
        self._replicas.check_same("step: is the run's folder one that all of them see?", self.step)
        self._replicas.spread_seeds(
            [v for v in self.model.variables if v.path.endswith("seed_generator_state")]
        )
        self._writer = (
            tf.summary.create_file_writer(str(self.run / "tensorboard"))
            if self.run.writes
            else tf.summary.create_noop_writer()
        )
        every = self.settings.evaluate_every
        with TrainingProgress(self._total, self.step) as progress, stop_signals() as stop:
            self._events.begin()
            if resumed:
                progress.say(f"resumed at step {self.step} of {self._total}")
            while self._epoch < self._epochs and not self._exhausted():
                items = self.batches.epoch(self._epoch)
                while self._index < len(items) and self.step < self._total:
                    self._train_on(items[self._index : self._index + self._parts], progress)
                    if every and self.step % every == 0:
                        self._validate(progress)
                    if self._exhausted():
                        break
                    if self._is_to_stop(stop):
                        self._save()
                        where = " on every worker" * (self._replicas.workers > 1)
                        raise InterruptedRunError(
                            f"stopped at step {self.step} of {self._total}; "
                            f"the same command{where} continues from there"
                        )
                    if self.step % self.settings.checkpoint_every == 0:
                        self._save()
                last = self.step == self._total  # max_steps may end within an epoch
                if not every or ((last or self._events.stopped) and self.step % every):
                    self._validate(progress)
                self._events.epoch_end()
                self._epoch, self._index = self._epochs if last else self._epoch + 1, 0
            self._events.end()
        self._writer.close()
        assert self._best is not None
        if self.run.writes:  # a worker that is not the chief may be too late to read it
            kept = self.run.load_arrays(_best_name(self._best["step"]))
            assert kept is not None
            _assign(self.model.variables, kept[0], "model")
        self._replicas.from_chief([0.0])  # none ends before all have come here
        return FitResult(
            self._best["metrics"],
            self._best["step"],
            self.step,
            round(self._seconds, 1),
            round(self._tokens / max(self._seconds, 1e-9), 1),
        )

    def _is_to_stop(self, stop: threading.Event) -> bool:
        """Whether this process was told to stop, or another worker: they all save the same step."""
        if self._replicas.workers == 1:
            return stop.is_set()
        if stop.is_set():
            self._update.asks.assign(1.0)
        return float(self._update.asked) > 0

    def lines(self) -> list[str]:
        """How long training is, where the data says it, and what an update is made of, where it is
        more than a batch; for people."""
        replicas, accumulate = self._replicas.count, self.settings.accumulate
        lines = []
        if not self.settings.epochs:
            stops = f", until {self._patience} evaluations bring no improvement" * (
                self._patience > 0
            )
            lines.append(
                f"length: {self._epochs} epochs, {self._total:,} updates{stops} (training.epochs 0)"
            )
        if self._parts == 1:
            return lines
        scale = self._peak / self.settings.learning_rate
        return [
            *lines,
            f"update: of {self._parts} batches ({replicas} replicas, {accumulate} on each; the "
            f"learning rate is multiplied by {scale:.3g}, training.replica_rate)",
        ]

    def _exhausted(self) -> bool:
        return 0 < self._patience <= self._stale or self._events.stopped

    def _train_on(self, items: Sequence[Any], progress: TrainingProgress) -> None:
        start = time.perf_counter()
        settings = self.settings
        rate = learning_rate(
            self.step,
            peak=self._peak,
            total=self._total,
            warmup=round(settings.warmup * self._total),
            decay=settings.decay,
        ) * statistics.fmean(map(self.batches.learning_rate_scale, items))
        if self._events:
            self._events.batch_begin(self._epoch, self._index // self._parts)
        self._update([partial(self.batches.fetch, item) for item in items], rate)
        self.step += 1
        every = 1 if self.step <= YOUNG else AVERAGE_EVERY
        if self._average and self.step % every == 0:
            # a young average follows the weights closely, or it would remember the initial ones
            keep = min(settings.average**every, self.step / (9 * every + self.step))
            self._update_average(tf.constant(keep))
        self._index += len(items)
        tokens = sum(map(self.batches.tokens, items))
        self._tokens += tokens
        if self.step % 10 == 0 or self.step == 1 or self._events:
            self._loss = self._read_loss()
        if self._events:
            self._events.batch_end(self._loss)
        self._seconds += time.perf_counter() - start
        progress.step(self.step, f"{self._epoch + 1}/{self._epochs}", tokens, self._loss)

    def _read_loss(self) -> float:
        total, weight = self._update.sums.numpy()
        loss = float(total / weight) if weight else math.nan
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss is {loss} at step {self.step}: try a lower training.learning_rate or "
                "training.clip_norm"
            )
        return loss

    def _validate(self, progress: TrainingProgress) -> None:
        start = time.perf_counter()
        loss = self._read_loss()
        self._update.sums.assign([0.0, 0.0])
        with self._averaged():
            metrics = self._evaluate()
            # machines may differ in the last bits, and must not differ in what they do next
            values = self._replicas.from_chief(list(metrics.values()))
            metrics = dict(zip(metrics, values, strict=True))
            if self.settings.monitor not in metrics:
                raise UserError(
                    f"training.monitor: the validation split has no {self.settings.monitor!r}; it "
                    f"has {', '.join(metrics)}"
                )
            value = metrics[self.settings.monitor]
            better = (
                self._best is None
                or math.isnan(self._best["value"])
                or self._sign * (value - self._best["value"]) > 0
            )
            if better:
                self._best = {"value": value, "step": self.step, "metrics": metrics}
                # under its own name: the last checkpoint may need the one before
                name = _best_name(self.step)
                self.run.save_arrays(name, _arrays(self.model.variables, "model"), self._best)
        self._events.validated(loss, metrics)
        self._stale = 0 if better else self._stale + 1
        spent = time.perf_counter() - start
        self._seconds += spent
        progress.pause(spent)
        record = {
            "step": self.step,
            "epoch": round(self._epoch + self._index / len(self.batches.epoch(self._epoch)), 3),
            "loss": round(loss, 5),
            **{f"validation_{name}": round(value, 5) for name, value in metrics.items()},
            "learning_rate": float(self._optimizer.learning_rate.numpy()),
            "seconds": round(self._seconds, 1),
            "tokens": self._tokens,
        }
        self.run.log(record)
        with self._writer.as_default(step=self.step):
            for name, value in record.items():
                if name not in ("step", "epoch"):
                    tf.summary.scalar(name, value)
        self._writer.flush()
        shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        progress.say(
            f"  epoch {record['epoch']:g}  loss {loss:.4f}  validation: {shown}  "
            f"{'*' if better else ' '} {clock(self._seconds)}"
        )
        if self._watch and self.step < self._total and (reason := self._watch(self.run.history())):
            assert self._best is not None
            raise PrunedError(reason, self._best["metrics"])

    # -- state -----------------------------------------------------------------------------------

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with the averaged weights."""
        variables = self.model.trainable_variables if self._average else []
        current = [v.numpy() for v in variables]
        for variable, average in zip(variables, self._average, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(variables, current, strict=True):
                variable.assign(value)

    def _state(self) -> dict[str, Sequence[Any]]:
        return {
            "model": self.model.variables,  # random seed generators included
            "optimizer": self._optimizer.variables,
            "average": self._average,
            "sums": [self._update.sums],
        }

    def _save(self) -> None:
        arrays: dict[str, np.ndarray] = {}
        for name, variables in self._state().items():
            arrays |= _arrays(variables, name)
        for i, variable in enumerate(self._carried):
            arrays[f"carried/{i}"] = self._replicas.own_slots(variable)
        self.run.save_arrays(
            CHECKPOINT,
            arrays,
            {
                "step": self.step,
                "epoch": self._epoch,
                "index": self._index,
                "seconds": self._seconds,
                "tokens": self._tokens,
                "best": self._best,
                "stale": self._stale,
                "records": len(self.run.history()),
                "replicas": self._replicas.count,
            },
        )
        self._forget_other_best()

    def _forget_other_best(self) -> None:
        if not self.run.writes:
            return
        keep = self._best and _best_name(self._best["step"])
        for path in self.run.path.glob("best-*.npz"):
            if path.name != keep:
                path.unlink()

    def _restore(self) -> bool:
        self._loss = math.nan
        stored = self.run.load_arrays(CHECKPOINT)
        self.run.keep_history(stored[1]["records"] if stored else 0)
        if stored is None:
            return False
        arrays, state = stored
        if state["replicas"] != self._replicas.count:
            raise UserError(
                f"{self.run.path} was trained on {state['replicas']} replicas, here are "
                f"{self._replicas.count}: an update would be another one (device.replicas)"
            )
        for name, variables in self._state().items():
            _assign(variables, arrays, name)
        for i, variable in enumerate(self._carried):
            self._replicas.assign_own_slots(variable, arrays[f"carried/{i}"])
        self.step, self._epoch, self._index = state["step"], state["epoch"], state["index"]
        self._seconds, self._tokens = state["seconds"], state["tokens"]
        self._best, self._stale = state["best"], state["stale"]
        self._forget_other_best()
        if self._update.sums.numpy()[1]:
            self._loss = self._read_loss()
        return True


def _best_name(step: int) -> str:
    return f"best-{step}.npz"


def _arrays(variables: Sequence[Any], prefix: str) -> dict[str, np.ndarray]:
    return {f"{prefix}/{i}": variable.numpy() for i, variable in enumerate(variables)}


def _assign(variables: Sequence[Any], arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"{prefix}/{i}"])


_STOPS: list[threading.Event] = []
"""The event of the outermost :func:`stop_signals` that runs."""


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that a step is never cut in half; within another
    such block, its event. A second signal interrupts at once."""
    if _STOPS:
        yield _STOPS[0]
        return
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: Any) -> None:
        if stop.is_set():  # asked twice
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    _STOPS.append(stop)
    try:
        yield stop
    finally:
        _STOPS.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
