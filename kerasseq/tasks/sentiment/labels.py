"""The label of a row, or its labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kerasseq.data.examples import Label
from kerasseq.data.fields import label_of, labels_of


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
