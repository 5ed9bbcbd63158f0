"""An encoder-decoder's sequences: by beam search or sampling, and the attention of given ones.

A model has what :class:`kerasseq.layers.AttentionDecoder` needs around it: ``encode(source, mask)``
gives the decoder's first state and what its steps read, ``decoder.step(tokens, state, memory)``
logits, the next state and attention, and a call the attention of given targets.

The output of a source of `n` tokens, its end counted, has at most ``2 n + 10``; there it is cut.
That depends on the source alone, so a sentence gets in any batch what it gets by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from kerasseq.decoding.beam import Beams, beam_search, coverage_penalty
from kerasseq.decoding.sampling import Generated, sample
from kerasseq.decoding.settings import Sampling
from kerasseq.decoding.step import EXCLUDED, is_any_of, token_ids


class Ends(NamedTuple):
    """Token ids that are special.

    Attributes:
        begin: what the decoder reads first.
        stop: what ends a sequence.
        excluded: what is never given.
    """

    begin: int
    stop: int
    excluded: Sequence[int] = ()


def search(
    model: Any,
    source: tf.Tensor,
    lengths: tf.Tensor,
    ends: Ends,
    width: Any,
    n_best: Any,
    alpha: Any,
    beta: Any,
) -> Beams:
    """The best outputs for each source; see :func:`kerasseq.decoding.beam.beam_search`.

    A source that is nothing but the stop token has one output, the same, with a score of 0.

    Args:
        model: see above.
        source: int32 ``[B, S]``, padded on the right.
        lengths: int32 ``[B]``, at least 1.
        ends: of the outputs.
        width: of the beam, a number or a scalar tensor, as are those that follow.
        n_best: outputs to return for each source.
        alpha: strength of the length normalisation of Wu et al.
        beta: strength of their coverage penalty; the number 0 leaves it out.
    """
    covers = not (isinstance(beta, int | float) and beta == 0)
    step, state, memory = _decoder(model, source, lengths, ends, covers)

    def penalty(state: Any, memory: Any) -> tf.Tensor:
        return coverage_penalty(state["covered"], memory["mask"], beta)

    beams = beam_search(
        step, state, tf.fill([tf.size(lengths)], ends.begin), width, _longest(lengths),
        [ends.stop], alpha, n_best, "gnmt", penalty if covers else None, memory,
    )  # fmt: skip
    empty, first = source[:, :1] == ends.stop, tf.range(n_best) == 0
    nothing = tf.where(first, 0.0, EXCLUDED)
    return Beams(
        tf.where(empty[:, :, tf.newaxis], _only(ends.stop, beams.tokens), beams.tokens),
        tf.where(empty, tf.cast(first, tf.int32), beams.lengths),
        tf.where(empty, nothing, beams.log_probs),
        tf.where(empty, nothing, beams.scores),
        tf.where(empty, first, beams.finished),
    )


def _only(stop: int, tokens: tf.Tensor) -> tf.Tensor:
    """The stop token in the first place of the first output, and nothing else, ``[N, T]``."""
    shape = tf.shape(tokens)[1:]
    return tf.reshape(tf.where(tf.range(tf.reduce_prod(shape)) == 0, stop, 0), shape)


def draw(
    model: Any, source: tf.Tensor, lengths: tf.Tensor, ends: Ends, temperature: Any, seeds: Any
) -> Generated:
    """One output for each source, drawn at random; see :func:`kerasseq.decoding.sampling.sample`.

    A source that is nothing but the stop token has the same as its output.

    Args:
        model, source, lengths, ends: see :func:`search`.
        temperature: a number or a scalar tensor.
        seeds: whole number, or one for each source.
    """
    rows = tf.size(lengths)
    step, state, memory = _decoder(model, source, lengths, ends, covers=False)
    most = _longest(lengths)
    made = sample(
        step, state, tf.fill([rows], ends.begin), tf.reduce_max(most), Sampling(temperature),
        seed=seeds, stop=[ends.stop], memory=memory,
    )  # fmt: skip
    kept = tf.minimum(made.lengths, most)
    empty = source[:, :1] == ends.stop
    kept = tf.where(empty[:, 0], 1, kept)
    inside = tf.sequence_mask(kept, tf.shape(made.tokens)[1])
    tokens = tf.where(inside, tf.where(empty, ends.stop, made.tokens), 0)
    return Generated(tokens, kept, tf.where(inside & ~empty, made.log_probs, 0.0))


def attention_of(
    model: Any, source: tf.Tensor, lengths: tf.Tensor, begin: int, outputs: tf.Tensor
) -> tf.Tensor:
    """Attention weights of given outputs, float32 ``[B, T, S]``: one row a token of the output.

    Args:
        model, source, lengths: see :func:`search`.
        begin: what the decoder reads first.
        outputs: int32 ``[B, T]``; what stands beyond an output's end does not matter.
    """
    read = tf.pad(outputs[:, :-1], [[0, 0], [1, 0]], constant_values=begin)
    mask = tf.sequence_mask(lengths, tf.shape(source)[1])
    return tf.cast(model(source, mask, read, training=False)[1], tf.float32)


def _longest(length: tf.Tensor) -> tf.Tensor:
    return 2 * length + 10


def _decoder(
    model: Any, source: tf.Tensor, lengths: tf.Tensor, ends: Ends, covers: bool
) -> tuple[Callable[..., tuple[tf.Tensor, Any]], Any, Any]:
    """A step that takes the memory too; the state of each source, and its memory.

    Args:
        model, source, lengths, ends: see :func:`search`.
        covers: whether the state has the attention that each source token got so far.
    """
    state, memory = model.encode(source, tf.sequence_mask(lengths, tf.shape(source)[1]))

    def step(tokens: tf.Tensor, state: Any, memory: Any) -> tuple[tf.Tensor, Any]:
        logits, inner, attention = model.decoder.step(tokens, state["decoder"], memory)
        after = {"decoder": inner}
        if covers:
            after["covered"] = state["covered"] + tf.cast(attention, tf.float32)
        out = is_any_of(tf.range(tf.shape(logits)[1]), token_ids(ends.excluded))
        return tf.where(out, EXCLUDED, logits), after

    first = {"decoder": state}
    if covers:
        first["covered"] = tf.zeros_like(memory["mask"], tf.float32)
    return step, first, memory
