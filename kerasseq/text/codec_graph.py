"""A language model's codec as core TensorFlow ops, for models that take and give raw strings.

The same mapping as :class:`kerasseq.text.codec.Codec`, held equal to it by property tests over all
of Unicode.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import tensorflow as tf

from kerasseq.text import graph
from kerasseq.text.codec import Codec
from kerasseq.text.detokenizer import GLUE, RULES
from kerasseq.text.vocabulary import EOS, PAD, SPECIAL_TOKENS, UNK

_LINE_END = ord("\n")


@cache
def _white_space() -> list[int]:
    """The code points at which ``str.split`` splits."""
    return [code for code in range(0x110000) if chr(code).isspace()]


class GraphCodec(tf.Module):
    """Raw texts to ids and back, as a part of an exported model.

    Args:
        codec: whose ids they are.
    """

    def __init__(self, codec: Codec):
        super().__init__()
        self.units = codec.units
        tokens = codec.vocabulary.tokens[len(SPECIAL_TOKENS) :]
        spellings = codec.spellings
        if self.units == "characters":
            known = sorted((ord(token), i) for i, token in enumerate(spellings) if len(token) == 1)
            codes, ids = zip(*known, strict=True)
            self.codes, self.ids = np.array(codes, np.int32), np.array(ids, np.int32)
            self.spellings = np.array([token.encode() for token in spellings], object)
        else:
            content = tf.lookup.KeyValueTensorInitializer(
                tf.constant(["\n", *tokens]),
                tf.constant([EOS, *range(len(SPECIAL_TOKENS), len(spellings))], tf.int64),
            )
            self.table = tf.lookup.StaticHashTable(content, default_value=UNK)
            # as the rules of the detokenizer want them: with a blank on either side
            self.spellings = np.array(
                [f" {token} ".encode() if token else b"" for token in spellings], object
            )

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids of texts: EOS for each line end, UNK for unknown tokens.

        Args:
            texts: string ``[N]``, UTF-8; invalid bytes count as U+FFFD.

        Returns:
            int32 ``[N, (T)]``.
        """
        if self.units == "words":
            return self._encode_words(texts)
        codes = tf.strings.unicode_decode(texts, "UTF-8", errors="replace")
        if self.units == "characters":
            known = tf.constant(self.codes)
            index = tf.searchsorted(known, codes.values, out_type=tf.int32)
            index = tf.minimum(index, len(self.codes) - 1)
            found = tf.gather(known, index) == codes.values
            return codes.with_values(tf.where(found, tf.gather(self.ids, index), UNK))
        return self._encode_blanks(codes)

    def decode(self, ids: tf.Tensor | tf.RaggedTensor, lengths: tf.Tensor | None = None):
        """Readable texts of ids: EOS ends a line, PAD and BOS are nothing.

        Args:
            ids: int32 ``[N, (T)]``, or padded ``[N, T]``.
            lengths: int32 ``[N]``, how many ids of each padded row count; all if not given.

        Returns:
            string ``[N]``, UTF-8.
        """
        if isinstance(ids, tf.RaggedTensor):
            ids = ids.to_tensor(PAD)
        elif lengths is not None:
            ids = tf.where(tf.sequence_mask(lengths, tf.shape(ids)[1]), ids, PAD)
        texts = tf.strings.reduce_join(tf.gather(tf.constant(self.spellings), ids), axis=1)
        if self.units == "characters":
            return texts
        texts = tf.strings.join([GLUE, texts, GLUE])
        for pattern, replacement in RULES:
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        return texts

    def _encode_words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        lines = tf.strings.split(texts, "\n")
        tokens = graph.tokenize(lines.values)
        ids = tokens.with_values(tf.cast(self.table.lookup(tokens.values), tf.int32))
        # every line of a text but its last was ended
        rows = lines.value_rowids()
        ended = tf.concat([rows[1:] == rows[:-1], tf.zeros_like(rows[:1], tf.bool)], axis=0)
        ends = tf.RaggedTensor.from_row_lengths(
            tf.fill([tf.math.count_nonzero(ended)], EOS), tf.cast(ended, tf.int64)
        )
        return lines.with_values(tf.concat([ids, ends], axis=1)).merge_dims(1, 2)

    def _encode_blanks(self, codes: tf.RaggedTensor) -> tf.RaggedTensor:
        flat, rows = codes.values, codes.value_rowids()
        blanks = tf.constant(_white_space(), tf.int32)
        index = tf.minimum(tf.searchsorted(blanks, flat, out_type=tf.int32), blanks.shape[0] - 1)
        blank, line_end = tf.gather(blanks, index) == flat, flat == _LINE_END
        fresh = tf.concat(
            [tf.ones_like(rows[:1], tf.bool), (rows[1:] != rows[:-1]) | blank[:-1]], axis=0
        )
        begins = (fresh & ~blank) | line_end
        inside = ~blank | line_end
        starts = tf.reshape(tf.where(tf.boolean_mask(begins, inside)), [-1])
        tokens = tf.RaggedTensor.from_row_starts(tf.boolean_mask(flat, inside), starts)
        ids = self.table.lookup(tf.strings.unicode_encode(tokens, "UTF-8"))
        return tf.RaggedTensor.from_value_rowids(
            tf.cast(ids, tf.int32), tf.boolean_mask(rows, begins), codes.nrows()
        )
