"""Labelled texts as ids, tokenised once and kept in memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasseq.config import Settings, setting
from kerasseq.data.batches import lengths_of
from kerasseq.data.labelled import Corpus, Examples
from kerasseq.data.splits import length_percentiles
from kerasseq.text.cut import Keep, cut
from kerasseq.text.tokenizer import tokenize
from kerasseq.text.vocabulary import BOS, UNK, Vocabulary


@dataclass(frozen=True)
class TextSettings(Settings):
    """Text to ids."""

    vocabulary_size: int = setting(30_000, ge=5)
    """Most ids in the vocabulary, the 4 special ones included; built from the train split only."""
    min_count: int = setting(2, ge=1)
    """A token must occur this often in the train split to enter the vocabulary."""
    max_length: int = setting(800, ge=1)
    """Longest text kept, in tokens."""
    keep: Keep = "tail"
    """What is kept of a longer text: its first tokens, its last, or half of them from either."""


@dataclass(frozen=True)
class EncodedSplit:
    """Sequences of ids, each starting with BOS, with their class indices."""

    sequences: list[np.ndarray]
    labels: np.ndarray
    texts: list[str]

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> np.ndarray:
        """Length of each sequence, int32 ``[N]``."""
        return lengths_of(self.sequences)


def encode_text(text: str, vocabulary: Vocabulary, settings: TextSettings) -> np.ndarray:
    """Ids of one text: BOS, then its tokens, cut by the rule of ``settings``."""
    return _with_bos(vocabulary.encode(tokenize(text)), settings)


def _with_bos(ids: np.ndarray, settings: TextSettings) -> np.ndarray:
    return np.concatenate([[BOS], cut(ids, settings.max_length, settings.keep)]).astype(np.int32)


def encode_split(
    examples: Examples,
    tokens: Iterable[list[str]],
    names: list[str],
    vocabulary: Vocabulary,
    settings: TextSettings,
) -> tuple[EncodedSplit, dict[str, Any]]:
    """Encodes a split and says what it holds.

    Args:
        examples: texts and labels.
        tokens: of each text; at least one.
        names: the classes; a label's index is its position here.
        vocabulary: of the train split.
        settings: the cut.
    """
    encoded = [vocabulary.encode(words) for words in tokens]
    lengths = np.array([len(ids) for ids in encoded])
    index = {name: position for position, name in enumerate(names)}
    split = EncodedSplit(
        [_with_bos(ids, settings) for ids in encoded],
        np.array([index[label] for label in examples.labels], np.int32),
        examples.texts,
    )
    unknown = sum(int(np.count_nonzero(ids == UNK)) for ids in encoded)
    counts = Counter(examples.labels)
    return split, {
        "examples": len(split),
        "labels": {name: counts[name] for name in names},
        "tokens": int(lengths.sum()),
        "unknown_share": round(unknown / int(lengths.sum()), 4),
        "length_percentiles": length_percentiles(lengths),
        "cut_share": round(float(np.mean(lengths > settings.max_length)), 4),
        "sha256": _digest(examples),
    }


def _digest(examples: Examples) -> str:
    """Of the texts and labels, in order: a run refuses to go on with other data."""
    digest = hashlib.sha256()
    for text, label in zip(examples.texts, examples.labels, strict=True):
        digest.update(f"{len(text)} {text} {label}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@dataclass(frozen=True)
class LabelledData:
    """Encoded splits with what is needed to encode more."""

    splits: dict[str, EncodedSplit]
    vocabulary: Vocabulary
    class_names: list[str]
    report: dict[str, Any]
    """Where the data came from and what it holds, as the run folder's ``data.json``."""


def encode_corpus(corpus: Corpus, names: list[str], settings: TextSettings) -> LabelledData:
    """Tokenises every split once, builds the vocabulary from train, and encodes."""
    tokens = {name: [tokenize(text) for text in part.texts] for name, part in corpus.splits.items()}
    vocabulary = Vocabulary.from_sequences(
        tokens["train"], settings.vocabulary_size, settings.min_count
    )
    splits, reports = {}, {}
    for name, part in corpus.splits.items():
        splits[name], reports[name] = encode_split(
            part, tokens.pop(name), names, vocabulary, settings
        )
    report = {
        "source": corpus.source,
        "notes": corpus.notes,
        "classes": names,
        "vocabulary": len(vocabulary),
        "splits": reports,
    }
    return LabelledData(splits, vocabulary, names, report)
