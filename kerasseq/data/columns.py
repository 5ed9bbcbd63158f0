"""Tagged sentences as a token a line in columns, and an empty line after a sentence."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kerasseq.data import span_brackets
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.layouts import CONLL_2012, FREE, Asked, Layout, header_names, layout_of
from kerasseq.data.notes import Notes
from kerasseq.errors import UserError

HEAD = 2_000
"""Lines that tell the format of a file."""

_MOST = 0.9
_FORMATS = (
    "CoNLL-U (10 columns, separated by tabs), WORD TAG, WORD POS CHUNK, WORD POS CHUNK ENTITY or "
    "other columns (a token a line), word/tag or word|pos|ner (a sentence a line), trees"
)
_DOCSTART = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")
# "#" alone is a word too (CoNLL-2000 has it): these are no words and tags
_COMMENT = re.compile(
    r"#(?:begin|end) document\b|"
    r"#[ \t]+(?:newdoc\b|newpar\b|id[ \t]+\S|source\b|\S+://|[\w.:]+(?:\s+\w+)?\s*=(?:\s|$))|"
    r"#.*\[\d{4}-\d\d-\d\d\]\s*$"
)
_LOOSE_COMMENT = re.compile(r"#\s*[\w.:]+(?:\s+\w+)?\s*=\s")
_BOM = "\ufeff"


def split_blanks(line: str) -> list[str]:
    """What blanks and tabs separate; other white space, such as U+00A0, belongs to a word."""
    stripped = line.strip(" \t\r\n")
    return _BLANKS.split(stripped) if stripped else []


def split_tabs(line: str) -> list[str]:
    """What tabs separate, without blanks at the ends."""
    stripped = line.strip(" \r\n").rstrip(" \t")
    return [field.strip(" ") for field in stripped.split("\t")] if stripped else []


def peek(lines: Iterable[str]) -> tuple[list[str], Iterator[str]]:
    """The first lines, and all of them."""
    lines = iter(lines)
    head = list(itertools.islice(lines, HEAD))
    return head, itertools.chain(head, lines)


def is_layout_line(line: str) -> bool:
    """Whether a line of the beginning of a file is no token, whatever its columns are."""
    fields = split_blanks(line.removeprefix(_BOM))
    return not fields or fields[0] == _DOCSTART or bool(_comment(line))


def _comment(line: str) -> re.Match[str] | None:
    return _COMMENT.match(line) or _LOOSE_COMMENT.match(line)


@dataclass
class ColumnFile:
    """How the lines of a file are taken apart.

    Attributes:
        where: name of the source, for messages.
        tabs: whether tabs alone separate, so that words may hold blanks.
        width: fields of a token.
        notes: takes what was skipped.
        layout: what stands in the columns.
        header: number of the line that names the columns; 0, if there is none.
    """

    where: str
    tabs: bool
    width: int
    notes: Notes
    layout: Layout = field(default_factory=lambda: Layout(()))
    header: int = 0

    def fields(self, line: str) -> list[str]:
        """Of one line."""
        return split_tabs(line) if self.tabs else split_blanks(line)

    def is_skipped(self, line: str, at: str, at_start: bool) -> bool:
        """Whether a line is a comment, which is counted.

        Args:
            line: that is not empty.
            at: its place.
            at_start: whether it stands before a sentence.

        Raises:
            UserError: if it begins with ``#``, and it is not plain whether it is a token.
        """
        if not line.startswith("#"):
            return False
        fields = self.fields(line)
        fits = len(fields) == self.width or (self.layout.varies and len(fields) > self.width)
        if fits and not _COMMENT.match(line):
            return False
        free_text = self.tabs and at_start and len(fields) == 1 and line[1:2] in (" ", "#")
        if (at_start or not fits) and (_comment(line) or free_text):
            self.notes.count("comment lines skipped", int("global.columns" not in line))
            return True
        raise UserError(
            f"{at}: this line begins with # and has {len(fields)} columns, a token has "
            f"{self.width}; it is taken neither for a token nor for a comment (# id, # source, "
            "# text = ...): take it out, or put comments before a sentence"
        )

    def checked(self, line: str, at: str, width: int) -> list[str]:
        """The fields of a token.

        Raises:
            UserError: if there are not so many, or one of the word and the tags is empty.
        """
        fields = self.fields(line)
        if len(fields) != width and not (self.layout.varies and not width):
            raise UserError(
                f"{at}: {len(fields)} columns, but the first token has {width or self.width}; "
                f"{'tabs' if self.tabs else 'blanks and tabs'} separate them"
            )
        for position in (self.layout.word, *dict(self.layout.columns).values()):
            if len(fields) <= position or not fields[position]:
                raise UserError(f"{at}: column {position + 1} is empty or not there")
        return [sys.intern(field) for field in fields]


def parse_columns(
    lines: Iterable[str],
    where: str,
    asked: Asked = FREE,
    notes: Notes | None = None,
    names: Sequence[str] = (),
    known: dict[int, Layout] | None = None,
) -> Iterator[TaggedSentence]:
    """Reads a token a line. The first lines tell what separates the columns, and what they are.

    Tabs separate, if nearly all of these lines have the same number of them; words may hold blanks
    then. ``-DOCSTART-`` lines and comments are skipped and counted. ``#`` may be a word: CoNLL-2000
    has it.

    Args:
        lines: with or without line ends.
        where: name of the source, for messages.
        asked: columns that the settings name.
        notes: takes what was found and skipped.
        names: of the columns, if the file tells them.
        known: layouts of other files of the same corpus, by the number of columns: they count,
            where this file does not tell. Takes the layout of this one.

    Raises:
        UserError: naming the line, if it has another number of columns than the first.
    """
    notes, known = notes or Notes(), {} if known is None else known
    head, lines = peek(lines)
    file = _sniffed(head, where, notes, names, known)
    if not file:
        return
    file.layout = file.layout.asked(asked, where)
    notes.say(file.layout.note("separated by tabs" if file.tabs else "separated by blanks"))
    rows: list[list[str]] = []
    places: list[str] = []
    for number, line in enumerate(lines, start=1):
        at = f"{where}:{number}"
        line = line.removeprefix(_BOM) if number == 1 else line
        stripped = line.strip(" \t\r\n")
        if not stripped or split_blanks(line)[0] == _DOCSTART:
            notes.count("-DOCSTART- lines skipped", int(bool(stripped)))
        elif number == file.header or file.is_skipped(line, at, not rows):
            continue
        else:
            width = (len(rows[0]) if rows else 0) if file.layout.varies else file.width
            rows.append(file.checked(line, at, width))
            places.append(at)
            continue
        if rows:
            yield _sentence(rows, places, file)
            rows, places = [], []
    if rows:
        yield _sentence(rows, places, file)


def _sniffed(
    head: Sequence[str], where: str, notes: Notes, names: Sequence[str], known: dict[int, Layout]
) -> ColumnFile | None:
    """What the first lines tell; nothing, if there is no token among them."""
    tokens = [
        (number, line.removeprefix(_BOM))
        for number, line in enumerate(head, start=1)
        if not is_layout_line(line)
    ]
    # lines that begin with "#" may be comments: the others tell, if there are any
    sure = [(number, line) for number, line in tokens if not line.startswith("#")] or tokens
    if not sure:
        return None
    counts = [line.strip(" \r\n").rstrip(" \t").count("\t") for _, line in sure]
    # a line that is damaged does not turn a file of tabs into one of blanks: it is refused
    tabs = counts[0] > 0 and counts.count(counts[0]) >= _MOST * len(counts)
    first, line = sure[0]
    file = ColumnFile(where, tabs, len(split_tabs(line) if tabs else split_blanks(line)), notes)
    if file.width == 1:
        raise UserError(
            f"{where}:{first}: 1 columns, which is none of the formats known: {_FORMATS}"
        )
    if tabs:
        count = sum(" " in file.fields(line)[0] for _, line in sure)
        if count:
            notes.say("words with blanks in them are one word: tabs separate the columns")
    named = header_names(file.fields(line))
    if named and not names:
        notes.say(f"its first row is a header: {', '.join(file.fields(line))}")
        file.header, names = first, named
    file.layout = _layout(file, head, names)
    if file.layout.varies:
        file.width = len(CONLL_2012.fields)
    if file.layout.told():
        known.setdefault(file.width, file.layout)
    elif not names:
        file.layout = known.get(file.width, file.layout)
    return file


def _layout(file: ColumnFile, head: Sequence[str], names: Sequence[str]) -> Layout:
    """The layout of the sentences among the first lines."""
    if names:
        if len(names) != file.width:
            raise UserError(
                f"{file.where}: global.columns names {len(names)} columns, a token has {file.width}"
            )
        return Layout.of(names, "" if file.header else "CoNLL-U Plus")
    sentences: list[list[list[str]]] = [[]]
    for line in head:
        line = line.removeprefix(_BOM)
        fields = file.fields(line)
        if not fields or split_blanks(line)[0] == _DOCSTART:
            sentences.append([])
        elif len(fields) >= file.width and not (
            line.startswith("#") and (_comment(line) or len(fields) != file.width)
        ):
            sentences[-1].append(fields)
    return layout_of([rows for rows in sentences if rows])


def _sentence(rows: list[list[str]], places: list[str], file: ColumnFile) -> TaggedSentence:
    fields = list(map(list, zip(*rows, strict=True)))
    if file.layout.fields[0] == "number":
        begin = int(fields[0][0]) if fields[0][0] in ("0", "1") else 1
        for number, (found, place) in enumerate(zip(fields[0], places, strict=True), start=begin):
            if found != str(number):
                raise UserError(
                    f"{place}: token {found} where {number} was expected: an empty line is missing "
                    "between two sentences, or a token is"
                )
    columns = {name: list(fields[position]) for name, position in file.layout.columns}
    if file.layout.varies and "ner" in columns:
        columns["ner"] = span_brackets.iob2_of(columns["ner"], places)
        count = sum(tag.startswith("B-") for tag in columns["ner"])
        file.notes.count("entities in brackets, (PERSON*, written as IOB2", count)
    return TaggedSentence(fields[file.layout.word], columns)
