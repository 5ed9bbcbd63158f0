"""The state of a beam search, and what its steps hand on: named tensors with their shapes.

B is the sentences, A those of them that are not done, W the width of the beam.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import tensorflow as tf

Normalise = Literal["gnmt", "average", "none"]


class Beams(NamedTuple):
    """The best sequences of each sentence; T is the longest length of all.

    Finished ones come before others, and among each the best first.
    Where there are fewer than ``n_best`` the last ones are missing: length 0, and -1e30 as
    log-probability and score.
    """

    tokens: tf.Tensor
    """int32 ``[B, n_best, T]``, 0 after the end."""
    lengths: tf.Tensor
    """int32 ``[B, n_best]``, the stop token counted."""
    log_probs: tf.Tensor
    """float32 ``[B, n_best]``, of the whole sequence."""
    scores: tf.Tensor
    """float32 ``[B, n_best]``: ``log_probs``, normalised."""
    finished: tf.Tensor
    """bool ``[B, n_best]``: whether the sequence ends with a stop token."""


class Options(NamedTuple):
    """What was asked for, the same at each step; see
    :func:`kerasseq.decoding.beam.beam_search`."""

    width: Any
    """A number or an int32 scalar."""
    n_best: Any
    """A number or an int32 scalar, at most ``width``."""
    lengths: tf.Tensor
    """int32 ``[B]``: most tokens of each sentence's sequences, at least 1."""
    stop: tf.Tensor
    """int32 ``[S]``, the tokens that end a sequence."""
    alpha: Any
    """A number or a scalar tensor."""
    normalise: Normalise
    """The kind of score."""
    bonus: Callable[..., tf.Tensor] | None
    """From a state and, if there is one, the memory: float32 ``[A * W]``."""


class Continuations(NamedTuple):
    """Live hypotheses with one more token, N for each sentence."""

    log_probs: tf.Tensor
    """float32 ``[A, N]``, of the whole sequence; -1e30 for one that does not exist."""
    parents: tf.Tensor
    """int32 ``[A, N]``: which of the sentence's W hypotheses it continues."""
    tokens: tf.Tensor
    """int32 ``[A, N]``, the one that is added."""


class Ranking(NamedTuple):
    """What becomes of the continuations."""

    going_on: Continuations
    """The W likeliest that have no stop token, likeliest first."""
    ending: Continuations
    """All, where only those exist that have a stop token and rank before the last of these."""
    used_up: tf.Tensor
    """bool ``[A]``: whether the W likeliest of all have a stop token."""


class Sequences(NamedTuple):
    """N sequences of each sentence; ``_trace`` reads their tokens, from the ends back.

    Inside a step they are those of A sentences, not of all B.
    """

    scores: tf.Tensor
    """float32 ``[B, N]``, normalised; -1e30 for a missing one."""
    log_probs: tf.Tensor
    """float32 ``[B, N]``; -1e30 for a missing one."""
    ends: tf.Tensor
    """int32 ``[B, N, 3]``: the last position, the hypothesis before it, and the token at it."""


class Found(NamedTuple):
    """What the loop has found, for all sentences."""

    t: tf.Tensor
    """int32 scalar, steps taken."""
    history: tf.Tensor
    """int32 ``[longest, B, W, 2]``: parent and token of each hypothesis that was live after each
    step."""
    finished: Sequences
    """The ``n_best`` best that have a stop token, best first."""
    cut: Sequences
    """The W hypotheses that were live when the sentence had as many tokens as it may have."""


class Live(NamedTuple):
    """The hypotheses that go on, of the A sentences that are not done: W rows for each.

    Sentences that are done may be among them, without hypotheses, until ``_compact``.
    """

    sentences: tf.Tensor
    """int32 ``[A]``: their places in the batch."""
    log_probs: tf.Tensor
    """float32 ``[A, W]``; -1e30 for a hypothesis that is not there."""
    tokens: tf.Tensor
    """int32 ``[A * W]``, the last of each, which the model reads next."""
    state: Any
    """The model's, a nest of ``[A * W, ...]``."""
    memory: tuple[Any, ...]
    """What the model reads beside, a nest of ``[A * W, ...]``; or empty."""
