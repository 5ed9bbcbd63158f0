"""What a tagger sees of a word: its id, its characters, its affixes.

In Python; :mod:`kerasseq.text.word_features_graph` is the twin in TensorFlow ops.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerasseq.config import Settings, setting
from kerasseq.text.cut import cut
from kerasseq.text.vocabulary import BOS, EOS, PAD, Vocabulary

VOCABULARY_FILES = ("words.txt", "characters.txt", "affixes.txt")
PREFIX_END, SUFFIX_START = "\u2026", "\u2026"
"""Mark affixes in the vocabulary: ``un\u2026``, ``\u2026ing``."""

_digit = re.compile("[0-9]")


@dataclass(frozen=True)
class WordSettings(Settings):
    """Words to ids, characters and affixes; every vocabulary is built from the train split only."""

    vocabulary_size: int = setting(50_000, ge=5)
    """Most word ids, the 4 special ones included; words with given vectors join those of the train
    split, as far as there is room."""
    min_count: int = setting(2, ge=1)
    """A word must occur this often in the train split to have an id of its own."""
    max_characters: int = setting(40, ge=2)
    """Longest word read as it is; of a longer one its first and its last characters."""
    character_vocabulary_size: int = setting(5000, ge=5)
    """Most character ids."""
    character_min_count: int = setting(3, ge=1)
    """A character must occur this often in the words of the train split, counted once a word."""
    affixes: int = setting(4, ge=0)
    """Length of the longest prefixes and suffixes that are looked at; 0 turns them off."""
    affix_vocabulary_size: int = setting(30_000, ge=5)
    """Most affix ids."""
    affix_min_count: int = setting(3, ge=1)
    """An affix must begin or end this many different words of the train split."""


class Encoded(NamedTuple):
    """Some words, encoded.

    Attributes:
        words: ids int32 ``[N]``.
        characters: ids int32 ``[N, C]``: BOS, the characters, EOS, right-padded.
        affixes: ids int32 ``[N, 2 * affixes]``: prefixes, then suffixes, shortest first; PAD
            where the word is shorter.
    """

    words: np.ndarray
    characters: np.ndarray
    affixes: np.ndarray


def normal_form(word: str) -> str:
    """The form by which a word has its id: NFC, folded case, every ASCII digit as 0.

    >>> normal_form("U2's 1987")
    "u0's 0000"
    """
    return _digit.sub("0", unicodedata.normalize("NFC", word).casefold())


def affixes_of(form: str, longest: int) -> list[str | None]:
    """Prefixes, then suffixes, of lengths 1 to ``longest``; None where the word is shorter.

    >>> affixes_of("sings", 2)
    ['s\u2026', 'si\u2026', '\u2026s', '\u2026gs']
    """
    sizes = range(1, longest + 1)
    prefixes = [f"{form[:n]}{PREFIX_END}" if len(form) >= n else None for n in sizes]
    suffixes = [f"{SUFFIX_START}{form[-n:]}" if len(form) >= n else None for n in sizes]
    return [*prefixes, *suffixes]


class WordFeatures:
    """Encodes words.

    Args:
        words, characters, affixes: vocabularies.
        settings: lengths.
    """

    def __init__(
        self,
        words: Vocabulary,
        characters: Vocabulary,
        affixes: Vocabulary,
        settings: WordSettings,
    ):
        self.words, self.characters, self.affixes = words, characters, affixes
        self.settings = settings

    @classmethod
    def from_sentences(
        cls,
        sentences: Iterable[Iterable[str]],
        settings: WordSettings,
        forms_with_vectors: Iterable[str] = (),
    ) -> WordFeatures:
        """Builds the vocabularies from training sentences.

        Args:
            sentences: the words of each.
            settings: sizes and smallest counts.
            forms_with_vectors: normal forms that join the vocabulary as long as there is room,
                those of the sentences first.
        """
        surface = Counter(word for sentence in sentences for word in sentence)
        forms: Counter[str] = Counter()
        characters: Counter[str] = Counter()
        for word, count in surface.items():
            forms[normal_form(word)] += count
            characters.update(unicodedata.normalize("NFC", word))
        affixes = Counter(
            affix for form in forms for affix in affixes_of(form, settings.affixes) if affix
        )
        words = Vocabulary.from_counts(forms, settings.vocabulary_size, settings.min_count)
        more = sorted(
            set(forms_with_vectors) - set(words.tokens), key=lambda form: form not in forms
        )
        words = Vocabulary((*words.tokens, *more)[: settings.vocabulary_size])
        return cls(
            words,
            Vocabulary.from_counts(
                characters, settings.character_vocabulary_size, settings.character_min_count
            ),
            Vocabulary.from_counts(
                affixes, settings.affix_vocabulary_size, settings.affix_min_count
            ),
            settings,
        )

    @classmethod
    def assumed(cls, settings: WordSettings) -> WordFeatures:
        """With as many entries in each vocabulary as the settings allow."""
        sizes = (
            settings.vocabulary_size,
            settings.character_vocabulary_size,
            settings.affix_vocabulary_size,
        )
        words, characters, affixes = map(Vocabulary.assumed, sizes)
        return cls(words, characters, affixes, settings)

    def encode(self, words: Sequence[str]) -> Encoded:
        """Encodes words, each by itself."""
        forms = [normal_form(word) for word in words]
        spelled = [
            cut(
                self.characters.encode(unicodedata.normalize("NFC", word)),
                self.settings.max_characters,
                "head+tail",
            )
            for word in words
        ]
        width = 2 + max((len(ids) for ids in spelled), default=0)
        characters = np.full((len(words), width), PAD, np.int32)
        for row, ids in zip(characters, spelled, strict=True):
            row[: len(ids) + 2] = [BOS, *ids, EOS]
        longest = self.settings.affixes
        affixes = np.full((len(words), 2 * longest), PAD, np.int32)
        for row, form in zip(affixes, forms, strict=True):
            found = affixes_of(form, longest)
            ids = self.affixes.encode([affix or "" for affix in found])
            row[:] = np.where([affix is None for affix in found], PAD, ids)
        return Encoded(self.words.encode(forms), characters, affixes)

    def save(self, folder: Path) -> None:
        """Writes the vocabularies into a folder."""
        parts = (self.words, self.characters, self.affixes)
        for name, vocabulary in zip(VOCABULARY_FILES, parts, strict=True):
            vocabulary.save(folder / name)

    @classmethod
    def load(cls, folder: Path, settings: WordSettings) -> WordFeatures:
        """Reads what :meth:`save` wrote."""
        words, characters, affixes = (Vocabulary.load(folder / name) for name in VOCABULARY_FILES)
        return cls(words, characters, affixes, settings)
