"""The tokenizer and the vocabulary as core TensorFlow ops, for models that take raw strings.

The same mapping as :mod:`kerasseq.text.tokenizer` and :class:`kerasseq.text.vocabulary.Vocabulary`,
held equal to them by a property test over all of Unicode. Texts are flat vectors of code points
with the row that each belongs to, so a batch is normalised and split at once.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from kerasseq.text import cut, unicode_tables
from kerasseq.text.tokenizer import APOSTROPHES, MARKUP
from kerasseq.text.unicode_tables import MARK, WORD, Expansions
from kerasseq.text.vocabulary import BOS, PAD, UNK, Vocabulary


def _find(keys: list[int], values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Positions of ``values`` in sorted ``keys``, and whether each is there."""
    table = tf.constant(keys, values.dtype)
    index = tf.minimum(tf.searchsorted(table, values, out_type=tf.int32), len(keys) - 1)
    return index, tf.gather(table, index) == values


def _expand(codes: tf.Tensor, rows: tf.Tensor, table: Expansions) -> tuple[tf.Tensor, tf.Tensor]:
    """Replaces code points by their expansions."""
    index, found = _find(table.keys, codes)
    starts = tf.constant(table.starts, tf.int32)
    first = tf.gather(starts, index)
    counts = tf.where(found, tf.gather(starts, index + 1) - first, 1)
    source = tf.repeat(tf.range(tf.size(codes)), counts)
    offset = tf.range(tf.size(source)) - tf.gather(tf.cumsum(counts, exclusive=True), source)
    position = tf.where(tf.gather(found, source), tf.gather(first, source) + offset, 0)
    expanded = tf.where(
        tf.gather(found, source),
        tf.gather(tf.constant(table.values, tf.int32), position),
        tf.gather(codes, source),
    )
    return expanded, tf.gather(rows, source)


def _starts_row(rows: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.ones_like(rows[:1], tf.bool), rows[1:] != rows[:-1]], axis=0)


def _combining_class(codes: tf.Tensor) -> tf.Tensor:
    table = unicode_tables.composition()
    index, found = _find(table.marked, codes)
    return tf.where(found, tf.gather(tf.constant(table.classes, tf.int32), index), 0)


def _compose(codes: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Canonical composition of decomposed, reordered text.

    Works on all segments at once, a segment being a run that cannot compose with what stands
    before it; the loop's length is that of the longest segment, usually 1 to 3 characters.
    """
    table = unicode_tables.composition()
    classes = _combining_class(codes)
    first = _starts_row(rows) | ((classes == 0) & ~_find(table.seconds, codes)[1])
    segment = tf.cumsum(tf.cast(first, tf.int32)) - 1
    begins = tf.cast(tf.reshape(tf.where(first), [-1]), tf.int32)
    ends = tf.concat([begins[1:], [tf.size(codes)]], axis=0)
    within = tf.range(tf.size(codes)) - tf.gather(begins, segment)
    composites = tf.constant(table.composites, tf.int32)

    def step(j, out, starter, blocker):
        at = begins + j
        live = at < ends
        at = tf.where(live, at, 0)
        code, kind = tf.gather(codes, at), tf.gather(classes, at)
        current = tf.gather(out, tf.maximum(starter, 0))
        pair = tf.bitwise.left_shift(tf.cast(current, tf.int64), 21) + tf.cast(code, tf.int64)
        index, composes = _find(table.pairs, pair)
        composes &= live & (starter >= 0) & (blocker < kind)
        becomes = tf.boolean_mask(tf.gather(composites, index), composes)
        out = tf.tensor_scatter_nd_update(out, tf.boolean_mask(starter, composes)[:, None], becomes)
        removed = tf.boolean_mask(at, composes)
        out = tf.tensor_scatter_nd_update(out, removed[:, None], -tf.ones_like(removed))
        kept = live & ~composes
        blocker = tf.where(kept, tf.where(kind == 0, -1, kind), blocker)
        starter = tf.where(kept & (kind == 0), at, starter)
        return j + 1, out, starter, blocker

    unset = -tf.ones_like(begins)
    longest = tf.reduce_max(within) + 1
    _, out, _, _ = tf.while_loop(
        lambda j, *_: j < longest, step, [tf.constant(0), codes, unset, unset]
    )
    stays = out >= 0
    return tf.boolean_mask(out, stays), tf.boolean_mask(rows, stays)


def _nfc(codes: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Unicode normalisation form C (UAX #15)."""
    table = unicode_tables.composition()
    classes = _combining_class(codes)
    disordered = (classes[1:] > 0) & (classes[:-1] > classes[1:])
    changes = (
        tf.reduce_any(_find(table.seconds, codes)[1])
        | tf.reduce_any(_find(table.unstable, codes)[1])
        | tf.reduce_any(disordered)
    )

    def normalise():
        apart, of = _expand(codes, rows, unicode_tables.decomposition())
        kind = _combining_class(apart)
        starts = _starts_row(of) | (kind == 0)
        segment = tf.cumsum(tf.cast(starts, tf.int64))
        # combining classes are below 256; the order of equal ones is kept
        order = tf.argsort(segment * 256 + tf.cast(kind, tf.int64), stable=True)
        return _compose(tf.gather(apart, order), of)

    return tf.cond(changes, normalise, lambda: (codes, rows))


def nfc(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Code points of texts (string ``[N]``, UTF-8) in NFC, and the row that each belongs to.

    Invalid bytes count as U+FFFD.
    """
    decoded = tf.strings.unicode_decode(texts, "UTF-8", errors="replace")
    return _nfc(decoded.values, tf.cast(decoded.value_rowids(), tf.int32))


def casefolded(codes: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Code points in full case folding, and the row that each belongs to."""
    return _expand(codes, rows, unicode_tables.casefolding())


def tokenize(texts: tf.Tensor) -> tf.RaggedTensor:
    """Splits texts as :func:`kerasseq.text.tokenizer.tokenize` does.

    Args:
        texts: string ``[N]``, UTF-8; invalid bytes count as U+FFFD.

    Returns:
        string ``[N, (tokens)]``.
    """
    codes, rows = casefolded(*nfc(tf.strings.regex_replace(texts, MARKUP, " ")))

    starts, kinds = unicode_tables.class_ranges()
    run = tf.searchsorted(tf.constant(starts, tf.int32), codes, side="right") - 1
    kind = tf.gather(tf.constant(kinds, tf.int32), run)
    fresh = _starts_row(rows)
    word = kind == WORD
    nothing = tf.zeros_like(fresh[:1])
    joined_before = tf.concat([nothing, word[:-1]], axis=0) & ~fresh
    joined_after = tf.concat([word[1:] & ~fresh[1:], nothing], axis=0)
    apostrophe = tf.reduce_any(codes[:, None] == [[ord(char) for char in APOSTROPHES]], axis=1)
    word |= apostrophe & joined_before & joined_after
    after_word = tf.concat([nothing, word[:-1]], axis=0) & ~fresh
    begins = (word & ~after_word) | (~word & (kind == MARK))
    inside = word | (kind == MARK)

    token = tf.boolean_mask(tf.cumsum(tf.cast(begins, tf.int32)) - 1, inside)
    count = tf.reduce_sum(tf.cast(begins, tf.int32))
    characters = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(codes, inside), tf.cast(token, tf.int64), tf.cast(count, tf.int64)
    )
    return tf.RaggedTensor.from_value_rowids(
        tf.strings.unicode_encode(characters, "UTF-8"),
        tf.cast(tf.boolean_mask(rows, begins), tf.int64),
        tf.shape(texts, tf.int64)[0],
    )


class TextToIds(tf.Module):
    """Raw texts to padded ids, as a part of an exported model.

    Args:
        vocabulary: the token's ids.
        max_length: longest sequence kept, in tokens, without BOS.
        keep: which part of a longer one is kept.
    """

    def __init__(self, vocabulary: Vocabulary, max_length: int, keep: cut.Keep):
        super().__init__()
        self.max_length = max_length
        self.keep = keep
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(vocabulary.tokens),
                tf.constant(np.arange(len(vocabulary)), tf.int64),
            ),
            default_value=UNK,
        )

    def __call__(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps string ``[N]`` to ids int32 ``[N, T]``, each row BOS and the tokens, and to bool
        ``[N]``, whether a text was cut."""
        tokens = tokenize(texts)
        values = tf.cast(self.table.lookup(tokens.values), tf.int32)
        ids = tokens.with_values(values)
        lengths = ids.row_lengths()
        head, tail = cut.parts(self.max_length, self.keep)
        position = tf.range(tf.size(values, tf.int64)) - tf.gather(
            ids.row_starts(), ids.value_rowids()
        )
        length = tf.gather(lengths, ids.value_rowids())
        kept = (length <= self.max_length) | (position < head) | (position >= length - tail)
        ids = tf.ragged.boolean_mask(ids, ids.with_values(kept))
        begin = tf.fill([tf.shape(texts)[0], 1], BOS)
        ids = tf.concat([begin, ids], axis=1)
        return ids.to_tensor(PAD), lengths > self.max_length
