"""The likeliest sequences of a step function, by beam search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import tensorflow as tf

from kerasseq.decoding.step import (
    EXCLUDED,
    PRESENT,
    FlatStep,
    Step,
    check_length,
    is_any_of,
    loop,
    token_ids,
)
from kerasseq.errors import UserError

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


def check_beam(width: int, n_best: int, length: int) -> None:
    """Checks what was asked for, before any graph is built.

    Raises:
        UserError: if ``width`` is below 1, ``length`` not from 1 to 1,000,000, or ``n_best`` not
            from 1 to ``width``.
    """
    if width < 1:
        raise UserError(f"width must be 1 or more, got {width}")
    if not 1 <= n_best <= width:
        raise UserError(f"n_best must be from 1 to the beam's width {width}, got {n_best}")
    check_length(length)


def beam_search(
    step: Step,
    state: Any,
    first: Any,
    width: Any,
    length: Any,
    stop: Any,
    alpha: Any = 0.6,
    n_best: Any = 1,
    normalise: Normalise = "gnmt",
    bonus: Callable[..., tf.Tensor] | None = None,
    memory: Any = None,
) -> Beams:
    """Searches for the sequences with the best normalised score.

    At each step the continuations of a sentence's live hypotheses are ranked by log-probability.
    The ``width`` likeliest ones without a stop token go on. Those with a stop token that rank
    before the last of these leave the beam and compete by normalised score for the ``n_best``
    finished places; less likely stop tokens end nothing. (With one stop token this looks at the
    ``2 * width`` likeliest continuations, as tensor2tensor does.)

    A sentence is done when

    - no live hypothesis can get a better score than the worst of ``n_best`` finished ones, however
      it goes on: log-probabilities are at most 0, so the best that it can reach is its present one
      normalised by the length that favours it most. Stopping there never changes the result;
    - or all of the ``width`` likeliest continuations have just finished, so the beam is used up.
      This makes a beam of width 1 the same as :func:`kerasseq.decoding.sampling.greedy`,
      whatever the normalisation;
    - or ``length`` tokens are there. Hypotheses without a stop token then take the places, best
      score first, for which there is no finished one; they never come before a finished one.

    Normalised scores, for a sequence of ``n`` tokens (stop token counted) and log-probability `l`:

    - ``"gnmt"``: ``l / ((5 + n) / 6) ** alpha``
      ([Wu et al., 2016](https://arxiv.org/abs/1609.08144), without the coverage penalty);
    - ``"average"``: ``l / n ** alpha``; with alpha 1 sequences are ranked by perplexity;
    - ``"none"``: ``l``, which prefers short ones.

    To these a bonus may be added, such as the coverage penalty of Wu et al.
    (:func:`coverage_penalty`).

    Sentences that are done leave the batch, so that a step costs what the others need.

    Args:
        step: the model. It is called with ``width`` rows for each sentence that is not done, next
            to each other; a continuation with a log-probability below -1e29 does not exist.
        state: its state before ``first`` is read, of B rows.
        first: int ``[B]``, the token that it reads first.
        width: live hypotheses of each sentence; a number or a scalar tensor.
        length: most tokens of a sequence; a number or a tensor, a scalar or int ``[B]``.
        stop: token ids, int ``[S]``, that end a sequence; may be empty.
        alpha: strength of the normalisation, a number or a scalar tensor.
        n_best: sequences to return for each sentence, at most ``width``; a number or a scalar
            tensor.
        normalise: see above.
        bonus: from the state after the last step of sequences, what is added to their normalised
            scores, float32 ``[rows]``, at most 0.
        memory: what each sentence has beside its state and which never changes, such as what is
            attended to: a nest of tensors of B rows. If it is given, ``step`` and ``bonus`` get it
            as their last argument, a row a hypothesis.

    Raises:
        UserError: as :func:`check_beam`, for numbers; tensors are not checked.
        ValueError: if ``normalise`` is none of those.

    Example:

    >>> import numpy as np
    >>> after = tf.math.log([[0.1, 0.5, 0.4], [0.3, 0.4, 0.3], [0.9, 0.05, 0.05]])
    >>> markov = lambda tokens, state: (tf.gather(after, tokens), state)
    >>> beams = beam_search(markov, (), [0], 2, 4, [0], n_best=2, normalise="none")
    >>> beams.tokens.numpy().tolist(), np.exp(np.float64(beams.log_probs)).round(3).tolist()
    ([[[2, 0], [1, 0]]], [[0.36, 0.15]])
    """
    if isinstance(width, int) and isinstance(n_best, int):
        check_beam(width, n_best, length=1)
    if normalise not in ("gnmt", "average", "none"):
        raise ValueError(
            f"beam_search: `normalise` must be gnmt, average or none. Received: {normalise!r}"
        )
    model = FlatStep(step, state)
    count = len(model.tensors)
    first, stop = token_ids(first), token_ids(stop)
    batch = tf.size(first)
    length = tf.broadcast_to(tf.maximum(tf.cast(length, tf.int32), 1), [batch])
    longest = tf.reduce_max(tf.concat([[1], length], 0))

    def score(log_probs: tf.Tensor, tokens: tf.Tensor, added: Any = 0.0) -> tf.Tensor:
        normalised = log_probs / _penalty(tokens, normalise, alpha) + added
        return tf.where(log_probs > PRESENT, normalised, EXCLUDED)

    def body(t, history, *others):
        results, (active, tokens, live) = others[:6], others[6:9]
        tensors, given = others[9 : 9 + count], others[9 + count :]
        # a row a sentence that is not done
        scores, log_probs, ends, *cut = (tf.gather(part, active) for part in results)
        last = tf.gather(length, active)
        read = [] if memory is None else [tf.nest.pack_sequence_as(memory, given)]

        def bonus_of(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
            """For each hypothesis, ``[sentences, width]``."""
            assert bonus is not None
            return tf.reshape(bonus(model.packed(tensors), *read), [-1, width])

        logits, tensors_after = model(tokens, tensors, *read)
        ids, totals = _continuations(logits, live, width + tf.size(stop))
        stops = is_any_of(ids, stop)
        place = tf.range(tf.shape(ids)[1])
        parents = place // (tf.shape(ids)[1] // width)
        live, places = tf.math.top_k(tf.where(stops, EXCLUDED, totals), width)

        def stops_before(rank: int) -> tf.Tensor:
            """Continuations with a stop token that are likelier than a live one."""
            total, at = live[:, rank, tf.newaxis], places[:, rank, tf.newaxis]
            return stops & ((totals > total) | ((totals == total) & (place < at)))

        ending = tf.where(stops_before(width - 1), totals, EXCLUDED)
        end = _end(t, tf.broadcast_to(parents, tf.shape(ids)), ids)
        added = tf.gather(bonus_of(tensors_after), parents, axis=1) if bonus else 0.0
        ended = score(ending, t + 1, added)
        # Of equal scores the older one stays, which is what the bound below counts on.
        scores, kept = tf.math.top_k(tf.concat([scores, ended], 1), n_best)
        log_probs = tf.gather(tf.concat([log_probs, ending], 1), kept, batch_dims=1)
        ends = tf.gather(tf.concat([ends, end], 1), kept, batch_dims=1)

        used_up = tf.reduce_sum(tf.cast(stops_before(0), tf.int32), axis=1) >= width
        # A penalty is monotone in the length, so the best attainable score is at one of its ends;
        # a bonus is at most 0.
        hope = tf.maximum(score(live[:, 0], t + 2), score(live[:, 0], last))
        done = used_up | (hope <= scores[:, -1])
        live = tf.where(done[:, tf.newaxis], EXCLUDED, live)

        parent, tokens = tf.gather(parents, places), tf.gather(ids, places, batch_dims=1)
        at_end = (t + 1 == last)[:, tf.newaxis]
        added = tf.gather(bonus_of(tensors_after), parent, batch_dims=1) if bonus else 0.0
        now = score(live, t + 1, added), live, _end(t, parent, tokens)
        cut = [
            tf.where(at_end if part.shape.rank == 2 else at_end[..., tf.newaxis], part, before)
            for part, before in zip(now, cut, strict=True)
        ]
        live = tf.where(at_end, EXCLUDED, live)
        at = tf.stack([tf.fill(tf.shape(active), t), active], axis=-1)
        links = tf.stack([parent, tokens], axis=-1)
        history = tf.tensor_scatter_nd_update(history, at, links)
        found = [
            tf.tensor_scatter_nd_update(part, active[:, tf.newaxis], now)
            for part, now in zip(results, [scores, log_probs, ends, *cut], strict=True)
        ]
        if not isinstance(width, int) or width > 1:
            rows = rows_of(tf.range(tf.size(active)), parent)
            tensors_after = [tf.gather(tensor, rows) for tensor in tensors_after]
        tokens = tf.reshape(tokens, [-1])
        return [t + 1, history, *found, *remaining(active, tokens, live, *tensors_after, *given)]

    def some_live(t: tf.Tensor, history: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
        live = others[8]
        return tf.reduce_any(live > PRESENT)

    def rows_of(sentences: tf.Tensor, hypotheses: tf.Tensor) -> tf.Tensor:
        return tf.reshape(sentences[:, tf.newaxis] * width + hypotheses, [-1])

    def remaining(active: tf.Tensor, tokens: tf.Tensor, live: tf.Tensor, *by_row: tf.Tensor) -> Any:
        """Without the sentences that are done, once they are a quarter: copying costs, too."""
        goes_on = tf.reduce_any(live > PRESENT, axis=1)
        left = tf.reduce_sum(tf.cast(goes_on, tf.int32))

        def fewer() -> list[tf.Tensor]:
            kept = tf.cast(tf.where(goes_on)[:, 0], tf.int32)
            rows = rows_of(kept, tf.range(width))
            by_sentence = tf.gather(active, kept), tf.gather(tokens, rows), tf.gather(live, kept)
            return [*by_sentence, *(tf.gather(tensor, rows) for tensor in by_row)]

        few = (left > 0) & (4 * left <= 3 * tf.size(active))
        return tf.cond(few, fewer, lambda: [active, tokens, live, *by_row])

    rows = tf.repeat(tf.range(batch), width)
    nothing = tf.fill([batch, n_best], EXCLUDED)
    # Only one of the hypotheses is there at first: equal ones would stay equal.
    live = tf.where(tf.range(width) == 0, 0.0, EXCLUDED) + tf.zeros([batch, 1])
    uncut = tf.fill(tf.shape(live), EXCLUDED)
    by_row = [*model.tensors, *tf.nest.flatten([] if memory is None else memory)]
    _, history, scores, log_probs, ends, cut_scores, cut_log_probs, cut_ends, *_ = loop(
        some_live,
        body,
        [
            tf.constant(0),
            tf.zeros(tf.stack([longest, batch, width, 2]), tf.int32),
            nothing,
            nothing,
            tf.zeros(tf.stack([batch, n_best, 3]), tf.int32),
            uncut,
            uncut,
            tf.zeros(tf.stack([batch, width, 3]), tf.int32),
        ],
        [tf.range(batch), tf.gather(first, rows), live]
        + [tf.gather(tf.convert_to_tensor(tensor), rows) for tensor in by_row],
    )

    # Finished ones first, then those that were cut, then what is missing; each part is sorted
    # (a bonus changes the order of those that were cut), and top_k keeps the order of equal ones.
    cut_scores, order = tf.math.top_k(cut_scores, width)
    cut_log_probs = tf.gather(cut_log_probs, order, batch_dims=1)
    cut_ends = tf.gather(cut_ends, order, batch_dims=1)
    scores = tf.concat([scores, cut_scores], 1)
    rank = tf.cast(scores > EXCLUDED, tf.int32)
    rank += tf.concat([rank[:, :n_best], tf.zeros_like(rank[:, n_best:])], 1)
    rank, order = tf.math.top_k(rank, n_best)
    ends = tf.gather(tf.concat([ends, cut_ends], 1), order, batch_dims=1)
    lengths = tf.where(rank > 0, ends[..., 0] + 1, 0)
    return Beams(
        _trace(history, ends, lengths),
        lengths,
        tf.gather(tf.concat([log_probs, cut_log_probs], 1), order, batch_dims=1),
        tf.gather(scores, order, batch_dims=1),
        rank == 2,
    )


def coverage_penalty(covered: tf.Tensor, mask: tf.Tensor, beta: Any) -> tf.Tensor:
    """``beta * sum_i log(min(c_i, 1))``, for the attention ``c_i`` that source position `i` got.

    [Wu et al., 2016](https://arxiv.org/abs/1609.08144), equation 14: translations that leave a part
    of the source unattended score lower.

    Args:
        covered: float32 ``[rows, S]``, summed attention weights.
        mask: bool ``[rows, S]``, false at padding.
        beta: strength, a number or a scalar tensor.

    Returns:
        float32 ``[rows]``, at most 0.
    """
    each = tf.math.log(tf.clip_by_value(covered, 1e-9, 1.0))
    return tf.cast(beta, tf.float32) * tf.reduce_sum(tf.where(mask, each, 0.0), axis=1)


def _penalty(tokens: tf.Tensor, normalise: Normalise, alpha: Any) -> tf.Tensor:
    """What the log-probability of a sequence of so many tokens is divided by."""
    if normalise == "none":
        return tf.constant(1.0)
    count, alpha = tf.cast(tokens, tf.float32), tf.cast(alpha, tf.float32)
    return ((5.0 + count) / 6.0) ** alpha if normalise == "gnmt" else count**alpha


def _continuations(
    logits: tf.Tensor, live: tf.Tensor, count: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The ``count`` likeliest next tokens of each hypothesis.

    With as many as ``width`` and the number of stop tokens, the ``width`` best of a sentence that
    are no stop tokens are among them, and so is every stop token that ranks before these.

    Args:
        logits: float32 ``[B * width, V]``.
        live: float32 ``[B, width]``, log-probabilities of the hypotheses.
        count: scalar; all, if it is more than V.

    Returns:
        Tokens int32 and log-probabilities float32 of the continued sequences, both
        ``[B, width * count]``, hypothesis by hypothesis. Tokens of one hypothesis are ordered by
        logit and, where these are equal, by id, also where the sums are equal by rounding.
    """
    count = tf.minimum(count, tf.shape(logits)[1])
    found, ids = tf.math.top_k(logits, count)
    gains = found - tf.reduce_logsumexp(logits, axis=1, keepdims=True)
    shape = tf.stack([tf.shape(live)[0], tf.shape(live)[1] * count])
    totals = tf.reshape(tf.reshape(live, [-1, 1]) + gains, shape)
    return tf.reshape(ids, shape), tf.maximum(totals, EXCLUDED)


def _end(t: tf.Tensor, parent: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
    """Last position of sequences, the hypothesis before it, and the token at it: int32 [B, N, 3].

    From these :func:`_trace` reads the whole sequence.
    """
    return tf.stack([tf.fill(tf.shape(token), t), parent, token], axis=-1)


def _trace(history: tf.Tensor, ends: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Tokens of sequences, from their ends back.

    Args:
        history: int32 ``[length, B, width, 2]``: parent and token of each hypothesis that was live
            after each step.
        ends: int32 ``[B, N, 3]``, see :func:`_end`.
        lengths: int32 ``[B, N]``, 0 for a missing sequence.

    Returns:
        int32 ``[B, N, T]``.
    """

    def body(t, hypothesis, tokens):
        parent, token = tf.unstack(tf.gather(history[t], hypothesis, batch_dims=1), axis=-1)
        at_end = t == lengths - 1
        parent, token = (
            tf.where(at_end, ends[..., 1], parent),
            tf.where(at_end, ends[..., 2], token),
        )
        inside = t < lengths
        tokens = tf.tensor_scatter_nd_update(tokens, [[t]], tf.where(inside, token, 0)[tf.newaxis])
        return [t - 1, tf.where(inside, parent, hypothesis), tokens]

    longest = tf.reduce_max(tf.concat([[0], tf.reshape(lengths, [-1])], 0))
    start = [
        longest - 1,
        tf.zeros_like(lengths),
        tf.zeros(tf.concat([[longest], tf.shape(lengths)], 0), tf.int32),
    ]
    _, _, tokens = loop(lambda t, *_: t >= 0, body, start)
    return tf.transpose(tokens, [1, 2, 0])
