"""CoNLL-U, the format of Universal Dependencies; its sentences can be written as they were read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kerasseq.data.examples import TaggedSentence
from kerasseq.data.layouts import FREE, Asked, Layout
from kerasseq.errors import UserError

FIELDS = 10
_FORM = 1
_MISC = 9
COLUMNS = {"upos": 3, "xpos": 4, "feats": 5}
"""Columns of tags, and where they stand."""

STANDARD = Layout(
    ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"),
    "CoNLL-U",
    word=_FORM,
    columns=tuple(COLUMNS.items()),
)
"""The ten columns; those of CoNLL-U Plus are named by the first line of the file."""

# nine digits are more than any sentence needs, and int() has no trouble with them
_ID = re.compile(r"([0-9]{1,9})(?:([-.])([0-9]{1,9}))?")
_TEXT = re.compile(r"#\s*text\s*=(.*)")
_PLUS = re.compile(r"#\s*global\.columns\s*=(.*)")
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
        layout: what stands in the columns.
        trimmed: how many words and tags have blanks at an end, which are left out of
            :meth:`tagged`.
    """

    lines: list[str]
    word_lines: list[int]
    multiword: list[tuple[int, int, str]]
    empty_nodes: int
    layout: Layout = STANDARD
    trimmed: int = 0

    def __len__(self) -> int:
        return len(self.word_lines)

    def tagged(self, asked: Asked = FREE) -> TaggedSentence:
        """Words and their tags; ``_`` stands where a column has no value.

        Args:
            asked: columns that the settings name.

        Raises:
            UserError: if there is no such column.
        """
        layout = _asked(self.layout, asked)
        rows = [self._fields(position) for position in self.word_lines]
        # a corpus has few distinct words and tags: one string for each saves most of the memory
        words = [sys.intern(row[layout.word].strip(" ")) for row in rows]
        columns = {
            name: [sys.intern(row[position].strip(" ")) for row in rows]
            for name, position in layout.columns
        }
        if layout.word != self.layout.word:  # what is known of the text is known of the forms
            return TaggedSentence(words, columns)
        texts = (match[1].strip() for line in self.lines if (match := _TEXT.match(line)))
        return TaggedSentence(words, columns, self.multiword, next(texts, None) or None)

    def _fields(self, position: int) -> list[str]:
        return _fields(self.lines[position], len(self.layout.fields))

    def with_column(
        self, column: str, tags: Sequence[str], notes: Sequence[str] | None = None
    ) -> list[str]:
        """The lines with other tags on the word lines; all else is left as it is.

        Args:
            column: one of :data:`COLUMNS`, or another one of the layout.
            tags: one for each word.
            notes: one for each word, ``Name=value``; it is added to the column MISC, or takes the
                place of the one of that name.

        Raises:
            UserError: if the layout, which is that of CoNLL-U Plus, has no such column, or no MISC.
        """
        fields_of, column = self.layout.fields, column.lower()
        for name in [column, "misc"] if notes else [column]:
            if name not in fields_of:
                raise UserError(
                    f"the file has no column {name.upper()} to write to; it has "
                    f"{', '.join(fields_of).upper()}: give --output table or json"
                )
        tag_at, misc_at = fields_of.index(column), (fields_of.index("misc") if notes else -1)
        lines = list(self.lines)
        for word, (position, tag) in enumerate(zip(self.word_lines, tags, strict=True)):
            fields = self._fields(position)
            fields[tag_at] = tag
            if notes:
                name = notes[word].partition("=")[0]
                kept = [
                    note
                    for note in fields[misc_at].strip(" ").split("|")
                    if note not in ("", "_") and note.partition("=")[0] != name
                ]
                fields[misc_at] = "|".join([*kept, notes[word]])
            lines[position] = "\t".join(fields)
        return lines


def parse(lines: Iterable[str], where: str, comments: bool = False) -> Iterator[ConlluSentence]:
    """Reads sentences one by one, so that a file of any size needs the memory of one.

    Fields are separated by tabs; a line in which blanks took their place is read too, if that makes
    ten fields. The first line of CoNLL-U Plus, ``# global.columns = ID FORM ...``, names others.

    Args:
        lines: with or without line ends.
        where: name of the source, for messages.
        comments: whether blocks without a word (comments only) are given too, as sentences of no
            words; they are skipped else.

    Raises:
        UserError: naming the line, if it is not CoNLL-U.
    """
    block: list[str] = []
    number = 0
    layout: Layout | None = None
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n")
        if number == 1:
            line = line.removeprefix("\ufeff")
        if match := _PLUS.match(line):
            layout = _plus(match[1].split(), layout, f"{where}:{number}")
        if line.strip():
            block.append(line)
            continue
        layout = layout or (STANDARD if block else None)
        yield from _sentence(block, where, number - len(block), layout or STANDARD, comments)
        block = []
    yield from _sentence(block, where, number + 1 - len(block), layout or STANDARD, comments)


def plus_columns(line: str) -> list[str]:
    """The names of the columns in lower case, if the line is the first one of CoNLL-U Plus."""
    match = _PLUS.match(line.removeprefix("\ufeff"))
    return match[1].lower().split() if match else []


def _plus(names: list[str], before: Layout | None, at: str) -> Layout:
    """The layout that ``# global.columns`` names."""
    layout = Layout.of([name.lower() for name in names], "CoNLL-U Plus")
    if before is not None and before.fields != layout.fields:
        raise UserError(f"{at}: global.columns names other columns than those of the lines before")
    if len(set(layout.fields)) < len(names):
        raise UserError(f"{at}: global.columns names a column twice")
    if "id" not in layout.fields:
        raise UserError(f"{at}: global.columns has no ID; name the file .conll or .txt")
    return layout


@lru_cache(maxsize=64)
def _asked(layout: Layout, asked: Asked) -> Layout:
    return layout.asked(asked, layout.title)


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


def _sentence(
    block: list[str], where: str, start: int, layout: Layout, comments: bool
) -> Iterator[ConlluSentence]:
    """The sentence in a block of lines, if it has a word, or if comments are wanted."""
    id_at, form_at = layout.fields.index("id"), max(layout.word, 0)
    read = {form_at, *dict(layout.columns).values()}
    trimmed = 0
    word_lines: list[int] = []
    multiword: list[tuple[int, int, str]] = []
    empty_nodes = 0
    covered, range_line = 0, start  # last word that a multi-word token stands for, and its line
    for position, line in enumerate(block):
        if line.startswith("#"):
            continue
        at = f"{where}:{start + position}"
        fields = _checked_fields(line, at, layout)
        match = _ID.fullmatch(fields[id_at])
        if not match:
            raise UserError(f"{at}: {fields[id_at][:40]!r} is not an id (1, 3-4 or 8.1)")
        first, kind, second = int(match[1]), match[2], int(match[3] or 0)
        if kind is None:
            if first != len(word_lines) + 1:
                raise UserError(f"{at}: word {first} comes where {len(word_lines) + 1} should")
            word_lines.append(position)
            trimmed += sum(fields[i] != fields[i].strip(" ") for i in read)
        elif kind == "-":
            if first != len(word_lines) + 1 or second < first or first <= covered:
                raise UserError(
                    f"{at}: multi-word token {fields[id_at]} must begin at word "
                    f"{max(len(word_lines), covered) + 1} and not end before it"
                )
            covered, range_line = second, start + position
            multiword.append((first - 1, second - 1, fields[form_at]))
        else:
            if first != len(word_lines):
                raise UserError(
                    f"{at}: empty node {fields[id_at]} comes behind word {len(word_lines)}"
                )
            empty_nodes += 1
    if covered > len(word_lines):
        raise UserError(
            f"{where}:{range_line}: the multi-word token ends at word {covered}, but the sentence "
            f"has {len(word_lines)}"
        )
    if word_lines or (comments and block):
        yield ConlluSentence(block, word_lines, multiword, empty_nodes, layout, trimmed)


def _checked_fields(line: str, at: str, layout: Layout) -> list[str]:
    width = len(layout.fields)
    fields = _fields(line, width)
    if len(fields) != width:
        raise UserError(
            f"{at}: {len(fields)} columns, but {layout.title} has {width}, separated by tabs"
        )
    for position in sorted({max(layout.word, 0), *dict(layout.columns).values()}):
        if not fields[position].strip(" "):
            name = layout.fields[position].upper()
            raise UserError(f"{at}: column {position + 1} ({name}) is empty")
    return fields


def _fields(line: str, width: int) -> list[str]:
    fields = line.split("\t")
    if len(fields) == width:
        return fields  # a form may hold blanks: "10 000" is one word in French treebanks
    runs = _BLANKS.split(line.strip(" \t"))
    return runs if len(runs) == width or len(fields) == 1 else fields
