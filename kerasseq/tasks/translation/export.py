"""A translation model as it is exported: raw strings in one graph, or ids for other runtimes.

:mod:`kerasseq.tasks.translation.translator` is the same from Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasseq.decoding.beam import Beams
from kerasseq.decoding.encoder_decoder import Ends, attention_of, search
from kerasseq.decoding.settings import BeamSettings
from kerasseq.export.elementary import Elementary, ids_spec, step_by_step
from kerasseq.text.subwords import SubwordCodec, patterns
from kerasseq.text.subwords_graph import GraphSubwordCodec
from kerasseq.text.vocabulary import BOS, EOS, PAD, UNK

CLIENT = Path(__file__).with_name("client.py")


def can_copy(model: keras.Model, target_codec: SubwordCodec) -> bool:
    """Whether an unknown word can be copied from the source: attention must say from where, and the
    unknown token of subwords is no word, but a rare character inside one."""
    return model.has_attention and target_codec.level == "word"


def ends_of(copies: bool) -> Ends:
    """What begins and ends a translation; UNK is left out if nothing says what it stands for."""
    return Ends(BOS, EOS, () if copies else (UNK,))


class _Translations(NamedTuple):
    """What :class:`_Reader` finds.

    Attributes:
        source: ids of the sources, padded, int32 ``[N, S]``.
        cut: which of them are cut, bool ``[N]``.
        beams: the translations, as ids.
        texts: string ``[N, K]``.
        attention: float32 ``[N * K, T, S]``; None if nothing needed it.
    """

    source: tf.Tensor
    cut: tf.Tensor
    beams: Beams
    texts: tf.Tensor
    attention: tf.Tensor | None


class TextTranslator(tf.Module):
    """Codecs, network and beam search in one graph.

    Its functions take texts (string ``[N]``, UTF-8) of any length; what is beyond the longest
    source is not read, and ``cut`` (bool ``[N]``) says where there was more.

    - ``serve(text)``: the best ``translation`` (string ``[N]``) and its ``score``, by the beam of
      the settings.
    - ``translate_verbose(text, beam_size, length_penalty)``: for each text the ``beam_size`` best
      ones, best first: ``translations`` string ``[N, K]``, ``scores`` and ``log_probs`` float32
      ``[N, K]``, ``tokens`` string ``[N, K, T]`` and ``source_tokens`` ``[N, S]`` (empty beyond the
      end), and ``attention`` float32 ``[N, K, T, S]``, ``[N, K, T, 0]`` of a model without. Missing
      ones are empty, with the score -1e30.

    Args:
        model: a :class:`kerasseq.tasks.translation.model.RecurrentTranslator` without GPU kernels.
        source_codec, target_codec: text to ids and back.
        longest: tokens to which a longer source is cut.
        beam: of ``serve``; the coverage penalty is that of both.
    """

    def __init__(
        self,
        model: keras.Model,
        source_codec: SubwordCodec,
        target_codec: SubwordCodec,
        longest: int,
        beam: BeamSettings,
    ):
        super().__init__()
        self.source_codec = GraphSubwordCodec(source_codec)
        self.target_codec = GraphSubwordCodec(target_codec)
        self.weights = [variable.value for variable in model.variables]
        codecs = self.source_codec, self.target_codec
        reader = _Reader(
            model, codecs, can_copy(model, target_codec), longest, beam.coverage_penalty
        )
        source_spellings = tf.constant(["", *source_codec.vocabulary.tokens[1:]])
        target_spellings = tf.constant(["", *target_codec.vocabulary.tokens[1:]])

        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            found = reader.translate(text, beam.size, 1, beam.length_penalty, False)
            return {
                "translation": found.texts[:, 0],
                "score": found.beams.scores[:, 0],
                "cut": found.cut,
            }

        def translate_verbose(
            text: tf.Tensor, beam_size: tf.Tensor, length_penalty: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            return reader.verbose(
                text, beam_size, length_penalty, source_spellings, target_spellings
            )

        text = tf.TensorSpec([None], tf.string, "text")
        self.serve = tf.function(serve, input_signature=[text], autograph=False)
        self.translate_verbose = tf.function(
            translate_verbose,
            input_signature=[
                text,
                tf.TensorSpec([], tf.int32, "beam_size"),
                tf.TensorSpec([], tf.float32, "length_penalty"),
            ],
            autograph=False,
        )


class _Reader:
    """The functions of a :class:`TextTranslator`, as they are traced.

    Args:
        model: see there.
        codecs: text to ids and back, in a graph, of source and target.
        copies: whether an unknown word is copied from the source.
        longest: tokens to which a longer source is cut.
        beta: strength of the coverage penalty.
    """

    def __init__(
        self,
        model: keras.Model,
        codecs: tuple[GraphSubwordCodec, GraphSubwordCodec],
        copies: bool,
        longest: int,
        beta: float,
    ):
        self.model, self.copies, self.longest, self.beta = model, copies, longest, beta
        self.source_codec, self.target_codec = codecs
        self.ends = ends_of(copies)

    def translate(
        self, text: tf.Tensor, width: Any, n_best: Any, alpha: Any, with_attention: bool
    ) -> _Translations:
        """The best translations of texts.

        Args:
            text: string ``[N]``.
            width: of the beam, a number or a scalar tensor, as are the next two.
            n_best: translations of each text, K.
            alpha: strength of the length normalisation.
            with_attention: whether the attention weights are wanted.
        """
        encoded = self.source_codec.encode_with_units(text)
        ended = tf.fill([tf.shape(text)[0], 1], EOS)
        ids = tf.concat([encoded.ids[:, : self.longest], ended], 1)
        lengths, source = tf.cast(ids.row_lengths(), tf.int32), ids.to_tensor(PAD)
        beams = search(self.model, source, lengths, self.ends, width, n_best, alpha, self.beta)
        rows, kept, length = tf.unstack(tf.shape(beams.tokens))
        outputs = tf.reshape(beams.tokens, [-1, length])
        of = tf.repeat(tf.range(rows), kept)
        output_lengths = tf.reshape(beams.lengths, [-1])
        attention = copies = None
        if with_attention or self.copies:
            # that of the finished translations, which are read once more
            attention = attention_of(
                self.model, tf.gather(source, of), tf.gather(lengths, of), BOS, outputs
            )
            inside = tf.sequence_mask(output_lengths, length)
            attention = tf.where(inside[:, :, tf.newaxis], attention, 0.0)
        if self.copies:
            copies = self._copies(encoded, tf.gather(lengths, of), of, attention)
        texts = self.target_codec.decode(outputs, output_lengths, copies)
        cut = encoded.ids.row_lengths() > self.longest
        return _Translations(source, cut, beams, tf.reshape(texts, [rows, kept]), attention)

    def _copies(
        self, encoded: Any, lengths: tf.Tensor, of: tf.Tensor, attention: tf.Tensor
    ) -> tf.Tensor:
        """For each token of the translations the source word that most attention was paid to.

        Args:
            encoded: the sources.
            lengths: of the source of each translation.
            of: which source that is.
            attention: float32 ``[N * K, T, S]``.
        """
        # the unit of each source token; EOS, the last one, has none
        words = tf.gather(encoded.units, encoded.unit_of_token[:, : self.longest], batch_dims=1)
        words = tf.concat([words, tf.fill([words.nrows(out_type=tf.int32), 1], "")], 1).to_tensor()
        is_word = tf.sequence_mask(lengths - 1, tf.shape(attention)[2])
        likeliest = tf.argmax(
            tf.where(is_word[:, tf.newaxis], attention, -1.0), axis=2, output_type=tf.int32
        )
        return tf.gather(tf.gather(words, of), likeliest, batch_dims=1)

    def verbose(
        self,
        text: tf.Tensor,
        beam_size: tf.Tensor,
        length_penalty: tf.Tensor,
        source_spellings: tf.Tensor,
        target_spellings: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """All that a search finds."""
        checks = [
            tf.debugging.Assert(beam_size > 0, ["beam_size must be 1 or more"]),
            tf.debugging.Assert(
                (length_penalty >= 0) & tf.math.is_finite(length_penalty),
                ["length_penalty must be 0 or more, and finite"],
            ),
        ]
        with tf.control_dependencies(checks):
            width = tf.identity(beam_size)
        has_attention = self.model.has_attention
        source, cut, beams, texts, attention = self.translate(
            text, width, width, length_penalty, has_attention
        )
        shape = tf.concat([tf.shape(beams.tokens), tf.shape(source)[1:]], 0)
        if not has_attention:
            attention = tf.zeros(tf.concat([shape[:3], [0]], 0))
            shape = tf.shape(attention)
        return {
            "translations": texts,
            "scores": beams.scores,
            "log_probs": beams.log_probs,
            "tokens": tf.gather(target_spellings, beams.tokens),
            "attention": tf.reshape(attention, shape),
            "source_tokens": tf.gather(source_spellings, source),
            "cut": cut,
        }


def elementary(
    model: keras.Model, settings: Any, source: SubwordCodec, target: SubwordCodec, copies: bool
) -> Elementary:
    """``encode(source [1, S]) -> memory_0, .., state_0, ..`` and ``step(token [1], memory_0, ..,
    state_0, ..) -> log_probs [1, V], attention [1, S], next_state_0, ..``.

    Args:
        model: a :class:`kerasseq.tasks.translation.model.RecurrentTranslator`.
        settings: of the task, with a beam of 1.
        source, target: text to ids and back.
        copies: whether the unknown word is copied from the source.
    """
    functions = _functions(step_by_step(model))
    runs, unit = patterns(False)
    vocabulary = {
        "run": runs.pattern,
        "unit": unit.pattern,
        "level": source.level,
        "source": list(source.vocabulary.tokens),
        "merges": [" ".join(pair) for pair in source.merges],
        "target": target.spellings,
        "longest": settings.text.max_length,
        "copies": copies,
    }

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {"translation": result["translation"]}

    return Elementary(model, functions, vocabulary, CLIENT, settings, answer)


def _functions(model: keras.Model) -> dict[str, Any]:
    """``encode`` and ``step``, whose states and memories are a flat list of tensors."""
    parts: list[Any] = []

    def flat() -> tuple[list[Any], list[str]]:
        state, memory = parts
        states, memories = tf.nest.flatten(state), tf.nest.flatten(memory)
        names = [f"state_{i}" for i in range(len(states))]
        return [*states, *memories], [*names, *(f"memory_{i}" for i in range(len(memories)))]

    def encode(source_: tf.Tensor) -> dict[str, tf.Tensor]:
        parts[:] = model.encode(source_, tf.ones_like(source_, tf.bool))
        values, names = flat()
        return {
            name: tf.cast(value, tf.int32) if value.dtype == tf.bool else value
            for name, value in zip(names, values, strict=True)
        }

    functions = {
        "encode": tf.function(
            encode, input_signature=[ids_spec("source", 1, None)], autograph=False
        )
    }
    outputs = functions["encode"].get_concrete_function().structured_outputs
    values, names = flat()
    given = [tf.TensorSpec(outputs[name].shape, outputs[name].dtype, name) for name in names]
    kinds = [value.dtype for value in values]
    structure = list(parts)

    def step(token: tf.Tensor, *rest: tf.Tensor) -> dict[str, tf.Tensor]:
        typed = [tf.cast(value, kind) for value, kind in zip(rest, kinds, strict=True)]
        state, memory = tf.nest.pack_sequence_as(structure, typed)
        logits, after, attention = model.decoder.step(token, state, memory)
        new = {f"next_state_{i}": value for i, value in enumerate(tf.nest.flatten(after))}
        return {"log_probs": tf.nn.log_softmax(logits), "attention": attention, **new}

    functions["step"] = tf.function(
        step, input_signature=[ids_spec("token", 1), *given], autograph=False
    )
    return functions
