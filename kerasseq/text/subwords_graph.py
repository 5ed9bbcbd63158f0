"""Words and subwords as core TensorFlow ops, for models that take and give raw strings.

The same mapping as :class:`kerasseq.text.subwords.SubwordCodec`, held equal to it by property tests
over all of Unicode. Byte-pair encoding works on the symbols of all distinct units of a batch at
once: a flat vector of ids with the unit that each belongs to, so nothing is padded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerasseq.text import unicode_tables
from kerasseq.text.graph import nfc
from kerasseq.text.subwords import BLANK, MAX_RUN, SubwordCodec
from kerasseq.text.unicode_tables import SEPARATOR, WORD
from kerasseq.text.vocabulary import PAD, SPECIAL_TOKENS, UNK

_POSITION_BITS = 32
_NEVER = np.iinfo(np.int64).max >> _POSITION_BITS
"""The rank of a pair that does not merge."""


class Encoded(NamedTuple):
    """Some texts, encoded.

    Attributes:
        ids: int32 ``[N, (T)]``.
        unit_of_token: int32 ``[N, (T)]``, which unit of its text each token is of.
        units: string ``[N, (units)]``, without BLANK.
    """

    ids: tf.RaggedTensor
    unit_of_token: tf.RaggedTensor
    units: tf.RaggedTensor


def _before(values: tf.Tensor) -> tf.Tensor:
    """What stands before each; False or 0 before the first."""
    return tf.concat([tf.zeros_like(values[:1]), values[:-1]], axis=0)


def _units(texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """The units of texts without BLANK, string ``[N, (units)]``, and which of them begin with it.

    As :func:`kerasseq.text.subwords.units` cuts them.
    """
    codes, rows = nfc(texts)
    starts, kinds = unicode_tables.class_ranges()
    run = tf.searchsorted(tf.constant(starts, tf.int32), codes, side="right") - 1
    kind = tf.gather(tf.constant(kinds, tf.int32), run)
    inside = (kind != SEPARATOR) & (codes != ord(BLANK))
    fresh = inside & ~(_before(inside) & (_before(rows) == rows))
    codes, rows, word, fresh = (
        tf.boolean_mask(values, inside) for values in (codes, rows, kind == WORD, fresh)
    )

    begins = fresh | ~(word & _before(word))
    run = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    first = tf.cast(tf.reshape(tf.where(begins), [-1]), tf.int32)
    begins = (tf.range(tf.size(codes)) - tf.gather(first, run)) % MAX_RUN == 0
    characters = tf.RaggedTensor.from_row_starts(codes, tf.reshape(tf.where(begins), [-1]))
    units = tf.RaggedTensor.from_value_rowids(
        tf.strings.unicode_encode(characters, "UTF-8"),
        tf.cast(tf.boolean_mask(rows, begins), tf.int64),
        tf.shape(texts, tf.int64)[0],
    )
    return units, tf.boolean_mask(fresh, begins)


class _Merges(tf.Module):
    """Byte-pair encoding of strings.

    Args:
        codec: of subwords.
    """

    def __init__(self, codec: SubwordCodec):
        super().__init__()
        tokens = codec.vocabulary.tokens
        first = len(SPECIAL_TOKENS)
        ids = {token: i for i, token in enumerate(tokens[first:], first)}
        # with what no character is, so that none of the tables is empty
        alphabet = {-1: UNK} | {ord(token): i for token, i in ids.items() if len(token) == 1}
        self.codes = np.array(sorted(alphabet), np.int32)
        self.symbols = np.array([alphabet[code] for code in self.codes.tolist()], np.int32)
        self.merged = np.array([*(ids[a + b] for a, b in codec.merges), UNK], np.int32)
        self.size = len(tokens)
        pairs = [*(ids[a] * self.size + ids[b] for a, b in codec.merges), -1]
        ranks = [*range(len(codec.merges)), _NEVER]
        content = tf.lookup.KeyValueTensorInitializer(
            tf.constant(pairs, tf.int64), tf.constant(ranks, tf.int64)
        )
        self.ranks = tf.lookup.StaticHashTable(content, default_value=_NEVER)

    def __call__(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """The tokens of strings, none of them empty: int32 ``[N, (T)]``.

        Each round merges one pair of every string: of those of the lowest rank, the first.
        """
        characters = tf.strings.unicode_decode(strings, "UTF-8")
        known = tf.constant(self.codes)
        index = tf.searchsorted(known, characters.values, side="right") - 1
        found = tf.gather(known, index) == characters.values
        symbols = tf.where(found, tf.gather(self.symbols, index), UNK)
        of = tf.cast(characters.value_rowids(), tf.int32)
        ranks = self._ranks_at(tf.range(tf.size(symbols)), symbols, of)

        def merge(symbols, of, ranks):
            position = tf.range(tf.size(symbols, tf.int64))
            # the position decides between equal ranks
            order = tf.bitwise.left_shift(ranks, _POSITION_BITS) + position
            first = tf.math.segment_min(order, of)
            rank = tf.bitwise.right_shift(first, _POSITION_BITS)
            at = tf.cast(first - tf.bitwise.left_shift(rank, _POSITION_BITS), tf.int32)
            merges = rank != _NEVER
            rank, at = tf.boolean_mask(rank, merges), tf.boolean_mask(at, merges)
            symbols = tf.tensor_scatter_nd_update(
                symbols, at[:, None], tf.gather(self.merged, rank)
            )
            stays = tf.tensor_scatter_nd_update(
                tf.ones_like(symbols, tf.bool), at[:, None] + 1, tf.zeros_like(at, tf.bool)
            )
            symbols, of, ranks = (tf.boolean_mask(values, stays) for values in (symbols, of, ranks))
            # one symbol went from each of the strings before that had a merge
            at -= tf.range(tf.size(at))
            changed = tf.concat([tf.maximum(at - 1, 0), at], axis=0)
            ranks = tf.tensor_scatter_nd_update(
                ranks, changed[:, None], self._ranks_at(changed, symbols, of)
            )
            return symbols, of, ranks

        symbols, of, _ = tf.while_loop(
            lambda symbols, of, ranks: tf.reduce_any(ranks != _NEVER), merge, [symbols, of, ranks]
        )
        return tf.RaggedTensor.from_value_rowids(
            symbols, tf.cast(of, tf.int64), tf.shape(strings, tf.int64)[0]
        )

    def _ranks_at(self, at: tf.Tensor, symbols: tf.Tensor, of: tf.Tensor) -> tf.Tensor:
        """The ranks of some symbols' pairs with the next one of the same string."""
        after = tf.minimum(at + 1, tf.size(symbols) - 1)
        left, right = (tf.cast(tf.gather(symbols, i), tf.int64) for i in (at, after))
        pair = (after > at) & (tf.gather(of, after) == tf.gather(of, at))
        return self.ranks.lookup(tf.where(pair, left * self.size + right, -1))


class GraphSubwordCodec(tf.Module):
    """Raw texts to ids and back, as a part of an exported model.

    Args:
        codec: whose ids they are.
    """

    def __init__(self, codec: SubwordCodec):
        super().__init__()
        self.level = codec.level
        self.spellings = np.array([token.encode() for token in codec.spellings], object)
        if self.level == "subword":
            self.merges = _Merges(codec)
        else:
            first = len(SPECIAL_TOKENS)
            tokens = codec.vocabulary.tokens[first:]
            # TensorFlow refuses an empty table
            content = tf.lookup.KeyValueTensorInitializer(
                tf.constant([*tokens, ""]),
                tf.constant([*range(first, len(codec.vocabulary)), UNK], tf.int32),
            )
            self.table = tf.lookup.StaticHashTable(content, default_value=UNK)

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids of texts, without BOS and EOS.

        Args:
            texts: string ``[N]``, UTF-8; invalid bytes count as U+FFFD.

        Returns:
            int32 ``[N, (T)]``.
        """
        return self.encode_with_units(texts).ids

    def encode_with_units(self, texts: tf.Tensor) -> Encoded:
        """Ids of texts, and the units that the tokens are of."""
        units, after_blank = _units(texts)
        spelled = tf.where(after_blank, BLANK + units.values, units.values)
        if self.level == "word":
            tokens = self.table.lookup(spelled)[:, None]
            tokens = tf.RaggedTensor.from_tensor(tokens)
        else:
            distinct, index = tf.unique(spelled)
            tokens = tf.gather(self.merges(distinct), index)
        ids = units.with_values(tokens).merge_dims(1, 2)
        position = tf.range(tf.size(spelled, tf.int64)) - tf.gather(
            units.row_starts(), units.value_rowids()
        )
        of_token = tf.repeat(tf.cast(position, tf.int32), tokens.row_lengths())
        return Encoded(ids, ids.with_values(of_token), units)

    def decode(
        self,
        ids: tf.Tensor | tf.RaggedTensor,
        lengths: tf.Tensor | None = None,
        copies: tf.Tensor | tf.RaggedTensor | None = None,
    ) -> tf.Tensor:
        """Readable texts of ids: PAD, BOS and EOS are nothing, UNK is a word.

        Args:
            ids: int32 ``[N, (T)]``, or padded ``[N, T]``.
            lengths: int32 ``[N]``, how many ids of each padded row count; all if not given.
            copies: string, in the shape of the ids: for each, the word that is shown if it is UNK,
                once where several that follow each other have the same; ``<unk>`` if not given.

        Returns:
            string ``[N]``, UTF-8.
        """
        if isinstance(ids, tf.RaggedTensor):
            ids = ids.to_tensor(PAD)
        elif lengths is not None:
            ids = tf.where(tf.sequence_mask(lengths, tf.shape(ids)[1]), ids, PAD)
        pieces = tf.gather(tf.constant(self.spellings), ids)
        if isinstance(copies, tf.RaggedTensor):
            copies = copies.to_tensor()
        if copies is not None:
            unknown = ids == UNK
            again = unknown[:, 1:] & unknown[:, :-1] & (copies[:, 1:] == copies[:, :-1])
            shown = tf.where(
                tf.pad(again, [[0, 0], [1, 0]])[:, : tf.shape(ids)[1]], "", BLANK + copies
            )
            pieces = tf.where(unknown, shown, pieces)
        texts = tf.strings.reduce_join(pieces, axis=1)
        texts = tf.strings.regex_replace(texts, f"{BLANK}+", " ")
        return tf.strings.regex_replace(texts, "^ +| +$", "")
