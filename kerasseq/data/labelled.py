"""Labelled texts: a corpus of named splits, and how splits are cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from kerasseq.data.splits import shared_notes
from kerasseq.errors import UserError
from kerasseq.text.tokenizer import has_token


@dataclass(frozen=True)
class Examples:
    """Texts and the name of each one's class."""

    texts: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Iterable[int]) -> Examples:
        """The examples at some positions, in that order."""
        chosen = list(indices)
        return Examples([self.texts[i] for i in chosen], [self.labels[i] for i in chosen])


@dataclass(frozen=True)
class Corpus:
    """Splits by name (``train``, ``validation``, ``test``; or ``all`` if they are to be cut)."""

    source: str
    splits: dict[str, Examples]
    notes: list[str] = field(default_factory=list)
    """What was done to the data, and how often, for the report."""


def without_duplicates(examples: Examples) -> Examples:
    """The first of each distinct text."""
    first: dict[str, int] = {}
    for index, text in enumerate(examples.texts):
        first.setdefault(text, index)
    return examples.take(first.values())


def without_empty(corpus: Corpus) -> Corpus:
    """The corpus without the texts that have no token, which are counted in its notes.

    Raises:
        UserError: if a split has nothing else.
    """
    splits, notes = {}, list(corpus.notes)
    for name, part in corpus.splits.items():
        kept = [i for i, text in enumerate(part.texts) if has_token(text)]
        if not kept:
            raise UserError(f"{corpus.source}: every text is empty after tokenising")
        if len(kept) < len(part):
            where = "" if name == "all" else f" of {name}"
            notes.append(f"{len(part) - len(kept):,} texts{where} without any token dropped")
        splits[name] = part.take(kept)
    return Corpus(corpus.source, splits, notes)


def stratified(labels: list[str], fractions: list[float], seed: int) -> list[np.ndarray]:
    """Cuts positions into parts with the same balance of labels, shuffled by ``seed``.

    Args:
        labels: the class of each example.
        fractions: size of each part but the last, which takes what is left.
        seed: of the shuffle.

    Returns:
        One array of positions for each fraction, and one for the rest.
    """
    random = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[] for _ in range(len(fractions) + 1)]
    names = np.array(labels)
    for name in sorted(set(labels)):
        members = random.permutation(np.flatnonzero(names == name))
        cuts = np.round(np.cumsum(fractions) * len(members)).astype(int)
        for part, positions in zip(parts, np.split(members, cuts), strict=True):
            part.append(positions)
    return [random.permutation(np.concatenate(part)) for part in parts]


def cut_splits(corpus: Corpus, fraction: float, seed: int) -> Corpus:
    """Completes a corpus to train, validation and test.

    Texts without any token go first. An official test split stays what it is. Repeated texts are
    removed from what is cut, so that
    no text stands on both sides of a cut.

    Args:
        corpus: with the splits its source has.
        fraction: share of the validation split, and of the test split where there is none.
        seed: of the cut.

    Raises:
        UserError: if a split would be empty or train has fewer than two classes.
    """
    corpus = without_empty(corpus)
    splits, notes = dict(corpus.splits), list(corpus.notes)
    whole = splits.pop("all", None) or splits.pop("train")
    train = without_duplicates(whole)
    if len(train) < len(whole):
        notes.append(f"{len(whole) - len(train):,} repeated texts removed before cutting")
    missing = [name for name in ("validation", "test") if name not in splits]
    parts = stratified(train.labels, [fraction] * len(missing), seed)
    for name, positions in zip(missing, parts, strict=False):
        splits[name] = train.take(positions)
    splits["train"] = train.take(parts[-1])
    for name, part in splits.items():
        if not len(part):
            raise UserError(f"{corpus.source}: no example is left for the {name} split")
    if len(set(splits["train"].labels)) < 2:
        raise UserError(
            f"{corpus.source}: a classifier needs at least two classes, but every label in train "
            f"is {splits['train'].labels[0]!r}"
        )
    ordered = {name: splits[name] for name in ("train", "validation", "test")}
    notes += shared_notes({name: set(part.texts) for name, part in ordered.items()}, "texts")
    return Corpus(corpus.source, ordered, notes)


def class_names(corpus: Corpus) -> list[str]:
    """The classes of the train split, sorted.

    Raises:
        UserError: if another split has a label that train lacks.
    """
    names = sorted(set(corpus.splits["train"].labels))
    for split, examples in corpus.splits.items():
        check_labels(examples, names, f"{corpus.source}, {split} split")
    return names


def check_labels(examples: Examples, names: list[str], where: str) -> None:
    """Raises:
    UserError: if a label is not among ``names``.
    """
    unseen = Counter(label for label in examples.labels if label not in set(names))
    if unseen:
        label, count = unseen.most_common(1)[0]
        row = examples.labels.index(label) + 1
        raise UserError(
            f"{where}: label {label!r} (example {row}, {count} in all) does not occur in the "
            f"training data, which has {', '.join(map(repr, names[:10]))}"
        )
