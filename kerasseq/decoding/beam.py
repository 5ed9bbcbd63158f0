"""The likeliest sequences of a step function, by beam search.

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

Its state is in :mod:`kerasseq.decoding.beam_state`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import tensorflow as tf

from kerasseq.decoding.beam_state import (
    Beams,
    Continuations,
    Found,
    Live,
    Normalise,
    Options,
    Ranking,
    Sequences,
)
from kerasseq.decoding.step import (
    EXCLUDED,
    PRESENT,
    LoopStep,
    Step,
    check_length,
    is_any_of,
    loop,
    token_ids,
)
from kerasseq.errors import UserError


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
    stop: Any = (),
    alpha: Any = 0.6,
    n_best: Any = 1,
    normalise: Normalise = "gnmt",
    bonus: Callable[..., tf.Tensor] | None = None,
    memory: Any = None,
) -> Beams:
    """Searches for the sequences with the best normalised score.

    ``score = log p / norm``, where ``norm`` is ``((5 + length) / 6) ** alpha`` of [Wu et al.,
    2016](https://arxiv.org/abs/1609.08144) for ``"gnmt"``, ``length ** alpha`` for ``"average"``.

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
        normalise: ``"gnmt"``, ``"average"`` or ``"none"``.
        bonus: from the state after the last step of sequences, what is added to their normalised
            scores, float32 ``[rows]``, at most 0.
        memory: what each sentence has beside its state and which never changes, such as what is
            attended to: a nest of tensors of B rows. If it is given, ``step`` and ``bonus`` get it
            as their last argument, a row a hypothesis.

    Returns:
        ``tokens`` ``[B, n_best, T]``, and ``lengths``, ``log_probs`` and ``scores``
        ``[B, n_best]``, the best first.

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
    first = token_ids(first)
    options = _options(width, n_best, length, stop, alpha, normalise, bonus, tf.size(first))
    model = LoopStep(step, state)
    found, _ = loop(
        lambda _, live: tf.reduce_any(live.log_probs > PRESENT),
        lambda found, live: _advance(model, options, found, live),
        [_nothing(options)],
        [_start(model.state, first, memory, width)],
    )
    return _assemble(found, options)


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


def _options(
    width: Any,
    n_best: Any,
    length: Any,
    stop: Any,
    alpha: Any,
    normalise: Normalise,
    bonus: Callable[..., tf.Tensor] | None,
    sentences: tf.Tensor,
) -> Options:
    """The arguments of :func:`beam_search`, checked, for so many sentences."""
    if isinstance(width, int) and isinstance(n_best, int):
        check_beam(width, n_best, length=1)
    if normalise not in get_args(Normalise):
        raise ValueError(
            f"beam_search: `normalise` must be gnmt, average or none. Received: {normalise!r}"
        )
    lengths = tf.broadcast_to(tf.maximum(tf.cast(length, tf.int32), 1), [sentences])
    return Options(width, n_best, lengths, token_ids(stop), alpha, normalise, bonus)


def _nothing(options: Options) -> Found:
    """What is found before the first step."""
    width, batch = options.width, tf.size(options.lengths)
    longest = tf.reduce_max(tf.concat([[1], options.lengths], 0))

    def missing(count: Any) -> Sequences:
        scores = tf.fill([batch, count], EXCLUDED)
        return Sequences(scores, scores, tf.zeros(tf.stack([batch, count, 3]), tf.int32))

    history = tf.zeros(tf.stack([longest, batch, width, 2]), tf.int32)
    return Found(tf.constant(0), history, missing(options.n_best), missing(width))


def _start(state: Any, first: tf.Tensor, memory: Any, width: Any) -> Live:
    """The hypotheses before the first step."""
    batch = tf.size(first)
    rows = tf.repeat(tf.range(batch), width)
    # Only one of the hypotheses is there at first: equal ones would stay equal.
    log_probs = tf.where(tf.range(width) == 0, 0.0, EXCLUDED) + tf.zeros([batch, 1])
    read = () if memory is None else (tf.nest.map_structure(tf.convert_to_tensor, memory),)
    return Live(tf.range(batch), log_probs, *_gathered((first, state, read), rows))


def _advance(model: LoopStep, options: Options, found: Found, live: Live) -> tuple[Found, Live]:
    """One step of the search: each live hypothesis reads its last token."""
    logits, state = model(live.tokens, live.state, *live.memory)
    ranking = _rank(_expand(logits, live.log_probs, options), options)
    lengths = tf.gather(options.lengths, live.sentences)
    bonus = None
    if options.bonus:
        bonus = tf.reshape(options.bonus(state, *live.memory), [-1, options.width])

    finished, cut = _gathered((found.finished, found.cut), live.sentences)
    ended = _sequences(ranking.ending, found.t, bonus, options)
    finished = _finish(finished, ended, options.n_best)
    done = ranking.used_up | _is_beaten(ranking.going_on, finished, found.t, lengths, options)
    going_on = _excluding(ranking.going_on, done[:, tf.newaxis])

    at_end = (found.t + 1 == lengths)[:, tf.newaxis]
    cut = _cut(cut, _sequences(going_on, found.t, bonus, options), at_end)
    going_on = _excluding(going_on, at_end)

    found = _record(found, live.sentences, going_on, finished, cut)
    return found, _compact(_follow(live, going_on, state, options.width), options.width)


def _expand(logits: tf.Tensor, live: tf.Tensor, options: Options) -> Continuations:
    """The likeliest next tokens of each hypothesis: as many as the width and the stop tokens.

    So the W best of a sentence that are no stop tokens are among them, and so is every stop token
    that ranks before these.

    Args:
        logits: float32 ``[A * W, V]``; all V tokens are taken if they are fewer.
        live: float32 ``[A, W]``, log-probabilities of the hypotheses.
        options: of the search.

    Returns:
        Hypothesis by hypothesis. Tokens of one hypothesis are ordered by logit and, where these are
        equal, by id, also where the sums are equal by rounding.
    """
    count = tf.minimum(options.width + tf.size(options.stop), tf.shape(logits)[1])
    found, ids = tf.math.top_k(logits, count)
    gains = found - tf.reduce_logsumexp(logits, axis=1, keepdims=True)
    shape = tf.stack([tf.shape(live)[0], tf.shape(live)[1] * count])
    totals = tf.reshape(tf.reshape(live, [-1, 1]) + gains, shape)
    parents = tf.broadcast_to(tf.range(shape[1]) // count, shape)
    return Continuations(tf.maximum(totals, EXCLUDED), parents, tf.reshape(ids, shape))


def _rank(continuations: Continuations, options: Options) -> Ranking:
    """Tells those that go on from those that end; of equal ones the first ranks first."""
    width, totals = options.width, continuations.log_probs
    stops = is_any_of(continuations.tokens, options.stop)
    place = tf.range(tf.shape(totals)[1])
    likeliest, places = tf.math.top_k(tf.where(stops, EXCLUDED, totals), width)

    def stops_before(rank: int) -> tf.Tensor:
        """Continuations with a stop token that are likelier than one that goes on."""
        total, at = likeliest[:, rank, tf.newaxis], places[:, rank, tf.newaxis]
        return stops & ((totals > total) | ((totals == total) & (place < at)))

    parents = tf.gather(continuations.parents, places, batch_dims=1)
    tokens = tf.gather(continuations.tokens, places, batch_dims=1)
    return Ranking(
        Continuations(likeliest, parents, tokens),
        continuations._replace(log_probs=tf.where(stops_before(width - 1), totals, EXCLUDED)),
        tf.reduce_sum(tf.cast(stops_before(0), tf.int32), axis=1) >= width,
    )


def _excluding(continuations: Continuations, excluded: tf.Tensor) -> Continuations:
    """The same, but those of some sentences do not exist, bool ``[A, 1]``."""
    log_probs = tf.where(excluded, EXCLUDED, continuations.log_probs)
    return continuations._replace(log_probs=log_probs)


def _sequences(
    continuations: Continuations, t: tf.Tensor, bonus: tf.Tensor | None, options: Options
) -> Sequences:
    """Continuations as sequences that end here, for the A sentences.

    Args:
        continuations: of step ``t``, the position of their last token.
        t: int32 scalar.
        bonus: float32 ``[A, W]``, of the parents; or none.
        options: of the search.
    """
    log_probs, parents, tokens = continuations
    added = 0.0 if bonus is None else tf.gather(bonus, parents, batch_dims=1)
    ends = tf.stack([tf.fill(tf.shape(tokens), t), parents, tokens], axis=-1)
    return Sequences(_score(log_probs, t + 1, options, added), log_probs, ends)


def _score(
    log_probs: tf.Tensor, tokens: tf.Tensor, options: Options, added: Any = 0.0
) -> tf.Tensor:
    """Normalised scores of sequences of so many tokens, with what a bonus has added."""
    normalised = log_probs / _penalty(tokens, options.normalise, options.alpha) + added
    return tf.where(log_probs > PRESENT, normalised, EXCLUDED)


def _penalty(tokens: tf.Tensor, normalise: Normalise, alpha: Any) -> tf.Tensor:
    """What the log-probability of a sequence of so many tokens is divided by."""
    if normalise == "none":
        return tf.constant(1.0)
    count, alpha = tf.cast(tokens, tf.float32), tf.cast(alpha, tf.float32)
    return ((5.0 + count) / 6.0) ** alpha if normalise == "gnmt" else count**alpha


def _finish(finished: Sequences, ending: Sequences, n_best: Any) -> Sequences:
    """The best of those that had finished before and of those that finish now."""
    # Of equal scores the older one stays, which is what `_is_beaten` counts on.
    return _best(_joined(finished, ending), n_best)


def _cut(cut: Sequences, now: Sequences, at_end: tf.Tensor) -> Sequences:
    """Those that are cut: where ``at_end``, bool ``[A, 1]``, the hypotheses as they are now."""
    return Sequences(
        tf.where(at_end, now.scores, cut.scores),
        tf.where(at_end, now.log_probs, cut.log_probs),
        tf.where(at_end[..., tf.newaxis], now.ends, cut.ends),
    )


def _joined(first: Sequences, second: Sequences) -> Sequences:
    """The sequences of each sentence in one, ``[A, N + M]``."""
    pairs = zip(first, second, strict=True)
    return Sequences(*(tf.concat(pair, 1) for pair in pairs))


def _best(sequences: Sequences, count: Any) -> Sequences:
    """So many with the best score, best first; equal ones stay in their order."""
    scores, order = tf.math.top_k(sequences.scores, count)
    rest = (tf.gather(part, order, batch_dims=1) for part in sequences[1:])
    return Sequences(scores, *rest)


def _is_beaten(
    going_on: Continuations,
    finished: Sequences,
    t: tf.Tensor,
    lengths: tf.Tensor,
    options: Options,
) -> tf.Tensor:
    """Sentences whose hypotheses cannot get a better score than all that is finished, bool ``[A]``.

    A penalty is monotone in the length, so the best attainable score is at one of its ends; a bonus
    is at most 0.
    """
    best = going_on.log_probs[:, 0]
    hope = tf.maximum(_score(best, t + 2, options), _score(best, lengths, options))
    return hope <= finished.scores[:, -1]


def _record(
    found: Found,
    sentences: tf.Tensor,
    going_on: Continuations,
    finished: Sequences,
    cut: Sequences,
) -> Found:
    """Writes what a step has found for the A ``sentences`` to their places in the batch."""
    at = tf.stack([tf.fill(tf.shape(sentences), found.t), sentences], axis=-1)
    links = tf.stack([going_on.parents, going_on.tokens], axis=-1)
    places = sentences[:, tf.newaxis]

    def written(before: Sequences, now: Sequences) -> Sequences:
        pairs = zip(before, now, strict=True)
        return Sequences(*(tf.tensor_scatter_nd_update(b, places, n) for b, n in pairs))

    return Found(
        found.t + 1,
        tf.tensor_scatter_nd_update(found.history, at, links),
        written(found.finished, finished),
        written(found.cut, cut),
    )


def _follow(live: Live, going_on: Continuations, state: Any, width: Any) -> Live:
    """The hypotheses that go on, each with the state after its parent's last token."""
    if not isinstance(width, int) or width > 1:
        rows = _rows(tf.range(tf.size(live.sentences)), going_on.parents, width)
        state = _gathered(state, rows)
    tokens = tf.reshape(going_on.tokens, [-1])
    return live._replace(log_probs=going_on.log_probs, tokens=tokens, state=state)


def _compact(live: Live, width: Any) -> Live:
    """Drops the sentences that are done, once they are a quarter: copying costs, too."""
    goes_on = tf.reduce_any(live.log_probs > PRESENT, axis=1)
    left = tf.reduce_sum(tf.cast(goes_on, tf.int32))

    def fewer() -> Live:
        kept = tf.cast(tf.where(goes_on)[:, 0], tf.int32)
        rows = _rows(kept, tf.range(width), width)
        by_sentence = _gathered((live.sentences, live.log_probs), kept)
        return Live(*by_sentence, *_gathered((live.tokens, live.state, live.memory), rows))

    few = (left > 0) & (4 * left <= 3 * tf.size(live.sentences))
    return tf.cond(few, fewer, lambda: live)


def _rows(sentences: tf.Tensor, hypotheses: tf.Tensor, width: Any) -> tf.Tensor:
    """Where the model has hypotheses ``[N, W]`` or ``[W]`` of sentences ``[N]``: ``[N * W]``."""
    return tf.reshape(sentences[:, tf.newaxis] * width + hypotheses, [-1])


def _gathered(nest: Any, rows: tf.Tensor) -> Any:
    """Those rows of each tensor."""
    return tf.nest.map_structure(lambda tensor: tf.gather(tensor, rows), nest)


def _assemble(found: Found, options: Options) -> Beams:
    """Finished ones first, then those that were cut, then what is missing; each part is sorted.

    Those that were cut are not yet: a bonus has changed their order.
    """
    n_best = options.n_best
    every = _joined(found.finished, _best(found.cut, options.width))
    # 2 for a finished sequence, 1 for one that was cut; top_k keeps the order of equal ones.
    rank = tf.cast(every.scores > EXCLUDED, tf.int32)
    rank += tf.concat([rank[:, :n_best], tf.zeros_like(rank[:, n_best:])], 1)
    rank, order = tf.math.top_k(rank, n_best)
    scores, log_probs, ends = (tf.gather(part, order, batch_dims=1) for part in every)
    lengths = tf.where(rank > 0, ends[..., 0] + 1, 0)
    tokens = _trace(found.history, ends, lengths)
    return Beams(tokens, lengths, log_probs, scores, finished=rank == 2)


def _trace(history: tf.Tensor, ends: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Tokens of sequences, from their ends back.

    Args:
        history: int32 ``[length, B, width, 2]``: parent and token of each hypothesis that was live
            after each step.
        ends: int32 ``[B, N, 3]``, see :class:`Sequences`.
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
