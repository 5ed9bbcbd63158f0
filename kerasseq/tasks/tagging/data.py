"""Tagged sentences as ids: each distinct word is encoded once."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerasseq.app.task import Data
from kerasseq.data.batches import (
    SequenceBatches,
    TokenBatchSettings,
    lengths_of,
    pad,
    token_batches,
)
from kerasseq.data.corpus import Corpus, distinct, length_percentiles
from kerasseq.data.cutting import ADVICE, Rule, at_random, cut_splits, whole_of
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.vectors import read_vectors
from kerasseq.storage import write_json
from kerasseq.tasks.tagging.baseline import MostFrequentTag
from kerasseq.text.splitter import WordSplitter
from kerasseq.text.splitter_learning import learn_splitter
from kerasseq.text.vocabulary import UNK
from kerasseq.text.word_features import Encoded, WordFeatures, WordSettings, normal_form
from kerasseq.training.run_folder import RunFolder

SAMPLES = 64

UNKNOWN_TAG = -1
"""Index of a tag that training does not have."""


class WordTable:
    """Distinct words with their features, and sentences as rows of this table.

    Row 0 stands for padding, so that sentences can be padded like ids.

    Args:
        features: encodes words.
        sentences: the words of each sentence.
    """

    def __init__(self, features: WordFeatures, sentences: Iterable[Sequence[str]]):
        rows: dict[str, int] = {}
        self.sequences = [
            np.array([rows.setdefault(word, len(rows) + 1) for word in sentence], np.int32)
            for sentence in sentences
        ]
        encoded = features.encode(list(rows))
        self._features = Encoded(*(np.pad(part, ((1, 0), *[(0, 0)] * (part.ndim - 1)))
                                   for part in encoded))  # fmt: skip
        self._spelled = np.count_nonzero(self._features.characters, axis=1)

    def unknown(self, sequence: np.ndarray) -> int:
        """How many words of a sentence have no id of their own."""
        return int(np.count_nonzero(self._features.words[sequence] == UNK))

    def inputs(self, sequences: Sequence[np.ndarray], multiple: int = 1) -> dict[str, np.ndarray]:
        """A model's inputs for some sentences.

        Args:
            sequences: rows of this table, each with at least one word.
            multiple: sentences are padded to a multiple of this.

        Returns:
            ``index`` int32 ``[B, T]``, positions in what follows, 0 being padding; and the
            features of the batch's distinct words: ``words`` ``[U]``, ``characters`` ``[U, C]``,
            ``affixes`` ``[U, A]``.
        """
        padded, _ = pad(sequences, multiple)
        rows, index = np.unique(np.append(padded, 0), return_inverse=True)
        words, characters, affixes = (part[rows] for part in self._features)
        width = max(1, int(self._spelled[rows].max()))
        return {
            "index": index[:-1].reshape(padded.shape).astype(np.int32),
            "words": words,
            "characters": characters[:, :width],
            "affixes": affixes,
        }


@dataclass(frozen=True)
class TaggedSplit:
    """A split's sentences, their words as rows of a table, and the indices of their tags."""

    sentences: Sequence[TaggedSentence]
    table: WordTable
    tags: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.sentences)

    def rows(self, column: str) -> tuple[list[list[str]], list[list[str]]]:
        """The words, and the tags of a column, of every sentence."""
        return (
            [sentence.words for sentence in self.sentences],
            [sentence.columns[column] for sentence in self.sentences],
        )


class Assets(NamedTuple):
    """What a tagger needs beside its weights, and what its reports compare with.

    Attributes:
        features: words to a model's inputs.
        splitter: raw text to words.
        names: of the tags.
        baseline: of the train split: what to compare with, and which words training saw.
    """

    features: WordFeatures
    splitter: WordSplitter
    names: list[str]
    baseline: MostFrequentTag

    def save(self, run: RunFolder) -> None:
        """Writes them to a run folder."""
        self.features.save(run.path)
        self.splitter.save(run / "splitter.json")
        write_json(run / "tags.json", self.names)
        write_json(run / "baseline.json", self.baseline.to_dict())

    @classmethod
    def load(cls, run: RunFolder, settings: Any) -> Assets:
        """Reads what :meth:`save` wrote."""
        return cls(
            WordFeatures.load(run.path, settings.words),
            WordSplitter.load(run / "splitter.json"),
            run.need_json("tags.json"),
            MostFrequentTag.from_dict(run.need_json("baseline.json")),
        )

    @classmethod
    def assumed(cls, settings: Any) -> Assets:
        """Those of 17 tags, as Universal Dependencies have."""
        names = [f"tag {i}" for i in range(17)]
        baseline = MostFrequentTag([["word"]], [["tag 0"]])
        return cls(WordFeatures.assumed(settings.words), WordSplitter(), names, baseline)


TaggedData = Data[TaggedSplit, Assets]


def cut_corpus(
    corpus: Corpus[TaggedSentence], fraction: float, seed: int
) -> Corpus[TaggedSentence]:
    """Completes a corpus to train, validation and test.

    A split that the source has stays what it is, but for the one that is cut: there, sentences
    with the same words are removed first, so that none stands on both sides of a cut.

    Args:
        corpus: with the splits its source has.
        fraction: share of the validation split, and of the test split where there is none.
        seed: of the cut.

    Raises:
        UserError: if a split would be empty.
    """
    whole = whole_of(corpus)
    given = corpus.splits.get(whole, [])
    if not {"validation", "test"} <= set(corpus.splits):
        kept = distinct(given, _words)
        notes = list(corpus.notes)
        if repeated := len(given) - len(kept):
            notes.append(f"{repeated:,} repeated sentences removed before cutting")
        corpus = replace(corpus, splits={**corpus.splits, whole: kept}, notes=notes)
    rule: Rule[TaggedSentence] = at_random(fraction, seed)
    return cut_splits(corpus, rule, "sentence", ("sentences", _words), advice=ADVICE)


def _words(sentence: TaggedSentence) -> tuple[str, ...]:
    return tuple(sentence.words)


def encode_split(
    sentences: Sequence[TaggedSentence], features: WordFeatures, names: list[str], column: str
) -> tuple[TaggedSplit, dict[str, Any]]:
    """Encodes a split and says what it holds.

    A tag that is not among the names becomes :data:`UNKNOWN_TAG`.
    """
    table = WordTable(features, [sentence.words for sentence in sentences])
    index = {name: position for position, name in enumerate(names)}
    tags = [
        np.array([index.get(tag, UNKNOWN_TAG) for tag in sentence.columns[column]], np.int32)
        for sentence in sentences
    ]
    lengths = lengths_of(sentences)
    counts = Counter(tag for sentence in sentences for tag in sentence.columns[column])
    unknown = sum(map(table.unknown, table.sequences))
    return TaggedSplit(sentences, table, tags), {
        "examples": len(sentences),
        "labels": dict(counts.most_common()),
        "tokens": int(lengths.sum()),
        "unknown_share": round(unknown / int(lengths.sum()), 4),
        "length_percentiles": length_percentiles(lengths),
        "sha256": _digest(sentences, column),
    }


def encode_corpus(
    corpus: Corpus[TaggedSentence],
    column: str,
    settings: WordSettings,
    assets: Assets | None = None,
    forms_with_vectors: Iterable[str] = (),
) -> TaggedData:
    """Encodes every split, by what is learned from the train split.

    Args:
        corpus: with the splits train, validation and test.
        column: what is learned.
        settings: of the vocabularies.
        assets: what was learned already, if it was.
        forms_with_vectors: see :meth:`WordFeatures.from_sentences`.
    """
    if assets is None:
        assets = _learned(corpus.splits["train"], column, settings, forms_with_vectors)
    splits, reports = {}, {}
    for name, sentences in corpus.splits.items():
        encoded = encode_split(sentences, assets.features, assets.names, column)
        splits[name], reports[name] = encoded
    report = {
        "source": corpus.source,
        "notes": list(corpus.notes),
        "classes": assets.names,
        "vocabulary": len(assets.features.words),
        "splits": reports,
    }
    samples = [
        sentence.text or " ".join(sentence.words)
        for sentence in corpus.splits["validation"][:SAMPLES]
    ]
    return Data(splits, assets, report, samples)


def read_word_vectors(
    train: Sequence[TaggedSentence], path: Path, most: int, size: int, notes: list[str]
) -> tuple[dict[str, np.ndarray], str]:
    """Word vectors by the form of the word, and how many words of train have one, for people.

    Args:
        train: whose words are wanted.
        path: of the file.
        most: other words that are read.
        size: that the vectors must have.
        notes: gets what was found out.
    """
    seen = {normal_form(word) for sentence in train for word in sentence.words}
    vectors = read_vectors(path, normal_form, seen, most, size, notes)
    covered = len(seen & vectors.keys())
    return vectors, f"{covered:,} of {len(seen):,} words of train have one"


def _learned(
    train: Sequence[TaggedSentence],
    column: str,
    settings: WordSettings,
    vectors: Iterable[str],
) -> Assets:
    """Vocabularies, word splitter, tags and baseline of the train split."""
    words = [sentence.words for sentence in train]
    tags = [sentence.columns[column] for sentence in train]
    return Assets(
        WordFeatures.from_sentences(words, settings, vectors),
        learn_splitter(train),
        sorted(set(itertools.chain.from_iterable(tags))),
        MostFrequentTag(words, tags),
    )


def encode_test(
    corpus: Corpus[TaggedSentence], split: str, column: str, assets: Assets
) -> TaggedData:
    """Encodes a split of other data for a trained model, as ``test``.

    Args:
        corpus: as it was read.
        split: the split's name there.
        column: what was learned.
        assets: of the training data.
    """
    encoded, summary = encode_split(corpus.splits[split], assets.features, assets.names, column)
    report = {
        "source": corpus.source,
        "notes": list(corpus.notes),
        "vocabulary": len(assets.features.words),
        "splits": {split: summary},
    }
    return Data({"test": encoded}, assets, report)


def _digest(sentences: Iterable[TaggedSentence], column: str) -> str:
    digest = hashlib.sha256()
    for sentence in sentences:
        rows = zip(sentence.words, sentence.columns[column], strict=True)
        digest.update("\n".join("\t".join(row) for row in rows).encode("utf-8", "surrogatepass"))
        digest.update(b"\n\n")
    return digest.hexdigest()


class TaggedBatches(SequenceBatches):
    """Training batches by a budget of tokens: a model's inputs, and the tags.

    Args:
        split: the training data.
        settings: budget, pool and padding.
        seed: of the order.
    """

    def __init__(self, split: TaggedSplit, settings: TokenBatchSettings, seed: int):
        super().__init__(lengths_of(split.table.sequences), seed)
        self._split, self._settings = split, settings

    def epoch(self, number: int) -> list[np.ndarray]:
        """The positions that make up each batch of an epoch."""
        return token_batches(self._lengths, self._settings, self._seed, number)

    def fetch(self, item: np.ndarray) -> dict[str, np.ndarray]:
        """:meth:`WordTable.inputs`, and ``tags`` int32 ``[B, T]``, 0 at padding."""
        split, multiple = self._split, self._settings.pad_to_multiple
        inputs = split.table.inputs([split.table.sequences[i] for i in item], multiple)
        return {**inputs, "tags": pad([split.tags[i] for i in item], multiple)[0]}
