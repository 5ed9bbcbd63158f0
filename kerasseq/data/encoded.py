"""Labelled texts as ids, tokenised once and kept in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasseq.config import Settings, setting
from kerasseq.data.labelled import Corpus, Examples
from kerasseq.errors import UserError
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
        return np.array([len(sequence) for sequence in self.sequences], np.int32)


def encode_text(text: str, vocabulary: Vocabulary, settings: TextSettings) -> np.ndarray:
    """Ids of one text: BOS, then its tokens, cut by the rule of ``settings``."""
    return _with_bos(vocabulary.encode(tokenize(text)), settings)


def _with_bos(ids: np.ndarray, settings: TextSettings) -> np.ndarray:
    return np.concatenate([[BOS], cut(ids, settings.max_length, settings.keep)]).astype(np.int32)


def encode_split(
    examples: Examples, names: list[str], vocabulary: Vocabulary, settings: TextSettings
) -> tuple[EncodedSplit, dict[str, Any]]:
    """Encodes a split and says what it holds.

    Texts without any token are dropped and counted.

    Args:
        examples: texts and labels.
        names: the classes; a label's index is its position here.
        vocabulary: of the train split.
        settings: the cut.

    Raises:
        UserError: if nothing is left.
    """
    return _finish(examples, [vocabulary.encode(tokenize(t)) for t in examples.texts],
                   names, settings)  # fmt: skip


def _finish(
    examples: Examples, encoded: list[np.ndarray], names: list[str], settings: TextSettings
) -> tuple[EncodedSplit, dict[str, Any]]:
    full = np.array([len(ids) for ids in encoded])
    kept = np.flatnonzero(full)
    if not len(kept):
        raise UserError("every text is empty after tokenising")
    index = {name: position for position, name in enumerate(names)}
    examples = examples.take(kept)
    split = EncodedSplit(
        [_with_bos(encoded[i], settings) for i in kept],
        np.array([index[label] for label in examples.labels], np.int32),
        examples.texts,
    )
    tokens = int(full.sum())
    unknown = sum(int(np.count_nonzero(ids == UNK)) for ids in encoded)
    percentiles = (5, 25, 50, 75, 95, 100)
    summary = {
        "examples": len(split),
        "empty_dropped": len(full) - len(kept),
        "labels": {name: Counter(examples.labels)[name] for name in names},
        "tokens": tokens,
        "unknown_share": round(unknown / tokens, 4),
        "length_percentiles": {
            f"p{p}": int(v) for p, v in zip(percentiles, np.percentile(full[kept], percentiles),
                                            strict=True)
        },
        "cut_share": round(float(np.mean(full[kept] > settings.max_length)), 4),
    }  # fmt: skip
    return split, summary


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
        encoded = [vocabulary.encode(words) for words in tokens.pop(name)]
        splits[name], reports[name] = _finish(part, encoded, names, settings)
    report = {
        "source": corpus.source,
        "notes": corpus.notes,
        "classes": names,
        "vocabulary": len(vocabulary),
        "splits": reports,
    }
    return LabelledData(splits, vocabulary, names, report)
