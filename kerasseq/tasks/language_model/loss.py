"""The loss of a language model whose state goes on from batch to batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf


class LanguageModelLoss:
    """Cross-entropy of the next token, with the state carried along parallel streams.

    With activation regularisation `alpha mean(output^2)` on the dropped output and temporal
    activation regularisation `beta mean((h_t - h_t-1)^2)` on the raw one
    ([Merity et al., 2017](https://arxiv.org/abs/1708.01009)); padding has no part in the means.

    Args:
        states: zeros in the structure of the model's states, one row a stream; None to start every
            row at zeros.
        activation, temporal_activation: `alpha` and `beta`.
        parts: batches of an update, each of its own streams.
    """

    def __init__(
        self,
        states: list[Any] | None,
        activation: float,
        temporal_activation: float,
        parts: int = 1,
    ):
        self.carried = [
            tf.Variable(
                tf.zeros([parts, *state.shape], tf.float32),  # a checkpoint cannot hold bfloat16
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for state in states or ()
        ]
        self._activation, self._temporal = activation, temporal_activation

    def __call__(self, model: keras.Model, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """As :class:`kerasseq.training.trainer.Loss`; a batch of
        :class:`kerasseq.tasks.language_model.streams.StreamBatches`."""
        states = None
        if self.carried:
            goes_on = tf.cast(~batch["fresh"], tf.float32)
            part = batch["part"]
            states = [variable[part] * goes_on for variable in self.carried]
        outputs, raw, states = model(batch["ids"], states, training=True)
        for variable, state in zip(self.carried, states, strict=False):
            kept = tf.cast(tf.stop_gradient(state), tf.float32)
            variable.assign(tf.tensor_scatter_nd_update(variable, [[part]], kept[None]))
        weights = batch["weights"]
        total = model.training_loss(outputs, batch["targets"], weights)
        weight = tf.reduce_sum(weights)
        if self._activation:
            total += self._activation * weight * _mean(outputs, weights)
        if self._temporal:
            total += self._temporal * weight * _mean(raw[:, 1:] - raw[:, :-1], weights[:, 1:])
        return total, weight


def _mean(values: Any, weights: Any) -> Any:
    """Mean square of the features at the valid steps; 0 where there is none."""
    squares = tf.reduce_mean(tf.square(tf.cast(values, tf.float32)), -1)
    return tf.math.divide_no_nan(tf.reduce_sum(weights * squares), tf.reduce_sum(weights))
