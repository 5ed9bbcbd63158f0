"""The copies of a model that train side by side, on this machine and on others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasseq.errors import UserError

_STRATEGIES: dict[tuple[str, int], Any] = {}
"""Those made so far: a process can make one of a kind."""


class Replicas:
    """Copies of a model, and what they do together.

    Args:
        strategy: a ``tf.distribute`` strategy; None for one copy.

    Attributes:
        count: copies on all machines.
        local: copies on this machine.
        first: number of the first of these.
        workers: machines.
        chief: whether this process is the one that writes.
    """

    def __init__(self, strategy: Any = None):
        self._strategy = strategy or tf.distribute.get_strategy()
        resolver = self._strategy.cluster_resolver
        worker = resolver.task_id if resolver and resolver.task_id is not None else 0
        self.workers = len(resolver.cluster_spec().as_dict()["worker"]) if resolver else 1
        self.count = self._strategy.num_replicas_in_sync
        self.local = self.count // self.workers
        self.first = worker * self.local
        self.chief = worker == 0

    @classmethod
    def of(cls, kind: str, count: int) -> Replicas:
        """Copies as a device plan wants them.

        Args:
            kind: ``one_device``, ``mirrored`` or ``multi_worker``.
            count: copies on all machines.
        """
        if kind == "one_device":
            return cls()
        if (kind, count) not in _STRATEGIES:
            if kind == "multi_worker":
                strategy = tf.distribute.MultiWorkerMirroredStrategy()
            else:
                device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
                strategy = tf.distribute.MirroredStrategy([f"{device}:{i}" for i in range(count)])
            _STRATEGIES[kind, count] = strategy
        made = cls(_STRATEGIES[kind, count])
        if made.count != count:
            raise UserError(f"TensorFlow makes {made.count} replicas, where {count} were planned")
        return made

    def scope(self) -> AbstractContextManager:
        """In which variables are made that every copy has."""
        return self._strategy.scope()

    def run(self, function: Callable[[int], Any]) -> Any:
        """Calls a function on each copy of this machine.

        Args:
            function: takes the number of the copy on this machine. What it returns must be the
                same for all copies; see :meth:`sum`.

        Returns:
            What the first of them returned.
        """

        def on_replica() -> Any:
            context = tf.distribute.get_replica_context()
            return function(tf.get_static_value(context.replica_id_in_sync_group) - self.first)

        if tf.executing_eagerly():
            return tf.function(lambda: self.run(function), autograph=False)()
        results = self._strategy.run(on_replica)
        return tf.nest.map_structure(
            lambda value: self._strategy.experimental_local_results(value)[0], results
        )

    def sum(self, values: Any) -> Any:
        """The sum over all copies, on each of them; to be called in :meth:`run`.

        Args:
            values: tensors and ``tf.IndexedSlices``, nested.
        """
        if self.count == 1:
            return values
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

    def own_slots(self, variable: tf.Variable) -> np.ndarray:
        """The value of a variable whose slots belong to the copies in turn (see
        :class:`kerasseq.training.trainer.Loss`), put together from all of them."""
        return tf.convert_to_tensor(variable).numpy()

    def assign_own_slots(self, variable: tf.Variable, value: np.ndarray) -> None:
        """Sets such a variable; each copy gets its slots, and zeros for those of others."""

        def assign(number: int) -> None:
            mine = np.arange(len(value)) % self.count == self.first + number
            variable.assign(value * mine.reshape(-1, *[1] * (value.ndim - 1)).astype(value.dtype))

        self.run(assign)

    def spread_seeds(self, seeds: Sequence[keras.Variable]) -> None:
        """Gives each copy random states of its own, from equal ones; or all would drop the same."""
        if self.count > 1:

            def spread(number: int) -> None:
                for seed in seeds:
                    other = np.array([self.first + number, 0])
                    seed.value.assign_add(tf.cast(other, seed.value.dtype))

            self.run(spread)

    def from_chief(self, values: Sequence[float]) -> list[float]:
        """What the chief gives here, on all machines; they wait for one another."""
        if self.workers == 1:
            return list(values)
        given = np.array(values, np.float64)

        def said(number: int) -> Any:  # by one copy of the chief's machine; others may have nan
            speaks = self.chief and number == 0
            return self.sum(tf.constant(given if speaks else np.zeros_like(given)))

        return self.run(said).numpy().tolist()

    def check_same(self, what: str, value: Any) -> None:
        """Makes sure that all machines have the same here.

        Raises:
            UserError: on every machine, if one differs from the chief.
        """
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
        number = float(int.from_bytes(digest[:6]))
        differs = float(self.from_chief([number]) != [number])
        if self.workers > 1:
            alone = self.run(lambda n: self.sum(tf.constant(differs * (n == 0), tf.float64)))
            if float(alone):
                raise UserError(f"the workers of TF_CONFIG differ in their {what}")
