"""Runs a sequence classifier over many sequences."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kerasseq.data.batches import lengths_of, pad, sorted_batches

BATCH, MULTIPLE = 128, 8


class Classifier:
    """Class probabilities of id sequences, by a model that maps ids ``[B, T]`` to logits.

    Args:
        model: the model; its weights at the time of a call are used.
    """

    def __init__(self, model: keras.Model):
        def probabilities(ids: tf.Tensor) -> tf.Tensor:
            return keras.ops.softmax(model(ids, training=False))

        self._run = tf.function(
            probabilities, input_signature=[tf.TensorSpec([None, None], tf.int32)]
        )

    def __call__(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities float32 ``[N, classes]``, in the order given."""
        lengths = lengths_of(sequences)
        batches = sorted_batches(lengths, BATCH)
        parts = [
            self._run(tf.constant(pad([sequences[i] for i in batch], MULTIPLE)[0])).numpy()
            for batch in batches
        ]
        result = np.empty((len(sequences), parts[0].shape[1]), np.float32)
        result[np.concatenate(batches)] = np.concatenate(parts)
        return result
