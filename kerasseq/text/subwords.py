"""Cased words or subwords of a text, and back. :mod:`kerasseq.text.subwords_graph` is its twin.

A text is cut into units: runs of letters and digits, and single marks. A unit that has a blank
before it begins with "▁", as in SentencePiece, so that the units say how the text was written. What
comes back is its NFC, with single blanks in place of white space, controls and format characters
(such as U+200C, which some scripts write inside words). A token is a whole unit, or a part of one
that byte-pair encoding made (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909).
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from kerasseq.errors import UserError
from kerasseq.installing import install_extra
from kerasseq.storage import write_json
from kerasseq.text.unicode_tables import MARK, WORD, regex_set
from kerasseq.text.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK, Vocabulary

Level = Literal["word", "subword"]
"""What a token is: a whole unit, or a part of one."""

BLANK = "\u2581"
"""Stands for the blank before a unit, and before the text. In a text it counts as a blank."""

MAX_RUN = 64
"""Most characters of a unit, BLANK not counted; a longer run of word characters is several units.
In the graph a unit takes a round for each of its merges, and no word of a language is as long."""

_AT_ONCE = 1000  # of one unit, in a string for the trainer, which does not take counts
_blanks = re.compile(f"{BLANK}+")


@cache
def patterns(ascii_only: bool) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What stands between separators, and a unit of it."""
    last = 0x7F if ascii_only else sys.maxunicode
    word, mark = regex_set(WORD, last), regex_set(MARK, last)
    unit = f"{BLANK}?(?:[{word}]{{1,{MAX_RUN}}}|[{mark}])"
    return re.compile(f"[{word}{mark}]+"), re.compile(unit)


def _units_of_chunk(chunk: str) -> list[str]:
    """The units of what stands between white space."""
    normal = unicodedata.normalize("NFC", chunk)
    inside, unit = patterns(normal.isascii())
    return unit.findall("".join(BLANK + run for run in inside.findall(normal.replace(BLANK, " "))))


def units(text: str) -> list[str]:
    """Cuts the NFC of a text into runs of word characters and single marks.

    White space, controls and whatever else is neither are blanks. A unit with a blank before it,
    or at the beginning, begins with BLANK.

    >>> units("Don't go!  (Yet)")
    ['▁Don', "'", 't', '▁go', '!', '▁(', 'Yet', ')']
    """
    # normalisation does not reach across white space
    return [unit for chunk in text.split() for unit in _units_of_chunk(chunk)]


def join(pieces: Iterable[str]) -> str:
    """The text that pieces spell: each BLANK, or run of them, is a blank.

    >>> join(["▁Don", "'", "t", "▁g", "o", "!"])
    "Don't go!"
    """
    return _blanks.sub(" ", "".join(pieces)).strip(" ")


@dataclass(frozen=True)
class SubwordCodec:
    """Text to token ids and back.

    Args:
        level: what a token is.
        vocabulary: the tokens' ids.
        merges: the pairs of tokens that become one, the first to be merged first; only of
            subwords.

    Raises:
        ValueError: if the level is unknown, there are merges of words, or a merge is there twice
            or of or into what is no token.

    >>> codec = SubwordCodec.learn(["A film.", "a film, a film!"], "word", size=6)
    >>> codec.encode("a film?").tolist()
    [5, 4, 1]
    >>> codec.decode([5, 4, 1])
    'a film <unk>'
    """

    level: Level
    vocabulary: Vocabulary
    merges: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.level not in get_args(Level):
            raise ValueError(f"level must be one of {get_args(Level)}, got {self.level!r}")
        if self.level == "word" and self.merges:
            raise ValueError("whole words have no merges")
        if len(set(self.merges)) != len(self.merges):
            raise ValueError("merges must be distinct")
        tokens = set(self.vocabulary.tokens[len(SPECIAL_TOKENS) :])
        wrong = [pair for pair in self.merges if not {*pair, "".join(pair)} <= tokens]
        if wrong:
            raise ValueError(f"merges must be of and into tokens, got {wrong[:5]}")

    @classmethod
    def learn(
        cls, texts: Iterable[str], level: Level, size: int, min_count: int = 1
    ) -> SubwordCodec:
        """Learns the tokens of training texts; the same texts give the same tokens.

        Words are the most frequent units. Subwords are the most frequent characters, sorted, and
        then what the most frequent pairs of tokens inside a unit merge into, one after the other.

        Args:
            texts: of the train split.
            level: what a token is.
            size: most ids, the 4 special ones included.
            min_count: how often a word, or a character and a pair, must occur.

        Raises:
            UserError: if subwords are wanted and the package ``tokenizers`` is not installed.
        """
        counts = count_units(texts)
        if level == "word":
            return cls(level, Vocabulary.from_counts(counts, size, min_count))
        return cls(level, *_learn_merges(counts, size, min_count))

    def encode(self, text: str) -> np.ndarray:
        """Ids of a text, int32 ``[T]``, without BOS and EOS.

        UNK stands for a word that is not in the vocabulary; of subwords, for a character.
        """
        return self.encode_all([text])[0]

    def encode_all(self, texts: Iterable[str]) -> list[np.ndarray]:
        """Ids of texts, int32 ``[T]`` each."""
        known: dict[str, list[int]] = {}  # by what stands between white space: much occurs again

        def ids_of(chunk: str) -> list[int]:
            if (ids := known.get(chunk)) is None:
                ids = known[chunk] = [i for _, i in self._pairs(_units_of_chunk(chunk))]
            return ids

        return [
            np.fromiter(chain.from_iterable(map(ids_of, text.split())), np.int32) for text in texts
        ]

    def words_of(self, text: str) -> list[str]:
        """For each token of :meth:`encode`, the unit that it is of, without BLANK."""
        return [unit.removeprefix(BLANK) for unit, _ in self._pairs(units(text))]

    def decode(self, ids: Iterable[int], copies: Sequence[str] | None = None) -> str:
        """Readable text of ids: PAD, BOS and EOS are nothing, UNK is a word.

        Args:
            ids: int ``[T]``, each below the vocabulary's size.
            copies: for each id, the word that is shown if it is UNK, once where several that
                follow each other have the same; ``<unk>`` if not given.
        """
        if copies is None:
            return join(self.spellings[i] for i in ids)
        pieces, before = [], None
        for i, copy in zip(ids, copies, strict=True):
            shown = copy if i == UNK else None
            if shown is None:
                pieces.append(self.spellings[i])
            elif shown != before:
                pieces.append(BLANK + shown)
            before = shown
        return join(pieces)

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """How each id is spelled, with BLANK, and the special ones by their names."""
        return [self.vocabulary.tokens[i] for i in ids]

    @cached_property
    def spellings(self) -> list[str]:
        """What each id stands for: nothing for PAD, BOS and EOS, a word for UNK."""
        tokens = list(self.vocabulary.tokens)
        tokens[PAD] = tokens[BOS] = tokens[EOS] = ""
        tokens[UNK] = BLANK + SPECIAL_TOKENS[UNK]
        return tokens

    def save(self, path: Path) -> None:
        """Writes JSON."""
        merges = [" ".join(pair) for pair in self.merges]
        tokens = self.vocabulary.tokens
        write_json(path, {"level": self.level, "tokens": tokens, "merges": merges})

    @classmethod
    def load(cls, path: Path) -> SubwordCodec:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: if the file is missing or is no such codec.
        """
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            merges = ((left, right) for left, right in (pair.split(" ") for pair in read["merges"]))
            if not all(isinstance(token, str) for token in read["tokens"]):
                raise TypeError("a token is not a string")
            return cls(read["level"], Vocabulary(read["tokens"]), tuple(merges))
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise UserError(f"{path} is not a vocabulary of subwords: {error}") from None

    def _pairs(self, of: Iterable[str]) -> Iterator[tuple[str, int]]:
        """The ids of units, each with its unit."""
        if self.level == "word":
            found = list(of)
            yield from zip(found, self.vocabulary.encode(found).tolist(), strict=True)
        else:
            for unit in of:
                for token in self._model.tokenize(unit):
                    yield unit, token.id

    @cached_property
    def _model(self) -> Any:
        ids = {token: i for i, token in enumerate(self.vocabulary.tokens)}
        return _library().models.BPE(ids, list(self.merges), unk_token=SPECIAL_TOKENS[UNK])


def count_units(texts: Iterable[str]) -> Counter[str]:
    """How often each unit occurs in texts."""
    counts: Counter[str] = Counter()
    for chunk, count in Counter(chain.from_iterable(map(str.split, texts))).items():
        for unit in _units_of_chunk(chunk):
            counts[unit] += count
    return counts


def _library() -> Any:
    """The package ``tokenizers``, which only subwords need."""
    try:
        import tokenizers
    except ImportError:
        raise UserError(
            f"level subword needs the package tokenizers: {install_extra('translation')}"
        ) from None
    return tokenizers


def _alphabet(counts: Counter[str], size: int, min_count: int) -> set[str]:
    """BLANK and the most frequent characters (ties: by code point), at most ``size``."""
    characters: Counter[str] = Counter()
    for unit, count in counts.items():
        for character in unit:
            characters[character] += count
    frequent = [
        character
        for character, count in characters.items()
        if count >= min_count and character != BLANK
    ]
    frequent.sort(key=lambda character: (-characters[character], character))
    return set([BLANK, *frequent][: max(0, size)])


def _learn_merges(
    counts: Counter[str], size: int, min_count: int
) -> tuple[Vocabulary, tuple[tuple[str, str], ...]]:
    library = _library()
    # the trainer's own limit takes any of the characters that are equally frequent
    alphabet = _alphabet(counts, size - len(SPECIAL_TOKENS), min_count)

    def repeated() -> Iterator[str]:
        for unit, count in counts.items():
            # what stands on the two sides of an unknown character must not look like a pair
            known = "".join(char if char in alphabet else " " for char in unit)
            for done in range(0, count, _AT_ONCE):
                yield f"{known} " * min(_AT_ONCE, count - done)

    learner = library.Tokenizer(library.models.BPE())
    learner.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    learner.train_from_iterator(repeated(), trainer)
    model = json.loads(learner.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return Vocabulary(tokens), tuple((left, right) for left, right in model["merges"])
