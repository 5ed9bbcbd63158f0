"""Runs a tagger over many sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasseq.data.batches import TokenBatchSettings, blocks, fixed_batches, lengths_of
from kerasseq.tasks.tagging.data import WordTable
from kerasseq.text.word_features import WordFeatures

BUDGET = TokenBatchSettings(tokens=4096, pad_to_multiple=4)


class Tagged(NamedTuple):
    """The tags of one sentence.

    Attributes:
        tags: indices int32 ``[T]``.
        probabilities: of these tags, float32 ``[T]``.
    """

    tags: np.ndarray
    probabilities: np.ndarray


class Tagger:
    """Tags sentences by a model that maps a :class:`WordTable`'s inputs to ``tags`` and ``shares``.

    Args:
        model: the model; its weights at the time of a call are used.
    """

    def __init__(self, model: keras.Model):
        signature = {
            name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
            for name, tensor in model.input.items()
        }

        def run(inputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = model(inputs, training=False)
            tags = tf.cast(outputs["tags"], tf.int32)
            return tags, tf.gather(outputs["shares"], tags, batch_dims=2)

        self._run = tf.function(run, input_signature=[signature])

    def __call__(self, table: WordTable) -> list[Tagged]:
        """Tags the sentences of a table, in their order."""
        lengths = lengths_of(table.sequences)
        found: list[Tagged] = [Tagged(lengths, lengths)] * len(lengths)
        for batch in fixed_batches(lengths, BUDGET):
            inputs = table.inputs([table.sequences[i] for i in batch], BUDGET.pad_to_multiple)
            tags, probabilities = (
                part.numpy() for part in self._run({k: tf.constant(v) for k, v in inputs.items()})
            )
            for row, i in enumerate(batch):
                length = lengths[i]
                found[i] = Tagged(tags[row, :length], probabilities[row, :length])
        return found

    def names(self, table: WordTable, names: Sequence[str]) -> list[list[str]]:
        """The names of the tags of a table's sentences."""
        return [[names[i] for i in each.tags] for each in self(table)]

    def stream(
        self, sentences: Iterable[list[str]], features: WordFeatures, names: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        """Tags sentences in blocks of 256, in constant memory; they may be empty.

        Yields:
            ``tokens``, ``tags`` and ``probabilities`` of each sentence.
        """
        for block in blocks(iter(sentences), 256):
            filled = [words for words in block if words]
            tagged = iter(self(WordTable(features, filled)) if filled else [])
            for words in block:
                found = next(tagged) if words else Tagged(np.array([]), np.array([]))
                yield {
                    "tokens": words,
                    "tags": [names[int(i)] for i in found.tags],
                    "probabilities": found.probabilities.tolist(),
                }
