"""Rows of tables, one by one, each with its place: one reader for every task."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kerasseq.data.corpus import WHOLE, Corpus, ordered
from kerasseq.data.delimited import TableFormat, delimited_rows
from kerasseq.data.fields import kind_of
from kerasseq.data.folders import files_in, split_files, split_of, suffix, unused_notes
from kerasseq.data.notes import Notes
from kerasseq.data.reading import ended_lines
from kerasseq.data.records import arrow_rows, json_rows
from kerasseq.errors import UserError

E = TypeVar("E")

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON = (".jsonl", ".ndjson", ".json")
_ARROW = (".parquet", ".feather", ".arrow")
SUFFIXES = (*_DELIMITERS, *_JSON, *_ARROW)


def is_table(path: Path) -> bool:
    """Whether a file's suffix is that of a table (``.gz`` too)."""
    return suffix(path) in SUFFIXES


def table_rows(
    path: Path,
    columns: Sequence[str],
    encoding: str,
    hint: str,
    form: TableFormat = TableFormat(),  # noqa: B008 (a constant)
    notes: Notes | None = None,
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a table, each with its place, made sure to have some columns.

    A column is called by its name; by its number, from 1, if none has that name; of JSON, by a path
    into its objects, ``data.text``; or it is several texts, joined by a blank, ``title+body``.

    Args:
        path: a file whose suffix is one of :data:`SUFFIXES` (``.gz`` too); of another one, it is
            read as CSV.
        columns: that every row must have a value of.
        encoding: of the file.
        hint: what to do if a column is missing.
        form: of a delimited table.
        notes: gets what was found out about the form.

    Raises:
        UserError: naming the file and the row, if a column or a value is missing.
    """
    notes = notes or Notes()
    rows = _rows(path, columns, encoding, form, notes, hint)
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path} has a header but no rows")
    if unused := _unused(first[1], columns):
        notes.say(f"{path.name}: columns not used: {', '.join(unused)}")
    for number, row in itertools.chain([first], rows):
        where = f"{path}:{number}"
        added = {c: _found(row, c, where, hint) for c in columns if c not in row}
        row = {**row, **added} if added else row
        for column in columns:
            if row[column] is None:
                raise UserError(f"{where}: no value in column {column!r}")
        yield where, row


def split_tables(path: Path) -> dict[str, list[Path]]:
    """The tables of a folder by split: files named after one, or all files of folders that are.

    Raises:
        UserError: if two could be the same split, or a shard is missing.
    """
    tables = [file for file in files_in(path) if is_table(file)]
    folders = [
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and split_of(folder.name) and any(map(is_table, files_in(folder)))
    ]
    chosen = split_files(path, [*tables, *folders])
    return {
        split: [file for file in files_in(one[0]) if is_table(file)] if one[0].is_dir() else one
        for split, one in chosen.items()
    }


def corpus_of_tables(
    path: Path, read: Callable[[Path], Iterable[E]], notes: Notes
) -> Corpus[E] | None:
    """A table, or the tables of a folder, as a corpus; None, if the folder has none.

    Args:
        path: of the table or the folder.
        read: gives the examples of a table.
        notes: that it fills.
    """
    files = split_tables(path) if path.is_dir() else {WHOLE: [path]}
    splits = {
        split: [example for table in tables for example in read(table)]
        for split, tables in ordered(files).items()
    }
    used = itertools.chain.from_iterable(files.values())
    lines = [*notes.lines(), *unused_notes(path, used, "no table of a split")]
    return Corpus(str(path), splits, lines) if splits else None


def _rows(
    path: Path,
    columns: Sequence[str],
    encoding: str,
    form: TableFormat,
    notes: Notes,
    hint: str,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table, each with its number."""
    kind = suffix(path)
    if kind in _ARROW or kind in _JSON:
        form.refuse(path)
    if kind in _ARROW:
        return arrow_rows(path, kind)
    if kind in _JSON:
        return json_rows(ended_lines(path, encoding, notes), path, notes)
    said = iter([notes])  # the file is read more than once, and its notes are taken once
    return delimited_rows(
        lambda: ended_lines(path, encoding, next(said, None)),
        path,
        _DELIMITERS.get(kind, ","),
        columns,
        form,
        notes,
        hint,
    )


def _unused(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """The names of a row's fields that no column is made of."""
    names = list(row)
    used: set[str] = set()
    for column in columns:
        for part in [column] if column in row else column.split("+"):
            number = part not in row and part.isdecimal() and 1 <= int(part) <= len(names)
            used.add(names[int(part) - 1] if number else part)
            used.add(part.partition(".")[0])
    return [name for name in names if name not in used]


def _found(row: Mapping[str, Any], column: str, where: str, hint: str) -> Any:
    """The value of a column that is no name: its number, a path, or several joined."""
    if "+" in column and all(map(str.strip, column.split("+"))):
        parts = [(one, _part(row, one, where, hint)) for one in column.split("+")]
        for name, value in parts:
            if not isinstance(value, str):
                raise UserError(f"{where}: {name} is {kind_of(value)}, expected a text to join")
        return " ".join(value for _, value in parts if value.strip())
    return _part(row, column, where, hint)


def _part(row: Mapping[str, Any], column: str, where: str, hint: str) -> Any:
    if column in row:
        return row[column]
    if column.isdecimal() and 1 <= int(column) <= len(row):
        return list(row.values())[int(column) - 1]
    value: Any = row
    for part in column.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping) or part not in value:
            raise UserError(
                f"{where}: no column {column!r}; it has {', '.join(map(repr, row))} ({hint})"
            )
        value = value[part]
    return value
