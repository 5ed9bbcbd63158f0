"""Rows of tables: CSV, TSV and JSON lines, one by one, each with its place."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasseq.data.folders import suffix
from kerasseq.data.reading import decode, open_lines
from kerasseq.errors import UserError

SUFFIXES = (".csv", ".tsv", ".jsonl")


def table_rows(
    path: Path, columns: Sequence[str], encoding: str, hint: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a table, each with its place, made sure to have some columns.

    Args:
        path: a file whose suffix is one of :data:`SUFFIXES` (``.gz`` too).
        columns: names that every row must have a value of.
        encoding: of the file.
        hint: what to do if a column is missing.

    Raises:
        UserError: naming the file and the row, if a column or a value is missing.
    """
    with open_lines(path) as stream:
        content = decode(stream.read(), encoding, str(path))
    if not content.strip():
        raise UserError(f"{path} is empty")
    kind = suffix(path)
    if kind == ".jsonl":
        rows = _json_rows(content, path)
    else:
        rows = delimited_rows(content, path, "\t" if kind == ".tsv" else ",")
    number = 0
    for number, row in rows:
        for column in columns:
            if column not in row:
                raise UserError(
                    f"{path}: no column {column!r}; it has {', '.join(map(repr, row))} ({hint})"
                )
            if row[column] is None:
                raise UserError(f"{path}:{number}: no value in column {column!r}")
        yield f"{path}:{number}", row
    if not number:
        raise UserError(f"{path} has a header but no rows")


def delimited_rows(content: str, path: Path, delimiter: str) -> Iterator[tuple[int, dict]]:
    """The rows of a CSV or TSV text, each with its line number."""
    csv.field_size_limit(2**31 - 1)
    # quotes are plain characters in the TSV files of the field (SST-2, GLUE)
    lines = io.StringIO(content, newline="")
    if delimiter == "\t":
        reader = csv.DictReader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}:{reader.reader.line_num}: {error}") from None


def _json_rows(content: str, path: Path) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, got {line[:40]}")
        yield number, row
