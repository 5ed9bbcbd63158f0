"""Scripted step functions, and the same in float64 NumPy."""

import numpy as np
import tensorflow as tf


def markov(table):
    """Logits by the last token: row of a table ``[V, V]``; no state."""
    return lambda tokens, state: (tf.gather(table, tokens), state)


def timed(tables):
    """Logits by position and last token: tables ``[T, V, V]``; the state counts.

    So sequences of the same pairs of tokens in another order are not equally likely.
    """

    def step(tokens, count):
        return tf.gather_nd(tables, tf.stack([count, tokens], axis=1)), count + 1

    return step


class Remembering:
    """Logits that depend on all tokens so far, through a nest such as that of LSTM layers."""

    def __init__(self, size, seed=0):
        rng = np.random.default_rng(seed)
        self.size = size
        self.table = rng.normal(size=(64, size)).astype("float32")
        self.vectors = rng.normal(size=(size, size)).astype("float32")

    def state(self, rows):
        """A state that differs from row to row."""
        start = np.arange(rows) * 5 % 64
        hidden = 0.1 * np.arange(rows)[:, None] * np.ones(self.size)
        return (
            (hidden.astype("float32"), start.astype("int32")),
            [np.zeros((rows, 1, 2), "int64")],
        )

    def __call__(self, tokens, state):
        (hidden, code), [count] = state
        hidden = 0.5 * hidden + tf.gather(self.vectors, tokens)
        code = (code * 7 + tokens + 1) % 64
        logits = tf.gather(self.table, code) + hidden + 0.1 * tf.cast(count[:, 0, :1], tf.float32)
        return logits, ((hidden, code), [count + 1])

    def log_probs(self, row):
        """Log-probabilities after a prefix, the first token included, for one row of the state."""

        def after(prefix):
            hidden, code = np.full(self.size, 0.1 * row), row * 5 % 64
            for token in prefix:
                hidden = 0.5 * hidden + self.vectors[token]
                code = (code * 7 + token + 1) % 64
            return log_softmax(self.table[code] + hidden)

        return after


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
