"""The features of words as core TensorFlow ops, for taggers that take strings.

The same ids as :class:`kerasseq.text.word_features.WordFeatures`, held equal to them by a property
test.
"""

from __future__ import annotations

import tensorflow as tf

from kerasseq.text.cut import parts
from kerasseq.text.graph import casefolded, nfc
from kerasseq.text.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK, Vocabulary
from kerasseq.text.word_features import PREFIX_END, SUFFIX_START, WordFeatures


def _table(vocabulary: Vocabulary) -> tf.lookup.StaticHashTable:
    """Strings to ids. Special tokens are no words, and TensorFlow refuses an empty table."""
    first = len(SPECIAL_TOKENS)
    tokens = vocabulary.tokens[first:]
    content = tf.lookup.KeyValueTensorInitializer(
        tf.constant([*tokens, ""]), tf.constant([*range(first, len(vocabulary)), UNK], tf.int64)
    )
    return tf.lookup.StaticHashTable(content, default_value=UNK)


class WordFeatureOps(tf.Module):
    """Words to a tagger's inputs, as a part of an exported model.

    Args:
        features: of the training data.
    """

    def __init__(self, features: WordFeatures):
        super().__init__()
        self.settings = features.settings
        self.words = _table(features.words)
        self.affixes = _table(features.affixes)
        self.characters = _table(features.characters)

    def __call__(self, words: tf.RaggedTensor) -> tuple[tf.RaggedTensor, dict[str, tf.Tensor]]:
        """Sentences as positions among their distinct words, and these words' features.

        Args:
            words: string ``[N, (words)]``, UTF-8, none of them empty.

        Returns:
            Positions int32 ``[N, (words)]``, from 1; and of D distinct words the ids ``words``
            int32 ``[D + 1]``, ``characters`` ``[D + 1, longest]`` and ``affixes``
            ``[D + 1, kinds]``; 0 is padding, in row 0 too.
        """
        distinct, position = tf.unique(words.values)
        codes, rows = nfc(distinct)
        lines = tf.shape(distinct, tf.int64)[0]
        forms = self._forms(codes, rows, lines)
        spelled = self._spelled(codes, rows, lines)
        return words.with_values(position + 1), {
            "words": tf.pad(self._ids(self.words, forms), [[1, 0]]),
            # a character wide even if there is no word
            "characters": tf.pad(spelled, [[1, 0], [0, tf.cast(lines == 0, tf.int32)]]),
            "affixes": tf.pad(self._affix_ids(forms), [[1, 0], [0, 0]]),
        }

    @staticmethod
    def _ids(table: tf.lookup.StaticHashTable, strings: tf.Tensor) -> tf.Tensor:
        return tf.cast(table.lookup(strings), tf.int32)

    @staticmethod
    def _forms(codes: tf.Tensor, rows: tf.Tensor, lines: tf.Tensor) -> tf.Tensor:
        codes, rows = casefolded(codes, rows)
        codes = tf.where((codes >= ord("0")) & (codes <= ord("9")), ord("0"), codes)
        ragged = tf.RaggedTensor.from_value_rowids(codes, tf.cast(rows, tf.int64), lines)
        return tf.strings.unicode_encode(ragged, "UTF-8")

    def _spelled(self, codes: tf.Tensor, rows: tf.Tensor, lines: tf.Tensor) -> tf.Tensor:
        characters = tf.strings.unicode_encode(codes[:, None], "UTF-8")
        rows = tf.cast(rows, tf.int64)
        ids = tf.RaggedTensor.from_value_rowids(self._ids(self.characters, characters), rows, lines)
        head, tail = parts(self.settings.max_characters, "head+tail")
        within = tf.range(tf.size(codes, tf.int64)) - tf.gather(ids.row_starts(), rows)
        length = tf.gather(ids.row_lengths(), rows)
        kept = (length <= head + tail) | (within < head) | (within >= length - tail)
        ids = tf.ragged.boolean_mask(ids, ids.with_values(kept))
        begin = tf.fill([lines, 1], BOS)
        end = tf.fill([lines, 1], EOS)
        return tf.concat([begin, ids, end], axis=1).to_tensor(PAD)

    def _affix_ids(self, forms: tf.Tensor) -> tf.Tensor:
        length = tf.strings.length(forms, "UTF8_CHAR")
        columns = []
        for of_end in (False, True):
            for size in range(1, self.settings.affixes + 1):
                begin = tf.maximum(length - size, 0) if of_end else tf.zeros_like(length)
                part = tf.strings.substr(forms, begin, tf.fill(tf.shape(length), size), "UTF8_CHAR")
                affix = SUFFIX_START + part if of_end else part + PREFIX_END
                ids = self._ids(self.affixes, affix)
                columns.append(tf.where(length >= size, ids, PAD))
        if not columns:
            return tf.zeros([tf.size(length), 0], tf.int32)
        return tf.stack(columns, axis=1)
