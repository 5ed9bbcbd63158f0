"""Rows of tables: CSV, TSV, JSON lines and Parquet, one by one, each with its place."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kerasseq.data.folders import suffix
from kerasseq.data.reading import decode, open_lines
from kerasseq.errors import UserError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def is_table(path: Path) -> bool:
    """Whether a file's suffix is that of a table (``.gz`` too)."""
    return suffix(path).lower() in SUFFIXES


class TableFormat(NamedTuple):
    """How a delimited table is written, where its suffix and its header do not say it.

    Attributes:
        delimiter: between fields; empty: a comma, of ``.tsv`` a tab, or the one of ``;``, tab and
            ``|`` by which the header has the columns.
        quoting: ``double`` for fields in double quotes, ``none`` where quotes are plain characters;
            ``auto``: the latter between tabs.
        header: ``first`` for names in the first row, ``none`` if it is a row like the others: then
            columns are called by their numbers, from 1.
    """

    delimiter: str = ""
    quoting: str = "auto"
    header: str = "first"


def table_rows(
    path: Path,
    columns: Sequence[str],
    encoding: str,
    hint: str,
    form: TableFormat = TableFormat(),  # noqa: B008 (a constant)
    notes: list[str] | None = None,
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a table, each with its place, made sure to have some columns.

    A column is called by its name; by its number, from 1, if none has that name; or, of JSON lines,
    by a path into its objects, ``data.text``.

    Args:
        path: a file whose suffix is one of :data:`SUFFIXES` (``.gz`` too).
        columns: that every row must have a value of.
        encoding: of the file.
        hint: what to do if a column is missing.
        form: of a delimited table.
        notes: gets what was found out about the form.

    Raises:
        UserError: naming the file and the row, if a column or a value is missing.
    """
    number, rows = 0, _rows(path, columns, encoding, form, [] if notes is None else notes, hint)
    for number, row in rows:
        for column in columns:
            if column not in row:
                row = {**row, column: _found(row, column, path, number, hint)}
            if row[column] is None:
                raise UserError(f"{path}:{number}: no value in column {column!r}")
        yield f"{path}:{number}", row
    if not number:
        raise UserError(f"{path} has a header but no rows")


def _found(row: Mapping[str, Any], column: str, path: Path, number: int, hint: str) -> Any:
    """The value of a column that is no name: its number, or a path into an object."""
    if column.isdecimal() and 1 <= int(column) <= len(row):
        return list(row.values())[int(column) - 1]
    value: Any = row
    for part in column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise UserError(
                f"{path}:{number}: no column {column!r}; it has {', '.join(map(repr, row))} "
                f"({hint})"
            )
        value = value[part]
    return value


def _rows(
    path: Path,
    columns: Sequence[str],
    encoding: str,
    form: TableFormat,
    notes: list[str],
    hint: str,
) -> Iterator[tuple[int, dict]]:
    """The rows of a table, each with its number."""
    kind = suffix(path).lower()
    if kind == ".parquet":
        return _parquet_rows(path)
    with open_lines(path) as stream:
        content = decode(stream.read(), encoding, str(path))
    if not content.strip():
        raise UserError(f"{path} is empty")
    if kind == ".jsonl":
        return _json_rows(content, path)
    delimiter = form.delimiter.replace("\\t", "\t") or _delimiter(
        content, "\t" if kind == ".tsv" else ",", columns, form, path, notes, hint
    )
    return delimited_rows(content, path, form._replace(delimiter=delimiter))


def _delimiter(
    content: str,
    usual: str,
    columns: Sequence[str],
    form: TableFormat,
    path: Path,
    notes: list[str],
    hint: str,
) -> str:
    """The delimiter by which the first row has all columns: the usual one, if that does it.

    Raises:
        UserError: if none does.
    """
    line = content.lstrip().splitlines()[0]

    def lacking(delimiter: str) -> tuple[list[str], list[str]]:
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
        numbers = [str(number) for number in range(1, len(names) + 1)]
        names = numbers if form.header == "none" else names
        return [column for column in columns if column not in {*names, *numbers}], names

    for delimiter in sorted(",;\t|", key=lambda one: one != usual):
        if not lacking(delimiter)[0]:
            if delimiter != usual:
                shown = "a tab" if delimiter == "\t" else repr(delimiter)
                notes.append(f"{path.name}: its fields are separated by {shown}")
            return delimiter
    missing, names = lacking(usual)
    raise UserError(
        f"{path}: no column {missing[0]!r}; it has {', '.join(map(repr, names))} ({hint})"
    )


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict]]:
    """The rows of a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    try:
        number = itertools.count(1)
        for batch in parquet.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                yield next(number), row
    except pyarrow.ArrowException as error:
        raise UserError(f"{path} cannot be read as Parquet: {error}") from None


def delimited_rows(content: str, path: Path, form: TableFormat) -> Iterator[tuple[int, dict]]:
    """The rows of a CSV or TSV text, each with its line number; ``form`` has a delimiter."""
    csv.field_size_limit(2**31 - 1)
    lines = io.StringIO(content, newline="")
    if "\r" in content and "\n" not in content:  # as old spreadsheets write
        lines = io.StringIO(content.replace("\r", "\n"), newline="")
    # quotes are plain characters in the TSV files of the field (SST-2, GLUE)
    plain = form.quoting == "none" or (form.quoting == "auto" and form.delimiter == "\t")
    how: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if plain else {"strict": True}
    rows = csv.reader(lines, delimiter=form.delimiter, **how)
    names: list[str] | None = None
    try:
        for row in rows:
            if not row:
                continue
            if names is None:
                if form.header == "none":
                    names = [str(number) for number in range(1, len(row) + 1)]
                else:
                    names = _header(row, path)
                    continue
            extra = row[len(names) :]  # empty ones: delimiters at the end, as spreadsheets write
            if any(extra):
                raise UserError(
                    f"{path}:{rows.line_num}: {len(row)} fields, but the header has {len(names)}; "
                    f"a field that holds {form.delimiter!r} needs quotes around it"
                )
            yield rows.line_num, dict(itertools.zip_longest(names, row[: len(names)]))
    except csv.Error as error:
        raise UserError(f"{path}:{rows.line_num}: {error}") from None


def _header(row: list[str], path: Path) -> list[str]:
    """The names of the columns; those without a name, at the end or an index, have their number.

    Raises:
        UserError: if two have one name.
    """
    names = [name.strip() for name in row]
    while names and not names[-1]:  # delimiters at the end
        names.pop()
    names = [name or str(number) for number, name in enumerate(names, start=1)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{path}: two columns are called {twice[0]!r}")
    return names


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(k for k, _ in pairs).items() if count > 1)
        raise ValueError(f"two values are called {twice!r}")
    return found


def _json_rows(content: str, path: Path) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, got {line[:40]}")
        yield number, row
