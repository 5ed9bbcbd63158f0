"""The loss of a translation model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf


class TranslationLoss:
    """Cross-entropy of the target tokens, each after those before it.

    With scheduled sampling ([Bengio et al., 2015](https://arxiv.org/abs/1506.03099)) the decoder
    reads its own last prediction in place of a target, ever more often.

    Args:
        sampling_rate: chance of that at the end; 0 for never.
        sampling_steps: steps until the chance, growing in proportion, is there.
    """

    def __init__(self, sampling_rate: float = 0.0, sampling_steps: int = 1):
        self.carried = [tf.Variable([0.0], trainable=False)] if sampling_rate else []
        self._growth, self._most = sampling_rate / sampling_steps, sampling_rate

    def __call__(self, model: keras.Model, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """As :class:`kerasseq.training.trainer.Loss`; a batch of
        :class:`kerasseq.tasks.translation.data.PairBatches`."""
        rate = None
        for steps in self.carried:
            rate = tf.minimum(steps[0] * self._growth, self._most)
            steps.assign_add([1.0])
        weights = batch["weights"]
        outputs, _ = model(
            batch["source"],
            tf.sequence_mask(batch["source_lengths"], tf.shape(batch["source"])[1]),
            batch["inputs"],
            weights > 0,
            sampling_rate=rate,
            training=True,
        )
        return model.training_loss(outputs, batch["targets"], weights), tf.reduce_sum(weights)
