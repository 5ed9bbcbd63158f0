"""The label of a row, or its labels; and splits whose labels are hidden."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from kerasseq.data.corpus import WHOLE, Corpus
from kerasseq.data.examples import Label, LabelledText
from kerasseq.data.fields import SPLIT, label_of, labels_of
from kerasseq.errors import UserError


class LabelReader:
    """Reads the labels of one source.

    Args:
        several: whether a text may have several.
        separator: see :func:`kerasseq.data.fields.labels_of`.
    """

    def __init__(self, several: bool = False, separator: str = ""):
        self.several, self._separator = several, separator
        self._kinds: set[type] = set()
        self._same: dict[Label, Label] = {}

    def read(self, value: Any, where: str, column: str, counts: Counter[str]) -> Label:
        """One row's; equal ones are one object.

        Raises:
            UserError: naming the place, if it is none.
        """
        label: Label
        if self.several:
            label = labels_of(value, where, column, self._kinds, counts, self._separator)
        else:
            label = label_of(value, where, column, self._kinds, counts)
        return self._same.setdefault(label, label)

    def notes(self, counts: Counter[str]) -> list[str]:
        """Says at the end that the separator was nowhere, if it was not."""
        unused = self._separator not in ("", "none") and not counts[SPLIT]
        return [f"label_separator {self._separator!r} is in no label"] if unused else []


def without_hidden(corpus: Corpus[LabelledText]) -> Corpus[LabelledText]:
    """The corpus without the splits whose labels are not told: all of them are -1, as in a test
    split of GLUE.

    Raises:
        UserError: if train is such a split.
    """
    found = {split: {e.label for e in part} for split, part in corpus.splits.items()}
    hidden = [split for split, labels in found.items() if labels in ({"-1"}, {("-1",)})]
    if {"train", WHOLE} & set(hidden):
        raise UserError(f"{corpus.source} has no labels: all of them are -1")
    splits = {split: part for split, part in corpus.splits.items() if split not in hidden}
    notes = [f"{split}: not used, since its labels are hidden (-1)" for split in hidden]
    return replace(corpus, splits=splits, notes=[*corpus.notes, *notes])
