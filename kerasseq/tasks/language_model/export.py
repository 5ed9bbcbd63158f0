"""A language model that takes and gives raw strings.

:mod:`kerasseq.tasks.language_model.text_model` is the same from Python.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kerasseq.decoding.sampling import sample
from kerasseq.decoding.step import LONGEST, without
from kerasseq.text.codec import Codec
from kerasseq.text.codec_graph import GraphCodec
from kerasseq.text.vocabulary import EOS, PAD, UNK

PIECE = 256
"""Tokens of every text that are read at once."""

MOST_NATS = 88.0
"""Where a perplexity ends, which float32 could not hold."""

DEFAULT_K = 5
"""Next tokens that ``serving_default`` gives."""


class TextGenerator(tf.Module):
    """Codec, network and decoding in one graph; a text begins after a line end, in a zero state.

    Its functions take texts (string ``[N]``, UTF-8) of any length:

    - ``next_token(text, k)``: the ``k`` likeliest next tokens, ``tokens`` string ``[N, k]`` (a line
      end is ``"\\n"``), ``probabilities`` float32 ``[N, k]``, and how many tokens of the
      text are ``unknown``, int32 ``[N]``; ``serve(text)`` gives 5.
    - ``generate(text, length, temperature, top_k, top_p, seed)``: ``text``, the prompt as the model
      reads it with ``length`` more tokens; how many were ``generated`` (int32 ``[N]``), their
      ``log_prob``, and ``unknown`` as above. The unknown word is never generated, and the
      probabilities of the others sum to 1.
    - ``score(text)``: ``log_prob`` in nats of each text and of the line end after it, float32
      ``[N]``, ``perplexity``, ``tokens`` (int32 ``[N]``, the line end counted) and how many of
      them are ``unknown``.

    Args:
        model: a :class:`kerasseq.tasks.language_model.model.RecurrentLanguageModel` without GPU kernels.
        codec: text to ids and back.
    """

    def __init__(self, model: keras.Model, codec: Codec):
        super().__init__()
        self.codec = GraphCodec(codec)
        self.weights = [variable.value for variable in model.variables]
        predictable = int(model.embedding.predictable.sum())

        def read(ids: tf.Tensor, lengths: tf.Tensor, nll_of: tf.Tensor | None = None) -> Any:
            """States after each row of ids ``[N, T]``, and the summed nll of ``nll_of``."""
            rows, width = tf.unstack(tf.shape(ids))
            pieces = -(-width // PIECE)
            padding = [[0, 0], [0, pieces * PIECE - width]]
            ids = tf.pad(ids, padding)
            targets = ids if nll_of is None else tf.pad(nll_of, padding)
            states = model.initial_state(rows)

            def body(k: tf.Tensor, total: tf.Tensor, *states: tf.Tensor) -> list[tf.Tensor]:
                at = k * PIECE
                here = ids[:, at : at + PIECE]
                mask = tf.sequence_mask(tf.clip_by_value(lengths - at, 0, PIECE), PIECE)
                outputs, _, after = model(here, list(states), mask, training=False)
                if nll_of is not None:
                    nll = tf.where(mask, model.nll(outputs, targets[:, at : at + PIECE]), 0.0)
                    total += tf.reduce_sum(tf.cast(nll, tf.float64), 1)
                for new, old in zip(after, states, strict=True):
                    new.set_shape(old.shape)
                return [k + 1, total, *after]

            _, total, *states = tf.while_loop(
                lambda k, *_: k < pieces,
                body,
                [tf.constant(0), tf.zeros([rows], tf.float64), *states],
                parallel_iterations=1,
            )
            return states, total

        def contexts(text: tf.Tensor) -> Any:
            """Ids ``[N, (T)]``; the last token of each context, EOS before the first counted; and
            the states before that is read."""
            ids = self.codec.encode(text)
            begun = tf.concat([tf.fill([tf.shape(text)[0], 1], EOS), ids], 1)
            lengths = tf.cast(ids.row_lengths(), tf.int32)
            dense = begun.to_tensor(PAD)
            states, _ = read(dense[:, :-1], lengths)
            return ids, tf.gather(dense, lengths, batch_dims=1), states

        def unknown_in(ids: tf.RaggedTensor) -> tf.Tensor:
            return tf.reduce_sum(tf.cast(ids == UNK, tf.int32), 1)

        def likeliest(text: tf.Tensor, k: Any) -> dict[str, tf.Tensor]:
            ids, last, states = contexts(text)
            log_probs, _ = model.step(last, states)
            found = tf.math.top_k(log_probs, tf.clip_by_value(k, 1, predictable))
            return {
                "tokens": tf.gather(tf.constant(codec.spellings), found.indices),
                "probabilities": tf.exp(found.values),
                "unknown": unknown_in(ids),
            }

        def next_token(text: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
            with tf.control_dependencies([tf.debugging.Assert(k > 0, ["k must be 1 or more"])]):
                return likeliest(text, tf.identity(k))

        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            return likeliest(text, DEFAULT_K)

        def generate(
            text: tf.Tensor,
            length: tf.Tensor,
            temperature: tf.Tensor,
            top_k: tf.Tensor,
            top_p: tf.Tensor,
            seed: tf.Tensor,
        ) -> dict[str, tf.Tensor]:
            checks = [
                tf.debugging.Assert(
                    (length > 0) & (length <= LONGEST), [f"length must be from 1 to {LONGEST:,}"]
                ),
                tf.debugging.Assert(
                    (temperature > 0) & tf.math.is_finite(temperature),
                    ["temperature must be above 0 and finite"],
                ),
                tf.debugging.Assert(top_k >= 0, ["top_k must be 0 (all tokens) or more"]),
                tf.debugging.Assert(
                    (top_p > 0) & (top_p <= 1), ["top_p must be above 0 and at most 1"]
                ),
            ]
            with tf.control_dependencies(checks):
                ids, last, states = contexts(text)
            made = sample(
                without(model.step, [UNK]), states, last, length, temperature, top_k, top_p, seed
            )
            new = tf.RaggedTensor.from_tensor(made.tokens, made.lengths)
            return {
                "text": self.codec.decode(tf.concat([ids, new], 1)),
                "generated": made.lengths,
                "log_prob": tf.reduce_sum(made.log_probs, 1),
                "unknown": unknown_in(ids),
            }

        def score(text: tf.Tensor) -> dict[str, tf.Tensor]:
            ids = self.codec.encode(text)
            ends = tf.fill([tf.shape(text)[0], 1], EOS)
            inputs, targets = tf.concat([ends, ids], 1), tf.concat([ids, ends], 1)
            lengths = tf.cast(targets.row_lengths(), tf.int32)
            _, total = read(inputs.to_tensor(PAD), lengths, targets.to_tensor(PAD))
            mean = tf.minimum(total / tf.cast(lengths, tf.float64), MOST_NATS)
            return {
                "log_prob": tf.cast(-total, tf.float32),
                "perplexity": tf.cast(tf.exp(mean), tf.float32),
                "tokens": lengths,
                "unknown": unknown_in(ids),
            }

        text = tf.TensorSpec([None], tf.string, "text")
        whole = {
            name: tf.TensorSpec([], kind, name)
            for name, kind in (("k", tf.int32), ("length", tf.int32), ("top_k", tf.int32),
                               ("temperature", tf.float32), ("top_p", tf.float32),
                               ("seed", tf.int64))
        }  # fmt: skip
        self.serve = tf.function(serve, input_signature=[text])
        self.next_token = tf.function(next_token, input_signature=[text, whole["k"]])
        self.generate = tf.function(
            generate,
            input_signature=[text, *(whole[name] for name in GENERATE)],
        )
        self.score = tf.function(score, input_signature=[text])


GENERATE = ("length", "temperature", "top_k", "top_p", "seed")
"""Inputs of ``generate`` beside the text."""
