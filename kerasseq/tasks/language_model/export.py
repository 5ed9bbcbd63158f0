"""A language model as it is exported: raw strings in one graph, or ids for other runtimes.

:mod:`kerasseq.tasks.language_model.text_model` is the same from Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasseq.decoding.sampling import choose, sample, sampling_specs
from kerasseq.decoding.settings import RULES, Sampling
from kerasseq.decoding.step import LONGEST, without
from kerasseq.evaluation.perplexity import MOST_NATS
from kerasseq.export.elementary import Elementary, ids_spec, step_by_step
from kerasseq.text.codec import Codec
from kerasseq.text.codec_graph import GraphCodec
from kerasseq.text.tokenizer import tokenizer_patterns
from kerasseq.text.vocabulary import EOS, PAD, UNK

PIECE = 256
"""Tokens of every text that are read at once."""

DEFAULT_K = 5
"""Next tokens that ``serving_default`` gives."""

CLIENT = Path(__file__).with_name("client.py")


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
    - ``begin(text)``, ``advance(last, position, temperature, top_k, top_p, seed, state_0, ...)``
      and ``spell(ids)``: ``generate`` token by token, without reading a text again. ``begin``
      gives ``ids`` (int32 ``[N, T]``, 0 behind a text's end), the ``last`` of them, ``unknown`` and
      the states (float32 ``[N, units]``) before that is read. ``advance`` reads it and draws the
      ``token`` at ``position`` (from 0), with its ``log_prob`` and the states after it. ``spell``
      gives the ``text`` of ids.

    Args:
        model: a :class:`~kerasseq.tasks.language_model.model.RecurrentLanguageModel` without GPU
            kernels.
        codec: text to ids and back.
    """

    def __init__(self, model: keras.Model, codec: Codec):
        super().__init__()
        self.codec = GraphCodec(codec)
        self.weights = [variable.value for variable in model.variables]
        reader = _Reader(model, self.codec)
        spellings = codec.spellings

        def next_token(text: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
            with tf.control_dependencies([tf.debugging.Assert(k > 0, ["k must be 1 or more"])]):
                return reader.likeliest(text, tf.identity(k), spellings)

        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            return reader.likeliest(text, DEFAULT_K, spellings)

        def generate(text: tf.Tensor, length: tf.Tensor, *more: tf.Tensor) -> dict[str, tf.Tensor]:
            *sampling, seed = more
            return reader.generate(text, length, Sampling(*sampling), seed)

        text, specs = tf.TensorSpec([None], tf.string, "text"), sampling_specs()
        k, length = (tf.TensorSpec([], tf.int32, name) for name in ("k", "length"))
        seed = tf.TensorSpec([], tf.int64, "seed")
        self.serve = tf.function(serve, input_signature=[text], autograph=False)
        self.next_token = tf.function(next_token, input_signature=[text, k], autograph=False)
        self.generate = tf.function(
            generate, input_signature=[text, length, *specs, seed], autograph=False
        )
        self.score = tf.function(reader.score, input_signature=[text], autograph=False)

        def advance(last: tf.Tensor, position: tf.Tensor, *more: tf.Tensor) -> dict[str, tf.Tensor]:
            sampling, (seed, *states) = Sampling(*more[: len(specs)]), more[len(specs) :]
            return reader.advance(last, position, sampling, seed, states)

        def spell(ids: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"text": self.codec.decode(ids)}

        last, position = (
            tf.TensorSpec([None], tf.int32, "last"),
            tf.TensorSpec([], tf.int32, "position"),
        )
        states = [
            tf.TensorSpec([None, state.shape[-1]], tf.float32, name)
            for name, state in zip(state_names(model), model.initial_state(1), strict=True)
        ]
        self.begin = tf.function(reader.begin, input_signature=[text], autograph=False)
        self.advance = tf.function(
            advance, input_signature=[last, position, *specs, seed, *states], autograph=False
        )
        self.spell = tf.function(
            spell, input_signature=[tf.TensorSpec([None, None], tf.int32, "ids")], autograph=False
        )


def state_names(model: keras.Model) -> list[str]:
    """``["state_0", ...]``, as functions have the states of a model."""
    return [f"state_{i}" for i in range(len(model.initial_state(1)))]


class _Reader:
    """The functions of a :class:`TextGenerator`, as they are traced.

    Args:
        model: see there.
        codec: text to ids and back, in a graph.
    """

    def __init__(self, model: keras.Model, codec: GraphCodec):
        self.model, self.codec = model, codec

    def read(self, ids: tf.Tensor, lengths: tf.Tensor, nll_of: tf.Tensor | None = None) -> Any:
        """States after each row of ids ``[N, T]``, and the summed nll of ``nll_of``."""
        model = self.model
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

    def contexts(self, text: tf.Tensor) -> Any:
        """Ids ``[N, (T)]``; the last token of each context, EOS before the first counted; and the
        states before that is read."""
        ids = self.codec.encode(text)
        begun = tf.concat([tf.fill([tf.shape(text)[0], 1], EOS), ids], 1)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        dense = begun.to_tensor(PAD)
        states, _ = self.read(dense[:, :-1], lengths)
        return ids, tf.gather(dense, lengths, batch_dims=1), states

    def likeliest(self, text: tf.Tensor, k: Any, spellings: list[str]) -> dict[str, tf.Tensor]:
        """The ``k`` likeliest next tokens."""
        ids, last, states = self.contexts(text)
        log_probs, _ = self.model.step(last, states)
        predictable = int(self.model.embedding.predictable.sum())
        found = tf.math.top_k(log_probs, tf.clip_by_value(k, 1, predictable))
        return {
            "tokens": tf.gather(tf.constant(spellings), found.indices),
            "probabilities": tf.exp(found.values),
            "unknown": _unknown(ids),
        }

    def begin(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Texts that are read, up to their last token."""
        ids, last, states = self.contexts(text)
        return {
            "ids": ids.to_tensor(PAD),
            "last": last,
            "unknown": _unknown(ids),
            **dict(zip(state_names(self.model), states, strict=True)),
        }

    def advance(
        self,
        last: tf.Tensor,
        position: tf.Tensor,
        sampling: Sampling,
        seed: tf.Tensor,
        states: Any,
    ) -> dict[str, tf.Tensor]:
        """One more token of each text, as :meth:`generate` draws it."""
        with tf.control_dependencies(_checks(sampling)):
            log_probs, after = without(self.model.step, [UNK])(last, list(states))
        token = choose(log_probs, sampling, seed, position)
        return {
            "token": token,
            "log_prob": tf.gather(log_probs, token, batch_dims=1),
            **dict(zip(state_names(self.model), after, strict=True)),
        }

    def generate(
        self, text: tf.Tensor, length: tf.Tensor, sampling: Sampling, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Continuations, drawn at random."""
        checks = [
            tf.debugging.Assert(
                (length > 0) & (length <= LONGEST), [f"length must be from 1 to {LONGEST:,}"]
            ),
            *_checks(sampling),
        ]
        with tf.control_dependencies(checks):
            ids, last, states = self.contexts(text)
        known = without(self.model.step, [UNK])
        made = sample(known, states, last, length, sampling, seed)
        new = tf.RaggedTensor.from_tensor(made.tokens, made.lengths)
        return {
            "text": self.codec.decode(tf.concat([ids, new], 1)),
            "generated": made.lengths,
            "log_prob": tf.reduce_sum(made.log_probs, 1),
            "unknown": _unknown(ids),
        }

    def score(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Log-probability and perplexity of texts, their line ends counted."""
        ids = self.codec.encode(text)
        ends = tf.fill([tf.shape(text)[0], 1], EOS)
        inputs, targets = tf.concat([ends, ids], 1), tf.concat([ids, ends], 1)
        lengths = tf.cast(targets.row_lengths(), tf.int32)
        _, total = self.read(inputs.to_tensor(PAD), lengths, targets.to_tensor(PAD))
        mean = tf.minimum(total / tf.cast(lengths, tf.float64), MOST_NATS)
        return {
            "log_prob": tf.cast(-total, tf.float32),
            "perplexity": tf.cast(tf.exp(mean), tf.float32),
            "tokens": lengths,
            "unknown": _unknown(ids),
        }


def _checks(sampling: Sampling) -> list[Any]:
    return [
        tf.debugging.Assert(rule.holds(getattr(sampling, name)), [f"{name} must be {rule.must}"])
        for name, rule in RULES.items()
    ]


def _unknown(ids: tf.RaggedTensor) -> tf.Tensor:
    """How many tokens of each text are unknown."""
    return tf.reduce_sum(tf.cast(ids == UNK, tf.int32), 1)


def elementary(model: keras.Model, settings: Any, codec: Codec) -> Elementary:
    """``step(ids [1], state_0 [1, units], ..) -> log_probs [1, V], new_state_0, ..``.

    Args:
        model: a :class:`kerasseq.tasks.language_model.model.RecurrentLanguageModel`.
        settings: of the task.
        codec: text to ids.
    """
    step_by_step(model)
    sizes = [state.shape[-1] for state in model.initial_state(1)]
    names = state_names(model)

    def step(ids: tf.Tensor, *states: tf.Tensor) -> dict[str, tf.Tensor]:
        log_probs, after = model.step(ids, list(states))
        return {
            "log_probs": log_probs,
            **dict(zip(map("new_{}".format, names), after, strict=True)),
        }

    states = [
        tf.TensorSpec([1, size], tf.float32, name) for name, size in zip(names, sizes, strict=True)
    ]
    functions = {
        "step": tf.function(step, input_signature=[ids_spec("ids", 1), *states], autograph=False)
    }
    vocabulary = {
        **tokenizer_patterns(),
        "units": codec.units,
        "tokens": list(codec.vocabulary.tokens),
        "shown": codec.spellings,
        "states": sizes,
        "count": min(DEFAULT_K, int(model.embedding.predictable.sum())),
    }

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {"probabilities": [row["probability"] for row in result["next"]]}

    return Elementary(model, functions, vocabulary, CLIENT, settings, answer)
