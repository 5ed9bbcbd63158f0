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
    ([Merity et al., 2017](https://arxiv.org/abs/1708.01009)).

    Args:
        states: zeros in the structure of the model's states, one row a stream; None to start every
            row at zeros.
        activation, temporal_activation: `alpha` and `beta`.
    """

    def __init__(self, states: list[Any] | None, activation: float, temporal_activation: float):
        self.carried = [tf.Variable(state, trainable=False) for state in states or ()]
        self._activation, self._temporal = activation, temporal_activation

    def __call__(self, model: keras.Model, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """As :class:`kerasseq.training.trainer.Loss`; a batch of
        :class:`kerasseq.data.streams.StreamBatches`."""
        states = None
        if self.carried:
            goes_on = tf.cast(~batch["fresh"], self.carried[0].dtype)
            states = [variable * goes_on for variable in self.carried]
        outputs, raw, states = model(batch["ids"], states, training=True)
        for variable, state in zip(self.carried, states, strict=False):
            variable.assign(tf.stop_gradient(state))
        total = model.training_loss(outputs, batch["targets"], batch["weights"])
        weight = tf.reduce_sum(batch["weights"])
        if self._activation:
            squares = tf.square(tf.cast(outputs, tf.float32))
            total += self._activation * weight * tf.reduce_mean(squares)
        if self._temporal:
            raw = tf.cast(raw, tf.float32)
            change = tf.square(raw[:, 1:] - raw[:, :-1])
            total += self._temporal * weight * tf.math.divide_no_nan(
                tf.reduce_sum(change), tf.cast(tf.size(change), tf.float32)
            )  # fmt: skip
        return total, weight
