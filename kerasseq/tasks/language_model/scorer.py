"""The nll of every token of a text, by a language model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasseq.tasks.language_model.streams import (
    StreamBatches,
    StreamSettings,
    inputs_of,
    padded,
    sentences,
)

POSITIONS = 1280
"""Tokens that are scored at once."""


def state_specs(model: keras.Model) -> list[tf.TensorSpec]:
    """Of the states of any number of rows, for an input signature."""
    return [tf.TensorSpec([None, *s.shape[1:]], s.dtype) for s in model.initial_state(1)]


class Scorer:
    """The nll of every token of a text, by the model's full distribution.

    Args:
        model: a :class:`kerasseq.tasks.language_model.model.RecurrentLanguageModel`.
        with_outputs: whether the stack's outputs are given too.
    """

    def __init__(self, model: keras.Model, with_outputs: bool = False):
        self._model = model
        ids, states = tf.TensorSpec([None, None], tf.int32), state_specs(model)

        def score(ids: Any, targets: Any, states: Any) -> Any:
            outputs, _, states = model(ids, states, training=False)
            nll = model.nll(outputs, targets)
            return nll, states, outputs if with_outputs else None

        self._score = tf.function(score, input_signature=[ids, ids, states], autograph=False)

    def pieces(self, ids: np.ndarray, streams: int = 1) -> Iterator[tuple[np.ndarray, Any, Any]]:
        """Reads a text in pieces, the state carried from one to the next.

        Args:
            ids: int32 `[N]`; EOS stands before the first.
            streams: into how many parts the text is cut, each of which starts at zeros.

        Yields:
            Positions, int64 `[n]`; the nll of the tokens there, in nats, float32 `[n]`; and the
            outputs `[n, units]`, or None.
        """
        streams = min(streams, max(1, len(ids)))
        length = max(1, POSITIONS // streams)
        settings = StreamSettings(size=streams, length=length, vary_length=False, rotate=False)
        batches = StreamBatches(ids, settings, 0)
        states = self._model.initial_state(streams)
        for piece in batches.epoch(0):
            batch = batches.fetch(piece)
            nll, states, outputs = self._score(
                tf.constant(batch["ids"]), tf.constant(batch["targets"]), states
            )
            valid = batch["weights"] > 0
            positions = batches.positions(piece)[valid]
            yield positions, nll.numpy()[valid], None if outputs is None else outputs.numpy()[valid]

    def nll(self, ids: np.ndarray, streams: int = 1) -> np.ndarray:
        """The nll of each token of a text, in nats, float32 `[N]`; see :meth:`pieces`."""
        found = np.empty(len(ids), np.float32)
        for positions, nll, _ in self.pieces(ids, streams):
            found[positions] = nll
        return found

    def nll_of_sentences(self, ids: np.ndarray) -> np.ndarray:
        """The same where every line stands for itself; lines of similar length go together.

        Args:
            ids: int32 `[N]`, each line ended by EOS.
        """
        inputs = inputs_of(ids)
        starts, lengths = sentences(ids, max(1, len(ids)))
        found = np.empty(len(ids), np.float32)
        order = np.argsort(-lengths, kind="stable")
        while len(order):
            longest = int(lengths[order[0]])
            rows, order = np.split(order, [max(1, POSITIONS // longest)])
            states = self._model.initial_state(len(rows))
            for start in range(0, longest, POSITIONS):
                steps = np.arange(start, min(start + POSITIONS, longest))
                at = starts[rows][:, None] + steps
                batch = padded(inputs, ids, at, lengths[rows] - start)
                nll, states, _ = self._score(
                    tf.constant(batch["ids"]), tf.constant(batch["targets"]), states
                )
                valid = batch["weights"] > 0
                found[at[valid]] = nll.numpy()[valid]
        return found
