"""Spans of characters, as annotation tools export them, as tags of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasseq.data.fields import kind_of
from kerasseq.errors import UserError
from kerasseq.text.tokenizer import token_pattern

_FIELDS = ("start_offset", "end_offset", "label")


def iob2_of_spans(text: str, spans: Any, where: str) -> tuple[list[str], list[str]]:
    """The words of a text, and their tags in IOB2.

    A word is a run of letters and digits, with apostrophes inside it, or a mark.

    >>> iob2_of_spans("Marie Curie, Warsaw", [[0, 11, "PER"], [13, 19, "LOC"]], "here")
    (['Marie', 'Curie', ',', 'Warsaw'], ['B-PER', 'I-PER', 'O', 'B-LOC'])

    Args:
        text: as it was annotated.
        spans: of doccano: ``[start, end, kind]``, or objects of ``start_offset``, ``end_offset``
            and ``label``; the end is not part of a span.
        where: place for messages.

    Raises:
        UserError: if a span is none, holds no word, cuts a word, or overlaps with another.
    """
    words = list(token_pattern(text.isascii()).finditer(text))
    tags = ["O"] * len(words)
    if not isinstance(spans, list):
        raise UserError(f"{where}: spans are {kind_of(spans)}, expected a list")
    for start, end, kind in sorted(_span(one, text, where) for one in spans):
        shown = f"{where}: the span {start} to {end}, {text[start:end][:40]!r},"
        inside = [i for i, word in enumerate(words) if word.start() < end and start < word.end()]
        if not inside:
            raise UserError(f"{shown} holds no word")
        first, last = words[inside[0]], words[inside[-1]]
        if first.start() < start or last.end() > end:
            cut = first if first.start() < start else last
            raise UserError(f"{shown} cuts the word {cut.group()!r}")
        if any(tags[i] != "O" for i in inside):
            raise UserError(f"{shown} overlaps with another, and a word has one tag")
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{kind}"
    return [word.group() for word in words], tags


def _span(given: Any, text: str, where: str) -> tuple[int, int, str]:
    """Start, end and kind.

    Raises:
        UserError: if it is no span of the text.
    """
    if isinstance(given, Mapping):
        given = [given.get(name) for name in _FIELDS]
    if (
        not isinstance(given, list)
        or len(given) != 3
        or not all(isinstance(one, int) for one in given[:2])
        or not isinstance(given[2], str)
        or not given[2].strip()
    ):
        raise UserError(f"{where}: expected a span as [start, end, kind], got {str(given)[:60]}")
    start, end, kind = given
    if not 0 <= start < end <= len(text):
        raise UserError(f"{where}: the span {start} to {end} is not in the {len(text)} characters")
    return start, end, kind.strip()
