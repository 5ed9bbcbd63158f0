"""One update of a model's weights, from the gradients of one batch or of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasseq.training.optimizers import added, clipped, merged, scaled
from kerasseq.training.replicas import Replicas

Arrays = Mapping[str, np.ndarray]


class Update:
    """Updates weights as for one large batch, put together from those that it is given.

    The gradient of a sum of losses is the sum of their gradients, so batches on several replicas,
    and several on each, one after the other, make the same update as all of them at once: the
    sum of the losses' gradients over the sum of their weights.

    Args:
        model: built within the replicas' scope.
        loss: see :class:`kerasseq.training.trainer.Loss`.
        optimizer: built.
        norm: largest global norm of the gradient.
        sparse: whether the optimiser takes sparse gradients.
        replicas: what trains.
        accumulate: batches on each replica.
        example: arrays of some batch.

    Attributes:
        parts: batches of a full update.
        sums: summed losses and weights of all updates, until it is set to 0.
        asks: whether this process is to stop, which the others learn from the next update.
        asked: whether any of them was, in the last update: the same on all.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Callable[[Any, Mapping[str, Any]], tuple[Any, Any]],
        optimizer: keras.optimizers.Optimizer,
        norm: float,
        sparse: bool,
        replicas: Replicas,
        accumulate: int,
        example: Arrays,
    ):
        self._model, self._loss, self._optimizer = model, loss, optimizer
        self._norm, self._sparse, self._replicas = norm, sparse, replicas
        self._accumulate = accumulate
        self.parts = replicas.count * accumulate
        self.sums = tf.Variable([0.0, 0.0], trainable=False)
        self.asks = tf.Variable(0.0, trainable=False)
        self.asked = tf.Variable(0.0, trainable=False)
        batch = {
            name: tf.TensorSpec([None] * array.ndim, array.dtype) for name, array in example.items()
        }
        batches = [[batch] * replicas.local, tf.TensorSpec([replicas.local], tf.float32)]
        number = tf.TensorSpec([], tf.float32)
        if accumulate == 1:
            self._step = tf.function(
                self._whole_step, input_signature=[*batches, number], autograph=False
            )
        else:
            self._gradients = tf.function(
                self._sum_gradients, input_signature=batches, autograph=False
            )
            self._apply = tf.function(self._apply_gradients, reduce_retracing=True, autograph=False)

    def __call__(self, batches: Sequence[Callable[[], Arrays]], rate: float) -> None:
        """Updates the weights.

        Args:
            batches: functions that fetch them, at least one and at most :attr:`parts`; this
                process calls those of its own replicas.
            rate: learning rate.
        """
        learning_rate = tf.constant(rate, tf.float32)
        if self._accumulate == 1:
            self._step(*self._round(batches, 0), learning_rate)
            return
        gradients: list[Any] = []
        weights = []
        for start in range(0, len(batches), self._replicas.count):
            found, total, weight, asked = self._gradients(*self._round(batches, start))
            self.asked.assign(asked)
            found = [scaled(gradient, weight) for gradient in found]  # of a mean to of a sum
            gradients = added(gradients, found) if gradients else found
            self.sums.assign_add([total, weight])
            weights.append(weight)
        share = tf.math.divide_no_nan(1.0, tf.add_n(weights))
        self._apply([scaled(gradient, share) for gradient in gradients], learning_rate)

    def _round(
        self, batches: Sequence[Callable[[], Arrays]], start: int
    ) -> tuple[list[dict[str, Any]], Any]:
        """The batches of this process's replicas, and whether each counts: where there are fewer
        batches than replicas, the others get one that does not."""
        mine, counts = [], []
        for number in range(self._replicas.local):
            index = start + self._replicas.first + number
            counts.append(float(index < len(batches)))
            fetch = batches[index] if index < len(batches) else batches[start]
            mine.append({name: tf.constant(array) for name, array in fetch().items()})
        return mine, tf.constant(counts, tf.float32)

    def _whole_step(self, batches: Any, counts: Any, rate: Any) -> None:
        def on_replica(number: int) -> tuple[Any, Any, Any]:
            gradients, total, weight, asked = self._gradients_on(batches[number], counts[number])
            self._apply_on(gradients, rate)
            return total, weight, asked

        *sums, asked = self._replicas.run(on_replica)
        self.sums.assign_add(sums)
        self.asked.assign(asked)

    def _sum_gradients(self, batches: Any, counts: Any) -> tuple[list[Any], Any, Any, Any]:
        return self._replicas.run(lambda n: self._gradients_on(batches[n], counts[n]))

    def _apply_gradients(self, gradients: list[Any], rate: Any) -> None:
        self._replicas.run(lambda number: self._apply_on(gradients, rate))

    def _gradients_on(self, batch: Any, count: Any) -> tuple[list[Any], Any, Any, Any]:
        """The gradients of the mean loss over one batch on each replica; its sum and weight, and
        whether a process is to stop."""
        with tf.GradientTape() as tape:
            parts = self._loss(self._model, batch)
            total, weight = (tf.cast(part, tf.float32) * count for part in parts)
            everything, asked = tf.unstack(self._replicas.sum(tf.stack([weight, self.asks])))
            # streams that have ended may be all that a round has
            mean = tf.math.divide_no_nan(total, everything)
            objective = self._optimizer.scale_loss(mean)
        variables = [v.value for v in self._model.trainable_variables]
        gradients = [merged(g, self._sparse) for g in tape.gradient(objective, variables)]
        if self._replicas.count > 1:
            gradients, total = self._replicas.sum([gradients, total])
            gradients = [merged(g, self._sparse) for g in gradients]
        return gradients, total, everything, asked

    def _apply_on(self, gradients: list[Any], rate: Any) -> None:
        optimizer = self._optimizer
        optimizer.learning_rate.assign(rate)
        bound = self._norm * getattr(optimizer, "dynamic_scale", 1.0)  # they are scaled too
        optimizer.apply(clipped(gradients, bound), self._model.trainable_variables)
