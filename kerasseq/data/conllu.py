"""CoNLL-U, the format of Universal Dependencies; its sentences can be written as they were read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kerasseq.data.examples import TaggedSentence
from kerasseq.errors import UserError

FIELDS = 10
_FORM = 1
_MISC = 9
COLUMNS = {"upos": 3, "xpos": 4, "feats": 5}
"""Columns of tags, and where they stand."""

_NAMES = {_FORM: "FORM"} | {position: name.upper() for name, position in COLUMNS.items()}
# nine digits are more than any sentence needs, and int() has no trouble with them
_ID = re.compile(r"([0-9]{1,9})(?:([-.])([0-9]{1,9}))?")
_TEXT = re.compile(r"#\s*text\s*=(.*)")
_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True)
class ConlluSentence:
    """A sentence with every line that it has in its source.

    Attributes:
        lines: comments, words, multi-word tokens (``3-4``) and empty nodes (``8.1``), without line
            ends.
        word_lines: positions in ``lines`` that are words.
        multiword: first and last word of each multi-word token (from 0), and its surface form.
        empty_nodes: how many there are.
    """

    lines: list[str]
    word_lines: list[int]
    multiword: list[tuple[int, int, str]]
    empty_nodes: int

    def __len__(self) -> int:
        return len(self.word_lines)

    def tagged(self) -> TaggedSentence:
        """Words and their tags; ``_`` stands where a column has no value."""
        rows = [_fields(self.lines[position]) for position in self.word_lines]
        # a corpus has few distinct words and tags: one string for each saves most of the memory
        words = [sys.intern(row[_FORM]) for row in rows]
        columns = {
            name: [sys.intern(row[position]) for row in rows] for name, position in COLUMNS.items()
        }
        texts = (match[1].strip() for line in self.lines if (match := _TEXT.match(line)))
        return TaggedSentence(words, columns, self.multiword, next(texts, None) or None)

    def with_column(
        self, column: str, tags: Sequence[str], notes: Sequence[str] | None = None
    ) -> list[str]:
        """The lines with other tags on the word lines; all else is left as it is.

        Args:
            column: one of :data:`COLUMNS`.
            tags: one for each word.
            notes: one for each word, ``Name=value``; it is added to the last column (MISC), or
                takes the place of the one of that name.
        """
        lines = list(self.lines)
        for word, (position, tag) in enumerate(zip(self.word_lines, tags, strict=True)):
            fields = _fields(lines[position])
            fields[COLUMNS[column]] = tag
            if notes:
                name = notes[word].partition("=")[0]
                kept = [
                    note
                    for note in fields[_MISC].split("|")
                    if note != "_" and note.partition("=")[0] != name
                ]
                fields[_MISC] = "|".join([*kept, notes[word]])
            lines[position] = "\t".join(fields)
        return lines


def parse(lines: Iterable[str], where: str) -> Iterator[ConlluSentence]:
    """Reads sentences one by one, so that a file of any size needs the memory of one.

    Blocks without a word (comments only) are skipped. Fields are separated by tabs; a line in which
    blanks took their place is read too, if that makes ten fields.

    Args:
        lines: with or without line ends.
        where: name of the source, for messages.

    Raises:
        UserError: naming the line, if it is not CoNLL-U.
    """
    block: list[str] = []
    number = 0
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n")
        if number == 1:
            line = line.removeprefix("\ufeff")
        if line.strip():
            block.append(line)
            continue
        yield from _sentence(block, where, number - len(block))
        block = []
    yield from _sentence(block, where, number + 1 - len(block))


def from_words(
    words: Sequence[str],
    column: str,
    tags: Sequence[str],
    text: str | None = None,
    notes: Sequence[str] | None = None,
) -> list[str]:
    """Lines for a sentence of which nothing but words and one column of tags is known.

    Args:
        words: surface forms.
        column: one of :data:`COLUMNS`.
        tags: one for each word.
        text: the sentence as it was written.
        notes: one for each word, for the last column (MISC).
    """
    lines = [] if text is None else [f"# text = {' '.join(text.split())}"]
    for number, (word, tag) in enumerate(zip(words, tags, strict=True), start=1):
        fields = [str(number), word, *["_"] * (FIELDS - 2)]
        fields[COLUMNS[column]] = tag
        if notes:
            fields[_MISC] = notes[number - 1]
        lines.append("\t".join(fields))
    return lines


def _sentence(block: list[str], where: str, start: int) -> Iterator[ConlluSentence]:
    """The sentence in a block of lines, if it has a word."""
    word_lines: list[int] = []
    multiword: list[tuple[int, int, str]] = []
    empty_nodes = 0
    covered, range_line = 0, start  # last word that a multi-word token stands for, and its line
    for position, line in enumerate(block):
        if line.startswith("#"):
            continue
        at = f"{where}:{start + position}"
        fields = _checked_fields(line, at)
        match = _ID.fullmatch(fields[0])
        if not match:
            raise UserError(f"{at}: {fields[0][:40]!r} is not an id (1, 3-4 or 8.1)")
        first, kind, second = int(match[1]), match[2], int(match[3] or 0)
        if kind is None:
            if first != len(word_lines) + 1:
                raise UserError(f"{at}: word {first} comes where {len(word_lines) + 1} should")
            word_lines.append(position)
        elif kind == "-":
            if first != len(word_lines) + 1 or second < first or first <= covered:
                raise UserError(
                    f"{at}: multi-word token {fields[0]} must begin at word "
                    f"{max(len(word_lines), covered) + 1} and not end before it"
                )
            covered, range_line = second, start + position
            multiword.append((first - 1, second - 1, fields[_FORM]))
        else:
            if first != len(word_lines):
                raise UserError(f"{at}: empty node {fields[0]} comes behind word {len(word_lines)}")
            empty_nodes += 1
    if covered > len(word_lines):
        raise UserError(
            f"{where}:{range_line}: the multi-word token ends at word {covered}, but the sentence "
            f"has {len(word_lines)}"
        )
    if word_lines:
        yield ConlluSentence(block, word_lines, multiword, empty_nodes)


def _checked_fields(line: str, at: str) -> list[str]:
    fields = _fields(line)
    if len(fields) != FIELDS:
        raise UserError(f"{at}: {len(fields)} columns, but CoNLL-U has {FIELDS}, separated by tabs")
    for position, name in _NAMES.items():
        if not fields[position].strip(" "):
            raise UserError(f"{at}: column {position + 1} ({name}) is empty")
    return fields


def _fields(line: str) -> list[str]:
    fields = line.split("\t")
    if len(fields) == FIELDS:
        return fields  # a form may hold blanks: "10 000" is one word in French treebanks
    runs = _BLANKS.split(line.strip(" \t"))
    return runs if len(runs) == FIELDS or len(fields) == 1 else fields
