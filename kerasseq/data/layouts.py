"""What stands in which column of a file of tokens: found from its first rows, or as it is asked.

A layout is told by the number of columns and by the tags in them. What these do not tell is not
guessed: such a column has no name but its number, and a number always chooses.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from kerasseq.errors import UserError

Row = Sequence[str]

_NO_TAGS = {
    "number", "id", "word", "form", "lemma", "head", "deps", "misc", "parse", "document", "part",
    "frameset", "sense", "speaker", "_",
}  # fmt: skip
"""Names of columns that are no tags of the word."""
_SPAN = re.compile(r"[BIESUL]-(.+)")
_CHUNKS = {
    "ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP",
    "NC", "PC", "VC",
}  # fmt: skip
_ENTITIES = re.compile(
    r"(?:PER|LOC|ORG|MISC|GPE|FAC|NORP|DATE|TIME|MONEY|PRODUCT|EVENT|CORP|CREATIVE|CW|GRP|GROUP)",
    re.IGNORECASE,
)
_CONLL_2012 = 12  # columns at least: how many there are depends on the verbs of the sentence
_NESTED_ENTITIES = 2


class Asked(NamedTuple):
    """What the settings say of the columns: a name, a number from 1, or nothing.

    Attributes:
        column: of tags.
        word: column of words.
        sentence: column of a table that tells sentences.
    """

    column: str = ""
    word: str = ""
    sentence: str = ""


FREE = Asked()
"""The format says everything."""


@dataclass(frozen=True)
class Layout:
    """What stands in the columns.

    Attributes:
        fields: a name for each column; where two names fit, ``xpos/ner``; where none is told, its
            number.
        title: whose layout it is.
        varies: whether more columns, which are not read, may stand behind these.
        word: position of the word.
        columns: positions of the tags, by name.
    """

    fields: tuple[str, ...]
    title: str = ""
    varies: bool = False
    word: int = 0
    columns: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, fields: Sequence[str], title: str = "", varies: bool = False) -> Layout:
        """A layout from the names of its columns, one of which is ``word`` or ``form``."""
        word = next((i for i, name in enumerate(fields) if name in ("word", "form")), -1)
        columns = tuple(
            (name, position)
            for position, field in enumerate(fields)
            for name in (field.split("/") if field == _EITHER else [field])
            if name not in _NO_TAGS
        )
        return cls(tuple(fields), title, varies, word, columns)

    def told(self) -> bool:
        """Whether every column has a name."""
        return not any(name.isdigit() for name in self.fields)

    def asked(self, asked: Asked, at: str) -> Layout:
        """The layout as the settings have it.

        Args:
            asked: by the settings.
            at: place for messages.

        Raises:
            UserError: if there is no such column, or the words and the tags are the same one.
        """
        word = self._position(asked.word, "word_column", at) if asked.word else self.word
        if word < 0:
            raise UserError(
                f"{at}: no column is named FORM; say which one holds the words: --word_column; "
                f"there are {', '.join(self.fields)}"
            )
        columns = dict(self.columns)
        if asked.column.isdigit():
            columns[asked.column] = self._position(asked.column, "column", at)
            if columns[asked.column] == word:
                raise UserError(
                    f"{at}: column {asked.column} is that of the words: give another --column, or "
                    "--word_column"
                )
        lower = asked.column.lower()
        if asked.column not in columns and lower in columns:  # as the file spells it
            columns[asked.column] = columns.pop(lower)
        rest = {name: position for name, position in columns.items() if position != word}
        return replace(self, word=word, columns=tuple(rest.items()))

    def _position(self, name: str, option: str, at: str) -> int:
        if name.isdigit() and 1 <= int(name) <= len(self.fields):
            return int(name) - 1
        if not name.isdigit() and name.lower() in self.fields:
            return self.fields.index(name.lower())
        shown = ", ".join(self.fields)
        raise UserError(
            f"{at}: there is no column {name!r}; there are {len(self.fields)}: {shown} "
            f"(--{option} takes a name or a number from 1)"
        )

    def note(self, separator: str) -> str:
        """For a data report."""
        names = [
            f"column {position}" if name.isdigit() or name == "word" else name
            for position, name in enumerate(self.fields, start=1)
        ]
        names = [name.replace(_EITHER, "xpos or ner") for name in names]
        names[self.word] = "word"
        title = f", as {self.title}" if self.title else ""
        return f"columns: {', '.join(names)} ({separator}{title})"


_EITHER = "xpos/ner"
CONLL_2012 = Layout.of(
    ("document", "part", "number", "word", "xpos", "parse", "lemma", "frameset", "sense", "speaker",
     "ner"),
    "OntoNotes in CoNLL-2012",
    varies=True,
)  # fmt: skip


_HEADER = {
    "word": "word", "words": "word", "token": "word", "tokens": "word", "form": "word",
    "pos": "xpos", "tag": "xpos", "xpos": "xpos", "upos": "upos", "lemma": "lemma",
    "chunk": "chunk", "ner": "ner", "entity": "ner", "ner_tag": "ner", "label": "ner",
}  # fmt: skip


def header_names(row: Row) -> list[str]:
    """The names of the columns, if a row can be nothing but a header; else none.

    >>> header_names(["Word", "POS", "Tag"])
    []
    >>> header_names(["token", "pos", "ner"])
    ['word', 'xpos', 'ner']
    """
    names = [_HEADER.get(field.lower().lstrip("# "), "") for field in row]
    return names if names[0] == "word" and all(names) and len(set(names)) == len(names) else []


def is_spans(tags: Sequence[str]) -> bool:
    """Whether all tags are ``O`` or a letter and a kind: ``B-NP``."""
    return all(tag == "O" or _SPAN.fullmatch(tag) for tag in tags)


def layout_of(sentences: Sequence[Sequence[Row]]) -> Layout:
    """The layout of the first sentences of a file.

    Args:
        sentences: rows of as many fields, two or more.
    """
    first = sentences[0][0]
    if _is_conll_2012(first):
        return CONLL_2012
    rows = [row for rows in sentences for row in rows]
    columns = list(zip(*(row[: len(first)] for row in rows), strict=True))
    if len(columns) > len(_PLAIN) and _is_numbered(sentences):
        names, title = _names(columns[1:], 2)
        return Layout.of(["number", *names], title)
    names, title = _names(columns, 1)
    return Layout.of(names, title)


_PLAIN = ("word", _EITHER)


def _names(columns: Sequence[Sequence[str]], start: int) -> tuple[list[str], str]:
    """Names for the columns, and whose layout it is.

    Args:
        columns: of the first rows; the first one holds the words.
        start: number of the first one.
    """
    numbers = [str(number) for number in range(start, start + len(columns))]
    kinds = [_kind(column) for column in columns]
    width = len(columns)
    if width == len(_PLAIN):
        return list(_PLAIN), ""
    if width == 3:
        if kinds[1] and kinds[2]:
            return ["word", "ner", "inner"], "GermEval: outer and inner entities"
        if kinds[2] == "chunk":
            return ["word", "xpos", "chunk"], "CoNLL-2000"
        if kinds[2] == "ner":
            return ["word", "xpos", "ner"], "CoNLL-2002"
        if kinds[2]:
            return ["word", "xpos", numbers[2]], ""
    elif width == 4 and kinds[3]:
        if {*columns[1], *columns[2]} == {"_"}:
            return ["word", "_", "_", "ner"], "MultiCoNER"
        if kinds[2]:
            return ["word", "xpos", "chunk", "ner"], "CoNLL-2003"
        if all("*" in cell for cell in columns[2]):
            return ["word", "xpos", "parse", "ner"], "OntoNotes"
        return ["word", *numbers[1:3], "ner"], ""
    elif width == 5 and kinds[3] and kinds[4]:
        return ["word", "lemma", "xpos", "chunk", "ner"], "German CoNLL-2003"
    return ["word", *numbers[1:]], ""


def _kind(tags: Sequence[str]) -> str:
    """``chunk``, ``ner``, or ``spans`` if their kinds do not tell; nothing for other tags."""
    if not is_spans(tags):
        return ""
    kinds = {match[1] for tag in set(tags) if (match := _SPAN.fullmatch(tag))}
    chunks = any(kind in _CHUNKS for kind in kinds)
    entities = any(_ENTITIES.match(kind) for kind in kinds)
    if chunks == entities:
        return "spans"
    return "chunk" if chunks else "ner"


def _is_numbered(sentences: Sequence[Sequence[Row]]) -> bool:
    """Whether the first column counts words from 0 or 1, beginning anew now and then."""
    begins = sentences[0][0][0]
    if begins not in ("0", "1") or all(len(rows) == 1 for rows in sentences):
        return False
    numbers = [row[0] for rows in sentences for row in rows]
    follow = itertools.pairwise(numbers)
    return all(
        two == begins or (one.isdecimal() and two == str(int(one) + 1)) for one, two in follow
    )


def _is_conll_2012(row: Row) -> bool:
    return len(row) >= _CONLL_2012 and row[1].isdigit() and row[2] == "0" and "*" in row[5]
