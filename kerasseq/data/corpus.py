"""A corpus: examples of one kind by split, and what is said of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from kerasseq.errors import UserError

E = TypeVar("E")

SPLITS = ("train", "validation", "test")
WHOLE = "all"
"""The one split of a source that has none: it is to be cut."""


@dataclass(frozen=True)
class Corpus(Generic[E]):
    """Examples by split, as a source has them or, once it is cut, ``train``, ``validation`` and
    mostly ``test``. Type parameter: the example; see :mod:`kerasseq.data.examples`.

    Attributes:
        source: where they came from, in words.
        splits: the examples of each, in order.
        notes: what was done to the data, and how often, for the report.
        languages: of a parallel corpus, source and target, as its files name them.
    """

    source: str
    splits: Mapping[str, Sequence[E]]
    notes: Sequence[str] = field(default_factory=list)
    languages: tuple[str, str] = ("", "")


def ordered(splits: Mapping[str, E]) -> dict[str, E]:
    """Splits in the order in which reports have them."""
    return {name: splits[name] for name in (WHOLE, *SPLITS) if name in splits}


def chosen_split(corpus: Corpus, wanted: str | None) -> str:
    """The name of the split that is asked for, or of the test split, or of the only one.

    Raises:
        UserError: if there is none of that name, or several and none is the test split.
    """
    names = ", ".join(corpus.splits)
    if wanted is not None:
        if wanted not in corpus.splits:
            raise UserError(f"{corpus.source} has no {wanted} split; it has {names}")
        return wanted
    if "test" in corpus.splits:
        return "test"
    if len(corpus.splits) > 1:
        raise UserError(f"{corpus.source} has the splits {names}: choose one with --split")
    return next(iter(corpus.splits))


def distinct(examples: Sequence[E], content: Callable[[E], Hashable]) -> list[E]:
    """The first of all examples with the same content."""
    first: dict[Hashable, E] = {}
    for example in examples:
        first.setdefault(content(example), example)
    return list(first.values())


def shared_notes(contents: Mapping[str, set], unit: str) -> list[str]:
    """For a data report: how much every two splits have in common.

    Args:
        contents: of each split.
        unit: what they are sets of, in the plural.
    """
    shared = {
        (first, second): len(contents[first] & contents[second])
        for first, second in itertools.combinations(contents, 2)
    }
    return [
        f"{count:,} {unit} occur in both {first} and {second} (kept as they came)"
        for (first, second), count in shared.items()
        if count
    ]


def length_percentiles(lengths: np.ndarray) -> dict[str, int]:
    """For a data report: ``{"p5": 7, ...}``."""
    percentiles = (5, 25, 50, 75, 95, 100)
    spread = np.percentile(lengths, percentiles).astype(int).tolist()
    return {f"p{p}": n for p, n in zip(percentiles, spread, strict=True)}
