"""Entities as brackets over words, as OntoNotes has them in the layout of CoNLL-2012."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kerasseq.errors import UserError

_CELL = re.compile(r"(?:\(([^()*]+))?\*?(\))?")


def iob2_of(cells: Sequence[str], places: Sequence[str]) -> list[str]:
    """The same spans as IOB2 tags.

    >>> iob2_of(["(PERSON*", "*)", "*", "(GPE)"], ["1", "2", "3", "4"])
    ['B-PERSON', 'I-PERSON', 'O', 'B-GPE']

    Args:
        cells: of the words of a sentence.
        places: of the words, for messages.

    Raises:
        UserError: if a bracket is not closed, or not opened, or the cell is another thing.
    """
    tags: list[str] = []
    kind = ""
    for cell, place in zip(cells, places, strict=True):
        match = _CELL.fullmatch(cell)
        if not match or not cell:
            raise UserError(
                f"{place}: {cell[:40]!r} is no entity in brackets: "
                "expected (PERSON*, *, *) or (GPE)"
            )
        opened, closed = match[1], match[2]
        if opened and kind:
            raise UserError(f"{place}: {cell[:40]!r} begins within the entity {kind}")
        if closed and not (opened or kind):
            raise UserError(f"{place}: {cell[:40]!r} ends an entity that has not begun")
        kind = opened or kind
        tags.append(f"{'B' if opened else 'I'}-{kind}" if kind else "O")
        if closed:
            kind = ""
    if kind:
        raise UserError(f"{places[-1]}: the sentence ends within the entity {kind}")
    return tags
