"""One sequence a row, token by token: drawn at random, or the likeliest token each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from kerasseq.decoding.settings import RULES, Sampling
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

BLOCK = 128
"""Tokens whose mass is summed at once when one is drawn."""

PLAIN = Sampling()
"""Nothing is cut off."""

FEW = 512
"""Tokens that are sorted first to find a nucleus."""


class Generated(NamedTuple):
    """Sequences as they were generated; T is the longest length."""

    tokens: tf.Tensor
    """int32 ``[B, T]``, 0 after the end."""
    lengths: tf.Tensor
    """int32 ``[B]``, the stop token counted."""
    log_probs: tf.Tensor
    """float32 ``[B, T]``, of each token under the model itself (temperature 1, nothing cut off);
    0 after the end."""


def check_sampling(sampling: Sampling, length: int) -> None:
    """Checks what was asked for, before any graph is built; inside one nothing is checked.

    Raises:
        UserError: if a number is out of its bounds (:data:`kerasseq.decoding.settings.RULES`), or
            ``length`` is not from 1 to 1,000,000.
    """
    for name, value in sampling._asdict().items():
        if not RULES[name].holds(value):
            raise UserError(f"{name} must be {RULES[name].must}, got {value}")
    check_length(length)


def sampling_specs() -> Sampling:
    """The numbers as inputs of a function, named scalars."""
    kinds = {int: tf.int32, float: tf.float32}
    return Sampling(*(tf.TensorSpec([], kinds[RULES[n].kind], n) for n in Sampling._fields))


def truncated(logits: Any, sampling: Sampling) -> tf.Tensor:
    """The distribution that is sampled from: temperature, then top-k, then top-p.

    The nucleus (top-p) is that of [Holtzman et al., 2020](https://arxiv.org/abs/1904.09751), over
    what temperature and top-k have left. Of equal logits those with lower ids come first.

    Args:
        logits: float ``[B, V]``.
        sampling: its temperature divides the logits (below 1e-8 it counts as that); ``top_k``
            likeliest tokens stay, exactly (0 or at least V: all); and of these the smallest set of
            likeliest ones whose mass reaches ``top_p``, at least one (1: all).

    Returns:
        float32 ``[B, V]``: logits whose largest in each row is 0, and -1e30 for the tokens that
        are excluded. Nothing is sorted where nothing is cut off.
    """
    logits = tf.cast(logits, tf.float32)
    # The largest is taken off first, so that no temperature makes an infinity of it; and what the
    # model itself excludes stays excluded at any.
    below = logits - tf.reduce_max(logits, axis=1, keepdims=True)
    temperature = tf.maximum(tf.cast(sampling.temperature, tf.float32), 1e-8)
    scaled = tf.where(below > PRESENT, below / temperature, EXCLUDED)
    top_k, top_p = tf.cast(sampling.top_k, tf.int32), tf.cast(sampling.top_p, tf.float32)
    size = tf.shape(scaled)[1]
    count = tf.where((top_k > 0) & (top_k < size), top_k, size)
    return tf.cond(
        (count < size) | (top_p < 1.0), lambda: _cut(scaled, count, top_p), lambda: scaled
    )


def _cut(scaled: tf.Tensor, count: tf.Tensor, top_p: tf.Tensor) -> tf.Tensor:
    """Leaves the nucleus of the ``count`` likeliest tokens."""
    shape = tf.shape(scaled)

    def likeliest(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Logits, ids and summed mass, likeliest first."""
        values, ids = tf.math.top_k(scaled, number)  # of equal ones the lower index first
        return values, ids, tf.cumsum(tf.exp(values), axis=1)

    # A nucleus is mostly small. Not to sort thousands of tokens for it, a few are tried first.
    few = tf.where(count < shape[1], count, tf.minimum(count, FEW))
    values, ids, mass = likeliest(few)
    whole = tf.where(count < shape[1], mass[:, -1], tf.reduce_sum(tf.exp(scaled), axis=1))
    enough = (few == count) | tf.reduce_all(mass[:, -1] >= top_p * whole)
    values, ids, mass = tf.cond(enough, lambda: (values, ids, mass), lambda: likeliest(count))

    before = tf.pad(mass[:, :-1], [[0, 0], [1, 0]])
    # With top_p 1 all stay, which rounding must not prevent; and the first one stays even if
    # top_p is too small for float32.
    stays = (before < tf.maximum(top_p, 1e-30) * whole[:, tf.newaxis]) | (top_p >= 1.0)
    places = ids + tf.range(shape[0])[:, tf.newaxis] * shape[1]
    cut = tf.tensor_scatter_nd_update(
        tf.fill([shape[0] * shape[1]], EXCLUDED),
        tf.reshape(places, [-1, 1]),
        tf.reshape(tf.where(stays, values, EXCLUDED), [-1]),
    )
    return tf.reshape(cut, shape)


def choose(logits: Any, sampling: Sampling, seed: Any, step: Any) -> tf.Tensor:
    """Draws one token for each row from :func:`truncated`.

    Each row takes one random number, which is a function of its seed and the step alone. So a
    loop in Python and one in a graph draw the same, and a row alone draws what it draws in any
    batch. Rows of the same seed and context are the same; give each a seed of its own if they
    are to differ.

    Args:
        logits: float ``[B, V]``.
        sampling: see :func:`truncated`.
        seed: whole number of 64 bits, for all rows, or one for each, ``[B]``.
        step: scalar, the position in the sequence from 0.

    Returns:
        int32 ``[B]``.
    """
    mass = tf.exp(truncated(logits, sampling))
    # Not tf.random.stateless_categorical, where the numbers of a row depend on how the batch was
    # divided among threads; and one number a row is four times as fast as Gumbel noise for all V.
    seeds, step = _int64(seed), _int64(step)

    def number(seed: tf.Tensor) -> tf.Tensor:
        key = tf.stack([seed, step])
        return tf.random.stateless_uniform([], key, dtype=tf.float64, alg="philox")

    if seeds.shape.rank == 0:
        return _token_at(mass, tf.fill(tf.shape(mass)[:1], number(seeds)))
    return _token_at(mass, tf.map_fn(number, seeds, fn_output_signature=tf.float64))


def _token_at(mass: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """The first token of each row at which the summed mass exceeds a share of the whole.

    The sum is taken in two levels, block and token: ``tf.cumsum`` over all of V is slow. It is
    in float64, so that a rare token keeps its chance in a large vocabulary.

    Args:
        mass: float32 ``[B, V]``, at least 0, and not 0 for all tokens of a row.
        share: float64 ``[B]`` in [0, 1).

    Returns:
        int32 ``[B]``, tokens whose mass is not 0.
    """
    size = tf.shape(mass)[1]
    count = (size + BLOCK - 1) // BLOCK
    blocks = tf.pad(mass, [[0, 0], [0, count * BLOCK - size]])
    blocks = tf.reshape(blocks, tf.stack([-1, count, BLOCK]))
    sums = tf.cast(tf.reduce_sum(blocks, axis=2), tf.float64)
    ends = tf.cumsum(sums, axis=1)
    target = share * ends[:, -1]
    block = tf.reduce_sum(tf.cast(ends <= target[:, tf.newaxis], tf.int32), axis=1)
    rest = target - tf.gather(ends - sums, block, batch_dims=1)
    inside = tf.cumsum(tf.cast(tf.gather(blocks, block, batch_dims=1), tf.float64), axis=1)
    # The block's sum was rounded otherwise; the search must not leave the block by that.
    rest = tf.clip_by_value(rest, 0.0, inside[:, -1] * (1 - 2.0**-50))
    return block * BLOCK + tf.reduce_sum(tf.cast(inside <= rest[:, tf.newaxis], tf.int32), axis=1)


def _int64(number: Any) -> tf.Tensor:
    if tf.is_tensor(number):
        return tf.cast(number, tf.int64)
    return tf.constant(number, tf.int64)  # tf.cast takes no Python int beyond 32 bits


def sample(
    step: Step,
    state: Any,
    first: Any,
    length: Any,
    sampling: Sampling = PLAIN,
    seed: Any = 0,
    stop: Any = (),
    memory: Any = None,
) -> Generated:
    """Draws a sequence for each row, until all have a stop token or ``length`` tokens.

    Numbers may be Python's, which are checked, or scalar tensors. Each row takes random numbers by
    its seed and the position alone: rows of the same seed and context are the same, so give each
    its own (``seed=[1, 2]``) if they are to differ.

    Args:
        step: the model.
        state: its state before ``first`` is read.
        first: int ``[B]``, the last token of each row's context.
        length: most tokens to generate; memory for as many is taken at once.
        sampling: temperature, top_k and top_p.
        seed: whole number, or one for each row.
        stop: token ids, int ``[S]``, that end a row; may be empty.
        memory: what ``step`` gets as its third argument, if it is given; rows first.

    Example:

    >>> after = tf.math.log([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    >>> markov = lambda tokens, state: (tf.gather(after, tokens), state)
    >>> sample(markov, (), first=[0, 1], length=5, stop=[0]).tokens.numpy().tolist()
    [[1, 2, 0], [2, 0, 0]]

    Returns:
        ``tokens`` and ``log_probs`` ``[B, T]``, and ``lengths`` ``[B]``.

    Raises:
        UserError: if a number is out of its bounds.
    """
    numbers = [*sampling, length]
    if all(isinstance(number, int | float) for number in numbers):
        check_sampling(sampling, max(1, length))
    return _generate(
        step,
        state,
        first,
        length,
        stop,
        lambda logits, t: choose(logits, sampling, seed, t),
        memory,
    )


def greedy(
    step: Step, state: Any, first: Any, length: Any, stop: Any = (), memory: Any = None
) -> Generated:
    """Takes each row's likeliest token, of equal ones the lowest id; arguments as in `sample`."""
    return _generate(
        step,
        state,
        first,
        length,
        stop,
        lambda logits, _: tf.argmax(logits, axis=1, output_type=tf.int32),
        memory,
    )


def _generate(
    step: Step,
    state: Any,
    first: Any,
    length: Any,
    stop: Any,
    pick: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    memory: Any,
) -> Generated:
    model = LoopStep(step, state)
    first, stop = token_ids(first), token_ids(stop)
    length = tf.maximum(tf.cast(length, tf.int32), 0)

    def body(t, tokens, live, chosen, log_probs, state):
        logits, state = model(tokens, state, memory)
        tokens = pick(logits, t)
        picked = tf.gather(tf.nn.log_softmax(logits), tokens, batch_dims=1)
        chosen = tf.tensor_scatter_nd_update(chosen, [[t]], tokens[tf.newaxis])
        log_probs = tf.tensor_scatter_nd_update(log_probs, [[t]], picked[tf.newaxis])
        return [t + 1, tokens, live & ~is_any_of(tokens, stop), chosen, log_probs, state]

    # Rows that have ended run along until the last one has; what they produce is cut off below.
    shape = tf.stack([length, tf.size(first)])
    steps, _, _, chosen, log_probs, *_ = loop(
        lambda t, _, live, *others: (t < length) & tf.reduce_any(live),
        body,
        [
            tf.constant(0),
            first,
            tf.ones_like(first, tf.bool),
            tf.zeros(shape, tf.int32),
            tf.zeros(shape),
            model.state,
        ],
    )
    tokens, log_probs = tf.transpose(chosen[:steps]), tf.transpose(log_probs[:steps])
    stops = tf.cast(is_any_of(tokens, stop), tf.int32)
    inside = tf.cumsum(stops, axis=1, exclusive=True) == 0
    return Generated(
        tf.where(inside, tokens, 0),
        tf.reduce_sum(tf.cast(inside, tf.int32), axis=1),
        tf.where(inside, log_probs, 0.0),
    )
