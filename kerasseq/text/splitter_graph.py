"""The word splitter as core TensorFlow ops, for taggers that take raw strings.

The same words as :meth:`kerasseq.text.splitter.WordSplitter.split`, held equal to them by a
property test over all of Unicode. The rule works on the code points of all texts at once; strings
are made only of what has to be looked up, and of the words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache

import tensorflow as tf

from kerasseq.text import unicode_tables
from kerasseq.text.graph import nfc
from kerasseq.text.splitter import (
    ADDRESS,
    AFTER_ADDRESS,
    BEFORE_ADDRESS,
    CONTEXTS,
    MAX_CLITIC,
    PEELS,
    WordSplitter,
)
from kerasseq.text.unicode_tables import MARK, SEPARATOR, WORD


@cache
def _zeros() -> list[int]:
    """The first of each ten decimal digits; they stand in order in Unicode."""
    return [code for code in range(0x110000) if unicodedata.decimal(chr(code), None) == 0]


def _table(pairs: Iterable[tuple[str, str]]) -> tf.lookup.StaticHashTable:
    """A map of strings, which gives "" for all that is not in it."""
    keys, values = zip(("", ""), *pairs, strict=True)  # TensorFlow refuses an empty table
    content = tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.constant(values))
    return tf.lookup.StaticHashTable(content, default_value="")


def _before(values: tf.Tensor) -> tf.Tensor:
    """What stands before each; False or 0 before the first."""
    return tf.concat([tf.zeros_like(values[:1]), values[:-1]], axis=0)


def _after(values: tf.Tensor) -> tf.Tensor:
    return tf.concat([values[1:], tf.zeros_like(values[:1])], axis=0)


def _is_one_of(codes: tf.Tensor, characters: str) -> tf.Tensor:
    if not characters:
        return tf.zeros_like(codes, tf.bool)
    return tf.reduce_any(codes[:, None] == [[ord(char) for char in characters]], axis=1)


def _strings(codes: tf.Tensor, begins: tf.Tensor) -> tf.Tensor:
    """Encodes runs of code points, each from a ``begins`` to the next."""
    starts = tf.reshape(tf.where(begins), [-1])
    return tf.strings.unicode_encode(tf.RaggedTensor.from_row_starts(codes, starts), "UTF-8")


def _characters(strings: tf.Tensor) -> tf.Tensor:
    return tf.strings.length(strings, unit="UTF8_CHAR")


def _part(strings: tf.Tensor, begin: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(strings, begin, length, unit="UTF8_CHAR")


def _character_set(characters: str) -> str:
    return "".join(f"\\x{{{ord(char):x}}}" for char in characters)


class SplitterOps(tf.Module):
    """Raw texts to words, as a part of an exported model.

    Args:
        splitter: whose cut it is.
    """

    def __init__(self, splitter: WordSplitter):
        super().__init__()
        self.joiners = [splitter.joiners.get(name, "") for name in CONTEXTS]
        self.runs = splitter.runs
        self.forms = _table((form, " ".join(words)) for form, words in splitter.forms.items())
        self.prefixes = _table((text, text) for text in splitter.prefixes)
        self.suffixes = _table((text, text) for text in splitter.suffixes)

    def __call__(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Splits texts (string ``[N]``, UTF-8) into words: string ``[N, (words)]``."""
        codes, rows = nfc(texts)
        starts, kinds = unicode_tables.class_ranges()
        run = tf.searchsorted(tf.constant(starts, tf.int32), codes, side="right") - 1
        kind = tf.gather(tf.constant(kinds, tf.int32), run)
        inside = kind != SEPARATOR
        fresh = inside & ~(_before(inside) & (_before(rows) == rows))
        codes, rows, kind, fresh = (
            tf.boolean_mask(values, inside) for values in (codes, rows, kind, fresh)
        )

        whole, cut = self._whole(codes, kind == MARK, fresh)
        begins, joiner = self._rule(codes, kind == WORD, whole, cut)
        tokens = _strings(codes, begins)
        of_token = tf.cumsum(tf.cast(begins, tf.int32)) - 1
        joined = tf.math.segment_max(tf.cast(joiner, tf.int32), of_token) > 0
        words = tf.strings.split(self._words(tokens, joined))
        return tf.RaggedTensor.from_value_rowids(
            words.values,
            tf.gather(tf.cast(tf.boolean_mask(rows, begins), tf.int64), words.value_rowids()),
            tf.shape(texts, tf.int64)[0],
        )

    def _whole(
        self, codes: tf.Tensor, mark: tf.Tensor, fresh: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Code points of the parts of chunks that stay together, and where a part begins."""
        chunk = tf.cumsum(tf.cast(fresh, tf.int32)) - 1
        begin = tf.cast(tf.reshape(tf.where(fresh), [-1]), tf.int32)
        within = tf.range(tf.size(codes)) - tf.gather(begin, chunk)
        length = tf.math.segment_max(within, chunk) + 1
        first = tf.math.segment_min(tf.where(mark, tf.size(codes), within), chunk)
        last = tf.math.segment_max(tf.where(mark, -1, within), chunk)
        # a chunk without marks is a word of the rule, which is looked up anyway
        marked = tf.math.segment_max(tf.cast(mark, tf.int32), chunk) > 0
        of_marked = tf.gather(marked, chunk)
        strings = _strings(tf.boolean_mask(codes, of_marked), tf.boolean_mask(fresh, of_marked))
        length, leading, trailing = (
            tf.boolean_mask(values, marked)
            for values in (length, tf.minimum(first, length), length - 1 - last)
        )

        before, after = (tf.constant(counts) for counts in zip(*PEELS, strict=True))
        left = length[:, None] - before - after
        peels = (leading[:, None] >= before) & (trailing[:, None] >= after) & (left > 0)
        row, peel = tf.unstack(tf.cast(tf.where(peels), tf.int32), axis=1)
        candidates = _part(
            tf.gather(strings, row), tf.gather(before, peel), tf.boolean_mask(left, peels)
        )
        known = tf.boolean_mask(tf.stack([row, peel], axis=1), self.forms.lookup(candidates) != "")
        best = tf.math.unsorted_segment_min(known[:, 1], known[:, 0], tf.size(strings))
        found = best < len(PEELS)
        best = tf.minimum(best, len(PEELS) - 1)

        bare = tf.strings.regex_replace(strings, f"^[{_character_set(BEFORE_ADDRESS)}]+", "")
        inner = tf.strings.regex_replace(bare, f"[{_character_set(AFTER_ADDRESS)}]+$", "")
        address = tf.strings.regex_full_match(inner, ADDRESS)
        from_address = tf.where(address, length - _characters(bare), 0)
        to_address = tf.where(address, from_address + _characters(inner), 0)
        core_first = tf.where(found, tf.gather(before, best), from_address)
        core_last = tf.where(found, length - tf.gather(after, best), to_address)

        where = tf.where(marked)
        chunks = tf.shape(begin, tf.int64)
        core_first = tf.gather(tf.scatter_nd(where, core_first, chunks), chunk)
        core_last = tf.gather(tf.scatter_nd(where, core_last, chunks), chunk)
        whole = (within >= core_first) & (within < core_last)
        cut = fresh | ((core_first < core_last) & ((within == core_first) | (within == core_last)))
        return whole, cut

    def _rule(
        self, codes: tf.Tensor, word: tf.Tensor, whole: tf.Tensor, cut: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Where a word begins, and which marks join; nothing joins across a ``cut``."""
        zeros = tf.constant(_zeros(), tf.int32)
        script = tf.maximum(tf.searchsorted(zeros, codes, side="right") - 1, 0)
        value = codes - tf.gather(zeros, script)
        digit = tf.cast((value >= 0) & (value < 10), tf.int32)
        mark, word = ~word & ~whole, word & ~whole
        context = 2 * _before(digit) + _after(digit)
        joiner = tf.zeros_like(mark)
        for index, marks in enumerate(self.joiners):
            joiner |= (context == index) & _is_one_of(codes, marks)
        joiner &= mark & ~cut & _before(word) & _after(word & ~cut)
        word |= joiner
        repeats = mark & _is_one_of(codes, self.runs) & (_before(codes) == codes) & _before(mark)
        goes_on = whole | (word & _before(word)) | repeats
        return cut | ~goes_on, joiner

    def _words(self, tokens: tf.Tensor, joined: tf.Tensor) -> tf.Tensor:
        """The words of each token, with a blank between them."""
        words = self.forms.lookup(tokens)
        unknown = words == ""
        words = tf.where(unknown, tokens, words)
        where = tf.where(unknown & joined)
        tokens = tf.gather_nd(tokens, where)

        prefix = self._longest(tokens, self.prefixes, head=True)
        cut, length = _characters(prefix), _characters(tokens)
        stem = _part(tokens, cut, length - cut)
        words_of_stem = self.forms.lookup(stem)
        suffix = self._longest(stem, self.suffixes, head=False)
        suffix = tf.where(words_of_stem == "", suffix, "")
        stem = _part(stem, tf.zeros_like(cut), length - cut - _characters(suffix))
        words_of_stem = self.forms.lookup(stem)
        words_of_stem = tf.where(words_of_stem == "", stem, words_of_stem)
        parts = tf.strings.join([prefix, words_of_stem, suffix], " ")
        return tf.tensor_scatter_nd_update(words, where, parts)

    def _longest(
        self, strings: tf.Tensor, clitics: tf.lookup.StaticHashTable, head: bool
    ) -> tf.Tensor:
        """The longest clitic at an end of each string, which must not be all of it; else ""."""
        lengths = tf.range(1, MAX_CLITIC + 1)
        total = _characters(strings)[:, None]
        fits = lengths < total
        begin = tf.where(fits, 0 if head else total - lengths, 0)
        tiled = tf.tile(strings[:, None], [1, MAX_CLITIC])
        ends = _part(tiled, begin, tf.where(fits, lengths[None], 0))
        ends = clitics.lookup(ends)
        best = tf.reduce_max(tf.where(ends != "", lengths, 0), axis=1)
        return tf.where(best > 0, tf.gather(ends, tf.maximum(best - 1, 0), batch_dims=1), "")
