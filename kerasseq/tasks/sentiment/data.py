"""Labelled texts as ids, tokenised once and kept in memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from kerasseq.app.task import Data
from kerasseq.data.batches import (
    BatchSettings,
    SequenceBatches,
    lengths_of,
    pad,
    padding_waste,
    shuffled_batches,
)
from kerasseq.data.corpus import Corpus, distinct, length_percentiles
from kerasseq.data.cutting import ADVICE, Rule, cut_splits, stratified, whole_of
from kerasseq.data.examples import LabelledText
from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.tasks.sentiment.settings import TextSettings
from kerasseq.text.cut import cut
from kerasseq.text.tokenizer import has_token, tokenize
from kerasseq.text.vocabulary import BOS, UNK, FirstIds, Vocabulary
from kerasseq.training.run_folder import RunFolder

SAMPLES = 64


class Assets(NamedTuple):
    """What a classifier needs beside its weights."""

    vocabulary: Vocabulary
    class_names: list[str]

    def save(self, run: RunFolder) -> None:
        """Writes them to a run folder."""
        self.vocabulary.save(run / "vocabulary.txt")
        write_json(run / "classes.json", self.class_names)

    @classmethod
    def load(cls, run: RunFolder, settings: Any) -> Assets:
        """Reads what :meth:`save` wrote."""
        return cls(Vocabulary.load(run / "vocabulary.txt"), run.need_json("classes.json"))

    @classmethod
    def assumed(cls, settings: Any) -> Assets:
        """Those of two classes."""
        return cls(Vocabulary.assumed(settings.text.vocabulary_size), ["negative", "positive"])


@dataclass(frozen=True)
class EncodedTexts:
    """A split.

    Attributes:
        sequences: of ids, each starting with BOS.
        labels: class indices int32 ``[N]``.
        texts: as they were; none of what is trained on.
    """

    sequences: list[np.ndarray]
    labels: np.ndarray
    texts: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> np.ndarray:
        """Length of each sequence, int32 ``[N]``."""
        return lengths_of(self.sequences)


LabelledData = Data[EncodedTexts, Assets]


def without_empty(corpus: Corpus[LabelledText]) -> Corpus[LabelledText]:
    """The corpus without the texts that have no token, which are counted in its notes.

    Raises:
        UserError: if a split has nothing else.
    """
    splits, notes = {}, list(corpus.notes)
    for name, part in corpus.splits.items():
        kept = [example for example in part if has_token(example.text)]
        if not kept:
            raise UserError(f"{corpus.source}: every text is empty after tokenising")
        if len(kept) < len(part):
            where = "" if name == "all" else f" of {name}"
            notes.append(f"{len(part) - len(kept):,} texts{where} without any token dropped")
        splits[name] = kept
    return replace(corpus, splits=splits, notes=notes)


def cut_corpus(corpus: Corpus[LabelledText], fraction: float, seed: int) -> Corpus[LabelledText]:
    """Completes a corpus to train, validation and test, with the same balance of classes.

    Texts without any token go first. An official test split stays what it is. Repeated texts are
    removed from what is cut, so that no text stands on both sides of a cut.

    Args:
        corpus: with the splits its source has.
        fraction: share of the validation split, and of the test split where there is none.
        seed: of the cut.

    Raises:
        UserError: if a split would be empty or train has fewer than two classes.
    """
    corpus = without_empty(corpus)
    whole, notes = whole_of(corpus), list(corpus.notes)
    train = distinct(corpus.splits[whole], lambda example: example.text)
    if repeated := len(corpus.splits[whole]) - len(train):
        notes.append(f"{repeated:,} repeated texts removed before cutting")
        label_of = dict(train)
        if conflicts := sum(label != label_of[text] for text, label in corpus.splits[whole]):
            notes.append(
                f"{conflicts:,} of them had another label than the first of the same text, which "
                "counts"
            )
    corpus = replace(corpus, splits={**corpus.splits, whole: train}, notes=notes)
    rule: Rule[LabelledText] = stratified(fraction, seed, lambda example: example.label)
    shared = "texts", lambda example: example.text
    corpus = cut_splits(corpus, rule, "example", shared, advice=ADVICE)
    labels = {example.label for example in corpus.splits["train"]}
    if len(labels) < 2:
        raise UserError(
            f"{corpus.source}: a classifier needs at least two classes, but every label in train "
            f"is {labels.pop()!r}"
        )
    return corpus


def class_names(corpus: Corpus[LabelledText]) -> list[str]:
    """The classes of the train split, sorted.

    Raises:
        UserError: if another split has a label that train lacks.
    """
    names = sorted({example.label for example in corpus.splits["train"]})
    for split, examples in corpus.splits.items():
        check_labels(examples, names, f"{corpus.source}, {split} split")
    return names


def check_labels(examples: Sequence[LabelledText], names: list[str], where: str) -> None:
    """Raises:
    UserError: if a label is not among ``names``.
    """
    labels, known = [example.label for example in examples], set(names)
    unseen = Counter(label for label in labels if label not in known)
    if unseen:
        label, count = unseen.most_common(1)[0]
        raise UserError(
            f"{where}: label {label!r} (example {labels.index(label) + 1}, {count} in all) does "
            f"not occur in the training data, which has {', '.join(map(repr, names[:10]))}"
        )


def encode_text(
    text: str, vocabulary: Vocabulary, settings: TextSettings
) -> tuple[np.ndarray, bool]:
    """Ids of one text: BOS, then its tokens, cut by the rule of ``settings``; and whether it was
    cut."""
    ids = vocabulary.encode(tokenize(text))
    return _with_bos(ids, settings), len(ids) > settings.max_length


def _with_bos(ids: np.ndarray, settings: TextSettings) -> np.ndarray:
    return np.concatenate([[BOS], cut(ids, settings.max_length, settings.keep)]).astype(np.int32)


def encode_split(
    examples: Sequence[LabelledText],
    encoded: Iterable[np.ndarray],
    assets: Assets,
    settings: TextSettings,
    keep_texts: bool = True,
) -> tuple[EncodedTexts, dict[str, Any]]:
    """Encodes a split and says what it holds.

    Args:
        examples: texts and labels.
        encoded: the ids of each text; at least one.
        assets: of the train split; a label's index is its position among the classes.
        settings: the cut.
        keep_texts: whether the split has its texts, which errors are listed with.
    """
    sequences, sizes, unknown = [], [], 0
    for ids in encoded:
        sequences.append(_with_bos(ids, settings))
        sizes.append(len(ids))
        unknown += int(np.count_nonzero(ids == UNK))
    lengths = np.array(sizes)
    index = {name: position for position, name in enumerate(assets.class_names)}
    split = EncodedTexts(
        sequences,
        np.array([index[example.label] for example in examples], np.int32),
        [example.text for example in examples] if keep_texts else (),
    )
    counts = Counter(example.label for example in examples)
    return split, {
        "examples": len(split),
        "labels": {name: counts[name] for name in assets.class_names},
        "tokens": int(lengths.sum()),
        "unknown_share": round(unknown / int(lengths.sum()), 4),
        "length_percentiles": length_percentiles(lengths),
        "cut_share": round(float(np.mean(lengths > settings.max_length)), 4),
        "sha256": _digest(examples),
    }


def _digest(examples: Iterable[LabelledText]) -> str:
    """Of the texts and labels, in order: a run refuses to go on with other data."""
    digest = hashlib.sha256()
    for text, label in examples:
        digest.update(f"{len(text)} {text} {label}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def encode_corpus(
    corpus: Corpus[LabelledText],
    names: list[str],
    settings: TextSettings,
    assets: Assets | None = None,
) -> LabelledData:
    """Tokenises every split once, builds the vocabulary from train, and encodes.

    Args:
        corpus: with the splits train, validation and test.
        names: the classes.
        settings: of the vocabulary.
        assets: whose vocabulary is taken, if there is one already.
    """
    ids = FirstIds()
    drafts = {
        name: [ids.encode(tokenize(example.text)) for example in part]
        for name, part in corpus.splits.items()
    }
    trained = assets is not None
    if assets is None:
        counts = ids.counts(drafts["train"])
        assets = Assets(
            Vocabulary.from_counts(counts, settings.vocabulary_size, settings.min_count), names
        )
    known = ids.known(assets.vocabulary)
    splits, reports = {}, {}
    for name, part in corpus.splits.items():
        encoded = (known[draft] for draft in drafts.pop(name))
        splits[name], reports[name] = encode_split(
            part, encoded, assets, settings, keep_texts=trained or name != "train"
        )
    samples = [example.text for example in corpus.splits["validation"][:SAMPLES]]
    return Data(splits, assets, _report(corpus, assets, reports), samples)


def encode_test(
    corpus: Corpus[LabelledText], split: str, assets: Assets, settings: TextSettings
) -> LabelledData:
    """Encodes a split of other data for a trained model, as ``test``.

    Raises:
        UserError: if it has a label that the model does not know.
    """
    corpus = without_empty(corpus)
    examples = corpus.splits[split]
    check_labels(examples, assets.class_names, corpus.source)
    encoded = (assets.vocabulary.encode(tokenize(example.text)) for example in examples)
    part, summary = encode_split(examples, encoded, assets, settings)
    return Data({"test": part}, assets, _report(corpus, assets, {split: summary}))


def _report(corpus: Corpus[LabelledText], assets: Assets, splits: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": corpus.source,
        "notes": list(corpus.notes),
        "classes": assets.class_names,
        "vocabulary": len(assets.vocabulary),
        "splits": splits,
    }


class LabelledBatches(SequenceBatches):
    """Training batches of labelled sequences: ids and class indices.

    Args:
        split: the training data.
        settings: batch size, pool and padding.
        seed: of the order.
    """

    def __init__(self, split: EncodedTexts, settings: BatchSettings, seed: int):
        super().__init__(split.lengths, seed)
        self._split, self._settings = split, settings

    def epoch(self, number: int) -> list[np.ndarray]:
        """The positions that make up each batch of an epoch."""
        return shuffled_batches(self._lengths, self._settings, self._seed, number)

    def fetch(self, item: np.ndarray) -> dict[str, np.ndarray]:
        """``ids`` ``[B, T]`` and ``label`` ``[B]``, int32."""
        sequences = self._split.sequences
        ids, _ = pad([sequences[i] for i in item], self._settings.pad_to_multiple)
        return {"ids": ids, "label": self._split.labels[item]}

    def waste(self) -> dict[str, str]:
        """For a data report: how much of the first epoch is padding."""
        epoch = self.epoch(0)
        waste = padding_waste(self._lengths, epoch, self._settings.pad_to_multiple)
        return {"padding waste": f"{waste:.2%} of {len(epoch)} training batches"}
