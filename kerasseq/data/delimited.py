"""Rows of CSV and TSV files, as a stream: their delimiter, their quotes, their header."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kerasseq.data.notes import Notes
from kerasseq.errors import UserError

Lines = Callable[[], Iterator[str]]
"""Reads a file anew."""


DELIMITERS = ",;\t|"
"""Those that are found; others are given."""


class TableFormat(NamedTuple):
    """How a delimited table is written, where its suffix and its header do not say it.

    Attributes:
        delimiter: between fields; empty: a comma, of ``.tsv`` a tab, or the one of ``;``, tab and
            ``|`` by which the header has the columns.
        quoting: ``double`` for fields in double quotes, ``none`` where quotes are plain characters;
            ``auto``: between tabs as the file shows, else ``double``.
        header: ``first`` for names in the first row, ``none`` if it is a row like the others: then
            columns are called by their numbers, from 1; ``auto``: the first, since a column is
            asked for by a name that stands there.
        blanks: whether a blank behind a delimiter is no part of the field.
    """

    delimiter: str = ""
    quoting: str = "auto"
    header: str = "auto"
    blanks: bool = False

    def given(self) -> list[str]:
        """The names of the options that say something."""
        default = TableFormat()
        return [name for name in self._fields if getattr(self, name) != getattr(default, name)]

    def refuse(self, path: Path | str) -> None:
        """Raises:
        UserError: if something is said, and the file is no delimited table.
        """
        if given := self.given():
            raise UserError(f"{path} is no delimited table, and {', '.join(given)} is for one")


def delimited_rows(
    lines: Lines,
    path: Path,
    usual: str,
    columns: Sequence[str],
    form: TableFormat,
    notes: Notes,
    hint: str,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a delimited table, each with its line number.

    Args:
        lines: reads the file, with the ends of the lines.
        path: its name, for messages.
        usual: the delimiter that its suffix says.
        columns: that the table must have.
        form: what is said of it.
        notes: gets what was found out.
        hint: what to do if a column is missing.

    Raises:
        UserError: if the file is empty, or is no such table, or can be read in two ways.
    """
    first = next((line for line in lines() if line.strip()), None)
    if first is None:
        raise UserError(f"{path} is empty")
    form = form._replace(header=_header_rule(form, first, columns, path))
    delimiter = form.delimiter.replace("\\t", "\t")
    if len(delimiter) > 1:
        raise UserError(f"delimiter must be one character, got {delimiter!r}")
    delimiter = delimiter or _delimiter(first, usual, columns, form, path, notes, hint)
    form = form._replace(delimiter=delimiter)
    if form.quoting == "auto":
        form = form._replace(
            quoting=quoting_shown(lines, first, delimiter, path, notes, form.header == "first")
        )
    if _padded(first, form):
        form = form._replace(blanks=True)
        notes.say(f"{path.name}: a blank behind each delimiter is no part of a field")
    return parsed_rows(lines(), path, form, notes)


def _padded(first: str, form: TableFormat) -> bool:
    """Whether a blank stands behind every delimiter of the first row: ``text, label``."""
    row = next(csv.reader([first], delimiter=form.delimiter), [])
    return form.delimiter != " " and len(row) > 1 and all(f[:1] == " " for f in row[1:])


def _header_rule(form: TableFormat, first: str, columns: Sequence[str], path: Path) -> str:
    """Whether the first row has names.

    Raises:
        UserError: if nothing tells.
    """
    if form.header != "auto":
        return form.header
    if columns and all(column.isdecimal() for column in columns):
        raise UserError(
            f"{path}: columns are given by number: --header first, if the first row has their "
            f"names, or --header none ({first.strip()[:60]!r})"
        )
    return "first"


def _delimiter(
    first: str,
    usual: str,
    columns: Sequence[str],
    form: TableFormat,
    path: Path,
    notes: Notes,
    hint: str,
) -> str:
    """The delimiter by which the first row has all columns: the usual one, if that does it.

    Raises:
        UserError: if none does.
    """
    line = first.rstrip("\r\n")

    def lacking(delimiter: str) -> tuple[list[str], list[str]]:
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
        numbers = [str(number) for number in range(1, len(names) + 1)]
        names = numbers if form.header == "none" else names
        return [column for column in columns if not has_column(column, {*names, *numbers})], names

    for delimiter in sorted(DELIMITERS, key=lambda one: one != usual):
        if not lacking(delimiter)[0]:
            if delimiter != usual:
                notes.say(f"{path.name}: its fields are separated by {shown_delimiter(delimiter)}")
            return delimiter
    missing, names = lacking(usual)
    raise UserError(
        f"{path}: no column {missing[0]!r}; it has {', '.join(map(repr, names))} ({hint}; without "
        "names: --header none)"
    )


def several_fields(line: str, delimiters: str = DELIMITERS) -> str:
    """The first delimiter by which a line has several fields; nothing, if there is none."""
    found = (one for one in delimiters if len(next(csv.reader([line], delimiter=one), [])) > 1)
    return next(found, "")


def shown_delimiter(delimiter: str) -> str:
    """A delimiter, for people."""
    return "a tab" if delimiter == "\t" else repr(delimiter)


def has_column(column: str, names: Iterable[str]) -> bool:
    """Whether a column, or every one of some joined by ``+``, is among these names."""
    names = set(names)
    return column in names or ("+" in column and names.issuperset(column.split("+")))


def quoting_shown(
    lines: Lines, first: str, delimiter: str, path: Path, notes: Notes, header: bool = True
) -> str:
    """Whether quotes of a file are plain characters; between tabs the file shows it: a header in
    quotes, a field that needs them, or every field in quotes.

    Quotes are plain in the TSV files of the field (SST-2, GLUE); pandas quotes the fields that hold
    a quote, a tab or a line end.

    Raises:
        UserError: if both can be, and the rows would be others.
    """
    if delimiter != "\t":
        return "double"
    if not any('"' in line for line in lines()):
        return "none"
    width = len(first.split(delimiter))
    marked = multiple = 0
    try:
        rows = csv.reader(lines(), delimiter=delimiter, strict=True)
        for row in rows:
            if row and len(row) != width:
                return "none"
            multiple += sum("\n" in field or delimiter in field for field in row)
    except csv.Error:
        return "none"
    plain = (line.rstrip("\r\n").split(delimiter) for line in lines() if line.strip())
    even, every, doubled = True, True, 0
    for row in plain:
        even &= len(row) == width
        quoted = [f for f in row if len(f) > 1 and f[0] == f[-1] == '"']
        marked += len(quoted)
        every &= len(quoted) == len(row)
        doubled += sum('""' in field[1:-1] for field in quoted)
    if multiple and even:
        raise UserError(
            f"{path}: fields begin with a quote and end with one in another row: --quoting none, "
            "if quotes are plain characters, or --quoting double"
        )
    if multiple or doubled or every or (header and first.startswith('"')):
        notes.say(f"{path.name}: its fields stand in double quotes")
        return "double"
    if marked:
        notes.say(
            f"{path.name}: {marked:,} fields stand in quotes, which are kept (quoting double "
            "removes them)"
        )
    return "none"


def parsed_rows(
    lines: Iterable[str], path: Path, form: TableFormat, notes: Notes | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV or TSV text, each with its line number; ``form`` has a delimiter.

    Raises:
        UserError: naming the line, if a row has other fields than the header.
    """
    csv.field_size_limit(2**31 - 1)
    plain = form.quoting == "none"
    how: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if plain else {"strict": True}
    how["skipinitialspace"] = form.blanks
    rows = csv.reader(lines, delimiter=form.delimiter, **how)
    names: list[str] | None = None
    ended = 0
    try:
        for row in rows:
            began, ended = ended + 1, rows.line_num
            if not row:
                continue
            if notes and ended > began:
                notes.count("rows over several lines, for a field in quotes holds line ends")
            if names is None:
                if form.header == "none":
                    names = [str(number) for number in range(1, len(row) + 1)]
                else:
                    names = _header(row, path)
                    continue
            # delimiters at the end, as spreadsheets write
            if len(row) < len(names) or any(row[len(names) :]):
                raise UserError(f"{path}:{rows.line_num}: {_unequal(row, names, form)}")
            yield rows.line_num, dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise UserError(
            f"{path}:{ended + 1}: {error} (--quoting none, if quotes are plain characters)"
        ) from None


def _unequal(row: Sequence[str], names: Sequence[str], form: TableFormat) -> str:
    """What is wrong with a row that has other fields than the header."""
    whose = "the first row" if form.header == "none" else "the header"
    found = f"{len(row)} field{'s' * (len(row) != 1)}, but {whose} has {len(names)}"
    if form.quoting == "none" and any('"' in field for field in row):
        return f"{found} (--quoting double, if quotes hold a field together)"
    if len(row) > len(names):
        return f"{found}; a field that holds {form.delimiter!r} needs quotes around it"
    return found


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
