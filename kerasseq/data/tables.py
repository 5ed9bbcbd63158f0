"""Rows of tables: CSV, TSV, JSON lines and Parquet, one by one, each with its place; and back."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasseq.data.folders import suffix
from kerasseq.data.reading import decode, open_lines
from kerasseq.errors import UserError
from kerasseq.storage import replacing

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def is_table(path: Path) -> bool:
    """Whether a file's suffix is that of a table (``.gz`` too)."""
    return suffix(path) in SUFFIXES


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
    number, rows = 0, _rows(path, encoding)
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


def _rows(path: Path, encoding: str) -> Iterator[tuple[int, dict]]:
    """The rows of a table, each with its number."""
    kind = suffix(path)
    if kind == ".parquet":
        return _parquet_rows(path)
    with open_lines(path) as stream:
        content = decode(stream.read(), encoding, str(path))
    if not content.strip():
        raise UserError(f"{path} is empty")
    if kind == ".jsonl":
        return _json_rows(content, path)
    return delimited_rows(content, path, "\t" if kind == ".tsv" else ",")


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
            extra = row.pop(None, [])  # empty ones: delimiters at the end, as spreadsheets write
            if any(extra):
                raise UserError(
                    f"{path}:{reader.line_num}: {len(row) + len(extra)} fields, but the header has "
                    f"{len(row)}; a field that holds {delimiter!r} needs quotes around it"
                )
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


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Writes rows to a table, whole or not at all, one by one (Parquet: all at once).

    A list in a field becomes words with blanks between them in CSV and TSV. A text may have line
    ends in any format but TSV, where it may have neither these nor tabs.

    Args:
        path: its suffix is one of :data:`SUFFIXES` (``.gz`` too, but of Parquet).
        rows: with the same fields; those of the first row come first.

    Returns:
        How many there were.

    Raises:
        UserError: if a field cannot be held by the format.
    """
    kind, stream = suffix(path), iter(rows)
    first = next(stream, None)
    every = itertools.chain([] if first is None else [first], stream)
    with replacing(path) as temporary:
        if kind == ".parquet":
            return _write_parquet(temporary, list(every))
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(temporary, "wt", encoding="utf-8", newline="") as out:
            if kind == ".jsonl":
                lines = (json.dumps(row, ensure_ascii=False, default=str) for row in every)
                return sum(out.write(f"{line}\n") > 0 for line in lines)
            return _write_delimited(out, list(first or ()), every, path)


def check_table(path: Path) -> None:
    """Raises:
    UserError: if a table cannot be written to a path of that name.
    """
    if not is_table(path) or path.name.endswith(".parquet.gz"):
        raise UserError(
            f"{path}: a table ends in {', '.join(SUFFIXES)} (or .gz of the first three)"
        )
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")


def _write_delimited(
    out: Any, names: list[str], rows: Iterable[Mapping[str, Any]], path: Path
) -> int:
    tabs = suffix(path) == ".tsv"
    if tabs:  # quotes are plain characters there, as in reading
        how: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
    else:
        how = {}
    writer = csv.writer(out, lineterminator="\n", **how)
    if names:
        writer.writerow(names)
    count = 0
    for count, row in enumerate(rows, start=1):
        cells = [" ".join(map(str, c)) if isinstance(c, list) else c for c in row.values()]
        if list(row) != names:
            raise UserError(f"{path}: row {count:,} has the fields {list(row)}, not {names}")
        if tabs and any(set("\t\r\n") & set(cell) for cell in cells if isinstance(cell, str)):
            raise UserError(
                f"{path}: row {count:,} has a tab or a line end inside a field, which a TSV file "
                "cannot hold; write .csv, .jsonl or .parquet"
            )
        writer.writerow(cells)
    return count


def _write_parquet(path: Path, rows: list[Mapping[str, Any]]) -> int:
    import pyarrow
    from pyarrow import parquet

    try:
        parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    except pyarrow.ArrowException as error:
        raise UserError(f"the rows cannot be written as Parquet: {error}") from None
    return len(rows)
