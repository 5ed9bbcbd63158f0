"""Running text as one stream of ids for each split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kerasseq.config import Settings, setting
from kerasseq.data.splits import length_percentiles
from kerasseq.tasks.language_model.reading import TextCorpus
from kerasseq.errors import UserError
from kerasseq.text.codec import Codec, Units, count_tokens, guess_units
from kerasseq.text.vocabulary import EOS, SPECIAL_TOKENS, UNK, Vocabulary

RAW_MIN_COUNT = 5
_CHUNK = 1 << 22  # ids counted at once: bincount makes int64 of them


@dataclass(frozen=True)
class VocabularySettings(Settings):
    """Text to ids."""

    level: Literal["word", "char"] = "word"
    """What is predicted: words and punctuation marks, or characters."""
    tokenizer: Literal["auto", "words", "blanks"] = "auto"
    """At word level: cut into words and marks in lower case, or at blanks, for a text that was
    tokenised before; auto takes blanks if <unk> is among the tokens."""
    vocabulary_size: int = setting(0, ge=0)
    """Most ids in the vocabulary, the 4 special ones included; built from the train split only.
    With 0, every token that occurs min_count times has one."""
    min_count: int = setting(0, ge=0)
    """A token must occur this often in the train split to enter the vocabulary. With 0, words cut
    from raw text must occur 5 times if vocabulary_size is 0, and everything else once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.vocabulary_size <= len(SPECIAL_TOKENS):
            raise UserError(
                f"vocabulary_size must be 0 (all tokens) or >= {len(SPECIAL_TOKENS) + 1}, "
                f"got {self.vocabulary_size}"
            )
        if self.level == "char" and self.tokenizer != "auto":
            raise UserError(
                f"tokenizer {self.tokenizer} is for level word; at level char the text is not cut"
            )


@dataclass(frozen=True)
class TextData:
    """Encoded splits with what is needed to encode more."""

    splits: dict[str, np.ndarray]
    """Ids, int32 ``[T]``; every line end is EOS."""
    codec: Codec
    report: dict[str, Any]
    """Where the data came from and what it holds, as the run folder's ``data.json``."""
    counts: np.ndarray
    """How often each id occurs in train, int64 ``[V]``."""


def encode_split(text: str, codec: Codec) -> tuple[np.ndarray, dict[str, Any]]:
    """Encodes a split and says what it holds.

    At word level its last line is ended, whether or not the text ends it.

    Returns:
        Ids, int32 ``[T]``, and the summary. Tokens and lengths of lines count EOS.
    """
    ids = codec.encode(text)
    if codec.units != "characters" and not text.endswith("\n"):
        ids = np.append(ids, np.int32(EOS))
    ends = np.flatnonzero(ids == EOS) + 1
    if not len(ends) or ends[-1] < len(ids):
        ends = np.append(ends, len(ids))
    unknown = int(np.count_nonzero(ids == UNK))
    return ids, {
        "examples": len(ends),
        "labels": {},
        "tokens": len(ids),
        "characters": len(text),
        "unknown": unknown,
        "unknown_share": round(unknown / max(1, len(ids)), 4),
        "length_percentiles": length_percentiles(np.diff(ends, prepend=0)),
        "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    }


def check_length(ids: np.ndarray, source: str, split: str) -> None:
    """Raises:
    UserError: if a split has fewer than two tokens, line ends not counted.
    """
    if np.count_nonzero(ids != EOS) < 2:
        raise UserError(f"{source}: the {split} split has fewer than two tokens")


def encode_corpus(corpus: TextCorpus, settings: VocabularySettings) -> TextData:
    """Builds the vocabulary from the train split and encodes every split.

    Args:
        corpus: with the split train, and maybe others.
        settings: of the vocabulary.

    Raises:
        UserError: if a split has fewer than two tokens, or train fewer types than the vocabulary
            is to have.
    """
    train = corpus.splits["train"]
    units: Units = "characters"
    if settings.level == "word":
        units = guess_units(train) if settings.tokenizer == "auto" else settings.tokenizer
    codec = Codec(units, _vocabulary(train, units, corpus.source, settings))
    splits, reports = {}, {}
    for name, text in corpus.splits.items():
        splits[name], reports[name] = encode_split(text, codec)
        check_length(splits[name], corpus.source, name)
    counts = _counts(splits["train"], len(codec.vocabulary))
    report = {
        "source": corpus.source,
        "notes": corpus.notes,
        "level": settings.level,
        "units": units,
        "vocabulary": len(codec.vocabulary),
        "types": int(np.count_nonzero(counts)),
        "splits": reports,
    }
    return TextData(splits, codec, report, counts)


def _counts(ids: np.ndarray, size: int) -> np.ndarray:
    """How often each id occurs, int64 ``[size]``."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(ids), _CHUNK):
        counts += np.bincount(ids[start : start + _CHUNK], minlength=size)
    return counts


def _vocabulary(text: str, units: Units, source: str, settings: VocabularySettings) -> Vocabulary:
    counts = count_tokens(text, units)
    if sum(counts.values()) < 2:
        raise UserError(f"{source}: the train split has fewer than two tokens")
    size = settings.vocabulary_size
    # without unknown words in training there is nothing to learn about them
    least = settings.min_count or (RAW_MIN_COUNT if units == "words" and not size else 1)
    vocabulary = Vocabulary.from_counts(counts, size or len(SPECIAL_TOKENS) + len(counts), least)
    types = len(vocabulary) - len(SPECIAL_TOKENS)
    often = f" (min_count is {least})" if least > 1 else ""
    if len(vocabulary) < size:
        raise UserError(
            f"{source}: vocabulary_size {size:,} is more than the text can fill: its train split "
            f"has {types:,} types{often}, which are {len(vocabulary):,} ids with the special ones "
            "(0 takes them all)"
        )
    if not types:
        raise UserError(
            f"{source}: no token of the train split occurs {least} times, as "
            f"{'text.min_count' if settings.min_count else 'a vocabulary of raw words'} asks for; "
            "give a lower --text.min_count"
        )
    return vocabulary
