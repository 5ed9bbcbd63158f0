"""Keras callbacks, told of a training run what Keras' own ``fit`` tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kerasseq.errors import UserError

CHANGERS = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
MONITORS = (keras.callbacks.EarlyStopping, keras.callbacks.ModelCheckpoint)


def check_callbacks(callbacks: Any) -> None:
    """Makes sure that callbacks are Keras' and can do what they are for.

    Raises:
        UserError: if one is not, or it would set the learning rate.
    """
    if not isinstance(callbacks, Sequence) or not all(
        isinstance(one, keras.callbacks.Callback) for one in callbacks
    ):
        raise UserError(
            f"callbacks must be a list of keras.callbacks.Callback objects, got {callbacks!r:.200}"
        )
    for one in callbacks:
        if isinstance(one, CHANGERS):
            raise UserError(
                f"callbacks: {type(one).__name__} sets the learning rate, and callbacks observe; "
                "the settings training.learning_rate, warmup and decay do that, and are repeated "
                "by a resumed run"
            )


class Events:
    """Calls ``keras.callbacks.Callback`` objects.

    They observe. ``model.stop_training`` is honoured; whatever else they change is no part of what
    a resumed run repeats. A run that goes on calls ``on_train_begin`` again, and counts on.

    Args:
        callbacks: told in this order.
        model: that is trained; set as their ``model``.
        epochs, steps: of the run, as their ``params`` have them.
        optimizer: the model's own while it trains, as ``compile`` makes it: loggers read the
            learning rate and the count of updates from it.
        goals: whether more or less of each metric is better, for callbacks whose ``mode`` is
            ``auto``; Keras asks a compiled model's metrics.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        epochs: int,
        steps: int,
        optimizer: keras.optimizers.Optimizer,
        goals: Mapping[str, str],
    ):
        self._any, self._model, self._optimizer = bool(callbacks), model, optimizer
        self._list = keras.callbacks.CallbackList(
            list(callbacks), model=model, epochs=epochs, steps=steps, verbose=0
        )
        for one in callbacks:
            if isinstance(one, MONITORS) and one.mode == "auto":
                one.mode = goals.get(one.monitor.removeprefix("val_"), "auto")
        self._epoch: int | None = None
        self._step = 0
        self._logs: dict[str, float] = {}
        model.stop_training = False

    def __bool__(self) -> bool:
        return self._any

    @property
    def stopped(self) -> bool:
        """Whether a callback wants the training to stop."""
        return self._any and bool(self._model.stop_training)

    def begin(self) -> None:
        """Training begins, or goes on."""
        if self._any:  # past Keras' tracking: it is no part of what the model is made of
            vars(self._model)["optimizer"] = self._optimizer
        self._list.on_train_begin()

    def batch_begin(self, epoch: int, index: int) -> None:
        """An update begins, which may be an epoch's first.

        Args:
            epoch: from 0.
            index: of the update within it.
        """
        if self._epoch != epoch:
            self._epoch, self._logs = epoch, {}
            self._list.on_epoch_begin(epoch)
        self._step = index
        self._list.on_train_batch_begin(index)

    def batch_end(self, loss: float) -> None:
        """An update was made.

        Args:
            loss: the mean since the last validation.
        """
        self._logs["loss"] = loss
        self._list.on_train_batch_end(self._step, {"loss": loss})

    def validated(self, loss: float, metrics: Mapping[str, float]) -> None:
        """The validation split was scored."""
        self._list.on_test_begin()
        self._logs |= {"loss": loss, **{f"val_{name}": value for name, value in metrics.items()}}
        self._list.on_test_end(dict(metrics))

    def epoch_end(self) -> None:
        """An epoch has ended, or the run within it."""
        if self._epoch is not None:
            self._list.on_epoch_end(self._epoch, dict(self._logs))

    def end(self) -> None:
        """Training has ended."""
        self._list.on_train_end(dict(self._logs))
        vars(self._model).pop("optimizer", None)  # it is not saved with the model
