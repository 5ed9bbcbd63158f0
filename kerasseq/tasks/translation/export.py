"""A translation model that takes and gives raw strings.

:mod:`kerasseq.tasks.translation.translator` is the same from Python.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kerasseq.decoding.encoder_decoder import Ends, attention_of, search
from kerasseq.decoding.settings import BeamSettings
from kerasseq.text.subwords import SubwordCodec
from kerasseq.text.subwords_graph import GraphSubwordCodec
from kerasseq.text.vocabulary import BOS, EOS, PAD, UNK


def can_copy(model: keras.Model, target_codec: SubwordCodec) -> bool:
    """Whether an unknown word can be copied from the source: attention must say from where, and the
    unknown token of subwords is no word, but a rare character inside one."""
    return model.has_attention and target_codec.level == "word"


def ends_of(copies: bool) -> Ends:
    """What begins and ends a translation; UNK is left out if nothing says what it stands for."""
    return Ends(BOS, EOS, () if copies else (UNK,))


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
        copying = can_copy(model, target_codec)
        ends, beta = ends_of(copying), beam.coverage_penalty
        source_spellings = tf.constant(["", *source_codec.vocabulary.tokens[1:]])
        target_spellings = tf.constant(["", *target_codec.vocabulary.tokens[1:]])

        def translations(
            text: tf.Tensor, width: Any, n_best: Any, alpha: Any, with_attention: bool
        ) -> Any:
            """The sources, padded; which are cut; the beams; their texts ``[N, K]``; attention."""
            encoded = self.source_codec.encode_with_units(text)
            ids = tf.concat([encoded.ids[:, :longest], tf.fill([tf.shape(text)[0], 1], EOS)], 1)
            lengths, source = tf.cast(ids.row_lengths(), tf.int32), ids.to_tensor(PAD)
            beams = search(model, source, lengths, ends, width, n_best, alpha, beta)
            rows, kept, length = tf.unstack(tf.shape(beams.tokens))
            outputs = tf.reshape(beams.tokens, [-1, length])
            of = tf.repeat(tf.range(rows), kept)
            attention = copies = None
            if with_attention or copying:
                # that of the finished translations, which are read once more
                attention = attention_of(
                    model, tf.gather(source, of), tf.gather(lengths, of), BOS, outputs
                )
                inside = tf.sequence_mask(tf.reshape(beams.lengths, [-1]), length)
                attention = tf.where(inside[:, :, tf.newaxis], attention, 0.0)
            if copying:
                # the unit of each source token; EOS, the last one, has none
                words = tf.gather(encoded.units, encoded.unit_of_token[:, :longest], batch_dims=1)
                words = tf.concat([words, tf.fill([rows, 1], "")], 1).to_tensor()
                is_word = tf.sequence_mask(tf.gather(lengths, of) - 1, tf.shape(source)[1])
                likeliest = tf.argmax(
                    tf.where(is_word[:, tf.newaxis], attention, -1.0), axis=2, output_type=tf.int32
                )
                copies = tf.gather(tf.gather(words, of), likeliest, batch_dims=1)
            texts = self.target_codec.decode(outputs, tf.reshape(beams.lengths, [-1]), copies)
            cut = encoded.ids.row_lengths() > longest
            return source, cut, beams, tf.reshape(texts, [rows, kept]), attention

        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            _, cut, beams, texts, _ = translations(text, beam.size, 1, beam.length_penalty, False)
            return {"translation": texts[:, 0], "score": beams.scores[:, 0], "cut": cut}

        def translate_verbose(
            text: tf.Tensor, beam_size: tf.Tensor, length_penalty: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            checks = [
                tf.debugging.Assert(beam_size > 0, ["beam_size must be 1 or more"]),
                tf.debugging.Assert(
                    (length_penalty >= 0) & tf.math.is_finite(length_penalty),
                    ["length_penalty must be 0 or more, and finite"],
                ),
            ]
            with tf.control_dependencies(checks):
                width = tf.identity(beam_size)
            source, cut, beams, texts, attention = translations(
                text, width, width, length_penalty, model.has_attention
            )
            shape = tf.concat([tf.shape(beams.tokens), tf.shape(source)[1:]], 0)
            if not model.has_attention:
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

        text = tf.TensorSpec([None], tf.string, "text")
        self.serve = tf.function(serve, input_signature=[text])
        self.translate_verbose = tf.function(
            translate_verbose,
            input_signature=[
                text,
                tf.TensorSpec([], tf.int32, "beam_size"),
                tf.TensorSpec([], tf.float32, "length_penalty"),
            ],
        )
