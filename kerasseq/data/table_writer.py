"""Rows written as a table: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kerasseq.data.folders import suffix
from kerasseq.data.sources import paths_of
from kerasseq.errors import UserError
from kerasseq.storage import replacing

WRITTEN = (".csv", ".tsv", ".jsonl", ".parquet")
"""Suffixes of tables that are written."""


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Writes rows to a table, whole or not at all, one by one (Parquet: all at once).

    In CSV and TSV a list of words becomes the words with blanks between them, and any other value
    of JSON stays JSON. A text may have line ends in any format but TSV, where it may have neither
    these nor tabs.

    Args:
        path: its suffix is one of :data:`WRITTEN` (``.gz`` too, but not of Parquet).
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
        opened = gzip.open if path.suffix.lower() == ".gz" else open
        with opened(temporary, "wt", encoding="utf-8", newline="") as out:
            if kind == ".jsonl":
                lines = (json.dumps(row, ensure_ascii=False, default=str) for row in every)
                return sum(out.write(f"{line}\n") > 0 for line in lines)
            return _write_delimited(out, list(first or ()), every, path)


def check_table(path: Path, inputs: Iterable[str] = ()) -> None:
    """Makes sure that a table can be written to a path.

    Args:
        path: of the table.
        inputs: names of sources that the command reads.

    Raises:
        UserError: if the name is no table's, or there is no such folder, or it would replace what
            the command reads.
    """
    if suffix(path) not in WRITTEN or path.name.lower().endswith(".parquet.gz"):
        raise UserError(f"{path}: a table ends in {', '.join(WRITTEN)} (or .gz of the first three)")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")
    for name in itertools.chain.from_iterable(map(paths_of, inputs)):
        if path.exists() and Path(name).exists() and path.samefile(name):
            raise UserError(f"{path} would be replaced, and it is read: give another name")


class Words(list[str]):
    """Words, which CSV joins by blanks; other lists are JSON there."""


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
        cells = list(map(_cell, row.values()))
        if list(row) != names:
            raise UserError(f"{path}: row {count:,} has the fields {list(row)}, not {names}")
        if tabs and any(set("\t\r\n") & set(cell) for cell in cells if isinstance(cell, str)):
            raise UserError(
                f"{path}: row {count:,} has a tab or a line end inside a field, which a TSV file "
                "cannot hold; write .csv, .jsonl or .parquet"
            )
        writer.writerow(cells)
    return count


def _cell(value: Any) -> Any:
    """A field of CSV: words with blanks between them, other values of JSON as JSON."""
    if isinstance(value, Words):
        return " ".join(value)
    if isinstance(value, list | dict | bool):
        return json.dumps(value, ensure_ascii=False, default=str) if value != [] else ""
    return value


def _write_parquet(path: Path, rows: list[Mapping[str, Any]]) -> int:
    import pyarrow
    from pyarrow import parquet

    try:
        parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise UserError(f"the rows cannot be written as Parquet: {error}") from None
    return len(rows)
