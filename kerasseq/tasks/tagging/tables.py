"""Tagged sentences from tables: a sentence a row, a token a row, or a text with its spans."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasseq.data.corpus import WHOLE, Corpus
from kerasseq.data.delimited import TableFormat, several_fields
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.fields import kind_of, strings_of
from kerasseq.data.folders import suffix
from kerasseq.data.layouts import Asked
from kerasseq.data.notes import Notes
from kerasseq.data.reading import text_lines
from kerasseq.data.records import class_names
from kerasseq.data.tables import corpus_of_tables, is_table, table_rows
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.character_spans import iob2_of_spans

TOKEN_FILE = ".tsv"
"""Suffix of a table that is a file of tokens here."""

HINT = "column and word_column choose, by name or number"
_CSV = ".csv"
_WORDS, _WORD = ("tokens", "words"), ("word", "token")
_SENTENCE = ("sentence #", "sentence_id", "sentence_idx")
_SPECIAL = {
    "ner": ("ner_tags", "ner"),
    "upos": ("upos", "upos_tags", "pos_tags", "pos"),
    "xpos": ("xpos", "xpos_tags", "pos_tags", "pos"),
    "chunk": ("chunk_tags", "chunk"),
}
"""Usual names of columns that are told by their name; others are so if they are alone."""
_GENERAL = ("tags", "labels", "tag", "label")
_SPANS = ("label", "labels", "entities")


def is_tagged_table(path: Path, form: TableFormat) -> bool:
    """Whether a file is a table of tagged sentences, and no file of tokens.

    A ``.csv`` is one if its first line has several fields; else it may be any file of tokens.
    """
    kind = suffix(path)
    if kind == TOKEN_FILE or not is_table(path):
        return False
    return kind != _CSV or bool(form.given()) or bool(_first_delimiter(path))


def _first_delimiter(path: Path) -> str:
    """What the fields of a CSV file's first line seem to be separated by; nothing, if by none."""
    first = next((line for line in text_lines(path, "latin-1") if line.strip()), "")
    return several_fields(first.rstrip("\r\n"), ",;|")


def table_corpus(path: Path, reader: TableReader) -> Corpus[TaggedSentence] | None:
    """A table, or a folder of them, with shards and folders of splits; None, if it has none.

    Raises:
        UserError: if a split has no sentence.
    """
    corpus = corpus_of_tables(path, reader.read, reader.notes)
    for split, sentences in corpus.splits.items() if corpus else ():
        if not sentences:
            where = "" if split == WHOLE else f": its {split} split"
            raise UserError(f"{path}{where} has no sentence")
    return corpus


@dataclass
class TableReader:
    """Reads the tables of one corpus.

    Attributes:
        asked: columns that the settings name.
        encoding: of text files.
        form: of delimited tables.
        notes: what was found and skipped.
    """

    asked: Asked
    encoding: str
    form: TableFormat = TableFormat()
    notes: Notes = field(default_factory=Notes)

    def read(self, path: Path) -> Iterator[TaggedSentence]:
        """The sentences of a table, one by one.

        Raises:
            UserError: naming the file and the row, if words and tags are not what they must be.
        """
        if self.form.header == "none":
            raise UserError(f"{path}: tables of tagged sentences need the names of their columns")
        names, first = self._first_row(path)
        asked = self.asked
        sentence = asked.sentence or _usual(names, _SENTENCE)
        word = asked.word or _usual(names, _WORDS) or _usual(names, _WORD)
        if not word and (spans := _spans_column(names, first)):
            return self._spans(path, spans)
        if not word:
            raise UserError(
                f"{path}: no column of words, tokens or words; it has "
                f"{', '.join(map(repr, names))} (--word_column chooses)"
            )
        tags = self._tags_column(path, names)
        if sentence:
            return self._tokens(path, word, tags, sentence)
        if word.lower() in _WORD and not isinstance(first.get(word), list):
            raise UserError(
                f"{path}: a token a row ({word!r}), and no column tells which sentence it is of; "
                f"it has {', '.join(map(repr, names))} (--sentence_column chooses)"
            )
        return self._sentences(path, word, tags)

    def _rows(self, path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return table_rows(path, columns, self.encoding, HINT, self.form, self.notes)

    def _first_row(self, path: Path) -> tuple[list[str], Mapping[str, Any]]:
        form = self.form
        if suffix(path) == _CSV and not form.delimiter:
            form = form._replace(delimiter=_first_delimiter(path))
        _, row = next(table_rows(path, (), self.encoding, HINT, form))
        return list(row), row

    def _tags_column(self, path: Path, names: Sequence[str]) -> str:
        """The column of tags: the one that is asked for, or one whose name says it.

        Raises:
            UserError: if several could be meant.
        """
        column = self.asked.column
        if column in names or column not in _SPECIAL:
            return column
        for usual in (_SPECIAL[column], _GENERAL):
            found = [name for name in names if name.lower() in usual]
            if len(found) > 1:
                raise UserError(
                    f"{path}: {' and '.join(map(repr, found))} could be the column {column}: "
                    "--column chooses"
                )
            if found:
                self.notes.say(f"column {found[0]} is taken for {column}")
                return found[0]
        return column

    def _sentence(self, words: list[str], tags: list[str], text: str | None = None) -> Any:
        return TaggedSentence(words, {self.asked.column: tags}, text=text)

    # -- a sentence a row --------------------------------------------------------------------------

    def _sentences(self, path: Path, word: str, column: str) -> Iterator[TaggedSentence]:
        split = suffix(path) == _CSV
        names: list[str] | None = None
        for where, row in self._rows(path, (word, column)):
            words, tags = row[word], row[column]
            if split:
                words, tags = _cell(words, where, word), _cell(tags, where, column)
            if names is None and _are_numbers(tags):
                names = self._class_names(path, where, column)
            words = _filled(words, where, word)
            tags = _named(tags, names, where, column) if names and _are_numbers(tags) else tags
            tags = _filled(tags, where, column)
            if len(words) != len(tags):
                raise UserError(
                    f"{where}: {len(words)} words in {word}, but {len(tags)} tags in {column}"
                )
            if not words:
                self.notes.count("rows without words skipped")
                continue
            yield self._sentence(words, tags)

    def _class_names(self, path: Path, where: str, column: str) -> list[str]:
        """The names of tags that are numbers, as Hugging Face writes them into a file.

        Raises:
            UserError: if the file does not have them.
        """
        names = class_names(path, column)
        if not names:
            raise UserError(
                f"{where}: {column} holds numbers, and the file does not say what they are called: "
                "write the names of the tags instead (datasets: features[column].feature.names)"
            )
        self.notes.say(f"numbers in {column} are tags by the file's names: {', '.join(names)}")
        return names

    # -- a token a row -----------------------------------------------------------------------------

    def _tokens(
        self, path: Path, word: str, column: str, sentence: str
    ) -> Iterator[TaggedSentence]:
        """A sentence goes on until the column of sentences has another value that is not empty."""
        self.notes.say(f"a token a row, whose sentence is told by {sentence}")
        words: list[str] = []
        tags: list[str] = []
        before, seen = "", set[str]()
        for where, row in self._rows(path, (word, column, sentence)):
            value = str(row[sentence]).strip()
            if value and value != before:
                if words:
                    yield self._sentence(words, tags)
                words, tags, before = [], [], value
                self.notes.count(f"sentences whose {sentence} was there before", value in seen)
                seen.add(value)
            elif not before:
                raise UserError(f"{where}: {sentence} is empty in the first row")
            words += _filled([row[word]], where, word)
            tags += _filled([row[column]], where, column)
        if words:
            yield self._sentence(words, tags)

    # -- a text with spans -------------------------------------------------------------------------

    def _spans(self, path: Path, column: str) -> Iterator[TaggedSentence]:
        self.notes.say(f"spans of characters in {column} written as IOB2; a text is a sentence")
        for where, row in self._rows(path, ("text", column)):
            text = row["text"]
            if not isinstance(text, str):
                raise UserError(f"{where}: text is {kind_of(text)}, expected a string")
            words, tags = iob2_of_spans(text, row[column], where)
            if not words:
                self.notes.count("texts without words skipped")
                continue
            yield self._sentence(words, tags, text if "\n" not in text else None)


def _usual(names: Sequence[str], usual: Sequence[str]) -> str:
    """The first of the usual names that is there, in any case; nothing, if none is."""
    found = ((one, name) for one in usual for name in names if name.lower() == one)
    return next(found, ("", ""))[1]


def _spans_column(names: Sequence[str], first: Mapping[str, Any]) -> str:
    """The column of spans in an export of doccano; nothing, if it is none."""
    if "text" not in names:
        return ""
    return next((name for name in _SPANS if isinstance(first.get(name), list)), "")


def _cell(value: str, where: str, column: str) -> list[str]:
    """The strings of a field of CSV: between blanks, or a list as JSON or Python writes it.

    Raises:
        UserError: if it looks like a list and is not written so.
    """
    value = value.strip()
    if value == "[]":
        return []
    numbers = re.fullmatch(r"\[\s*[0-9]+(\s*,\s*[0-9]+)*\s*\]", value)
    if not numbers and (value[:2] not in ("['", '["') or not value.endswith("]")):
        return value.split()
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        found = None
    if isinstance(found, list) and value in (
        repr(found),
        json.dumps(found),
        json.dumps(found, ensure_ascii=False),
    ):
        return found
    raise UserError(
        f"{where}: {column} looks like a list, but is none of Python or JSON: {value[:40]!r}"
    )


def _filled(values: Any, where: str, column: str) -> list[str]:
    """Strings, none of which is empty.

    Raises:
        UserError: if one is, or they are something else.
    """
    if isinstance(values, str):
        raise UserError(f"{where}: {column} is {kind_of(values)}, expected a list of strings")
    strings = strings_of(values, where, column)
    for position, one in enumerate(strings, start=1):
        if not one.strip() or len(one.splitlines()) > 1:
            raise UserError(f"{where}: value {position} of {column} is {one!r}")
    return [one.strip() for one in strings]


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and any(
        isinstance(one, int) and not isinstance(one, bool) for one in values
    )


def _named(values: list[Any], names: Sequence[str], where: str, column: str) -> list[str]:
    """Numbers of classes as their names.

    Raises:
        UserError: if one is no number of a class.
    """
    for one in values:
        if not isinstance(one, int) or not 0 <= one < len(names):
            raise UserError(
                f"{where}: {column} has {kind_of(one)}, expected numbers from 0 to {len(names) - 1}"
            )
    return [names[one] for one in values]
