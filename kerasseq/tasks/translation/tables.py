"""Tables of pairs: which columns, whether there is a header, and the pairs of the rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kerasseq.data.blank import is_blank
from kerasseq.data.delimited import (
    TableFormat,
    quoting_shown,
    several_fields,
    shown_delimiter,
)
from kerasseq.data.examples import Pair
from kerasseq.data.fields import text_of
from kerasseq.data.folders import suffix
from kerasseq.data.notes import Notes
from kerasseq.data.reading import ended_lines, text_lines
from kerasseq.data.tables import SUFFIXES, table_rows
from kerasseq.errors import UserError
from kerasseq.tasks.translation.headers import (
    column_of,
    header_languages,
    is_language,
    language_named,
)
from kerasseq.tasks.translation.pairs import (
    Named,
    check_differ,
    direction_of,
    named,
    pairs_of,
)

OPTIONS = (
    "--source and --target are names or numbers of columns: en, translation.en, 1; with a language "
    "2:ja"
)
LISTS = "fields that were lists of several texts"

_TABBED = (".tsv", ".txt")
_DELIMITED = (*_TABBED, ".csv")
_STRUCT = "translation"
"""The column of a data set of Hugging Face that holds an object with a text for each language."""


class Columns(NamedTuple):
    """How the pairs of a table are read.

    Attributes:
        source, target: names or numbers of columns, and their languages.
        form: of the table.
        skips: whether the first row is a header, though columns are numbers.
    """

    source: Named
    target: Named
    form: TableFormat
    skips: bool

    @property
    def languages(self) -> tuple[str, str]:
        """Of both columns."""
        return self.source.language, self.target.language


def is_table(file: Path) -> bool:
    """Whether a file's name is that of a table of pairs."""
    return suffix(file) in (*SUFFIXES, ".txt")


def is_marked(file: Path) -> bool:
    """Whether a suffix says that a file is a table; ``.txt`` may be anything."""
    return suffix(file) in SUFFIXES


def is_tabbed(file: Path) -> bool:
    """Whether tabs stand between the fields, and mostly there is no header."""
    return suffix(file) in _TABBED


def are_columns(*names: str) -> bool:
    """Whether all of these are numbers of columns, such as ``"2"`` or ``"2:ja"``."""
    return all(re.fullmatch("0*[1-9][0-9]*(:[a-zA-Z_-]+)?", name) for name in names)


def _column(option: str) -> Named:
    """What an option says of a column; a name says its language too."""
    one = named(option)
    if one.language == one.name and not are_columns(one.name):
        return Named(one.name, language_named(one.name))
    return one


def columns_of(
    file: Path, source: str, target: str, encoding: str, form: TableFormat, notes: list[str]
) -> Columns:
    """How a table is to be read.

    Args:
        file: of the table.
        source, target: what the options say; may be empty.
        encoding, form: of the file.
        notes: gets what was found out.

    Raises:
        UserError: if the columns are not known, or are the same.
    """
    kind = suffix(file)
    form = form._replace(delimiter=delimiter_of(file, encoding, form, notes))
    given = list(filter(None, (source, target)))
    if (
        kind in _TABBED
        and are_columns(*given)
        and (given or _is_plain(file, encoding, form, notes))
    ):
        return _numbered(
            file, _column(source or "1"), _column(target or "2"), encoding, form, notes
        )
    names, struct = names_of(file, encoding, form)
    if not source and not target:
        source, target = _said_by_names(file, names, struct, kind, form, notes)
    if not source or not target:
        raise UserError(
            f"{file}: --source and --target are both needed; {_has(names, struct)} ({OPTIONS})"
        )
    asked = _column(source), _column(target)
    found = [_found(one, names, struct, file, notes) for one in asked]
    _check(file, found[0], found[1])
    return Columns(found[0], found[1], form, False)


def _is_plain(file: Path, encoding: str, form: TableFormat, notes: list[str]) -> bool:
    """Whether a table between tabs has the two sentences first, as nothing says which they are.

    Raises:
        UserError: if it has further columns, and its first row names no languages.
    """
    fields = [field.strip() for field in _first_fields(file, encoding, form)]
    if len(fields) == 3 and fields[2].startswith("CC-BY"):  # manythings.org, from Tatoeba
        notes.append(f"{file.name}: column 3 is not used: {fields[2][:20]}...")
        return True
    if len(fields) <= 2:
        return True
    if direction_of(fields) and form.header != "none":
        return False
    shown = ", ".join(repr(field[:20]) for field in fields[:5])
    raise UserError(
        f"{file}: it has {len(fields)} columns ({shown}): which are the sentences? --source 1:en "
        "--target 2:de says columns and languages"
    )


def _check(file: Path, source: Named, target: Named) -> None:
    if source.name == target.name:
        raise UserError(f"{file}: column {source.name} cannot be both --source and --target")
    check_differ(str(file), source.language, target.language)


def _numbered(
    file: Path, source: Named, target: Named, encoding: str, form: TableFormat, notes: list[str]
) -> Columns:
    """Columns by number, between tabs, where a header is rare: it is seen by what it says."""
    source, target = (one._replace(name=str(int(one.name))) for one in (source, target))
    _check(file, source, target)
    fields = _first_fields(file, encoding, form)
    places = int(source.name) - 1, int(target.name) - 1
    skips = False
    if form.header != "none" and max(places) < len(fields):
        chosen = fields[places[0]], fields[places[1]]
        languages = header_languages(chosen, (source, target), file)
        if languages is not None:
            skips = True
            notes.append(f"{file.name}: its first row is a header: {', '.join(chosen)}")
            source, target = (
                Named(one.name, language) if language and one.language.isdecimal() else one
                for one, language in zip((source, target), languages, strict=True)
            )
    return Columns(source, target, form._replace(header="none"), skips)


def _said_by_names(
    file: Path,
    names: list[str],
    struct: list[str],
    kind: str,
    form: TableFormat,
    notes: list[str],
) -> tuple[str, str]:
    """The columns of a table where no option says them; two empty ones if they are not known."""
    if found := direction_of(names):
        notes.append(f"{file.name}: from the column {found[0]} to the column {found[1]}")
        return found
    if kind in _DELIMITED and form.header == "none":
        return "1", "2"
    if kind in _DELIMITED and len(names) == 2:  # the first one comes first, as in any table
        if form.header != "first" and not all(map(is_language, names)):
            raise UserError(
                f"{file}: is its first row, {names[0]!r} and {names[1]!r}, a header or a pair? "
                "--header first says that it is one, --header none that it is none"
            )
        notes.append(f"{file.name}: from the column {names[0]} to the column {names[1]}")
        return names[0], names[1]
    raise UserError(
        f"{file}: which columns are the sentences? {_has(names, struct)}: choose two with "
        "--source and --target"
    )


def _has(names: list[str], struct: list[str]) -> str:
    return f"it has {', '.join(repr(name) for name in (*names, *struct))}"


def _found(one: Named, names: list[str], struct: list[str], file: Path, notes: list[str]) -> Named:
    """A column as the table calls it, where an option names a language; else as it was given."""
    if one.name in names or are_columns(one.name):
        return one
    path = f"{_STRUCT}.{one.name}"
    name = path if path in struct else column_of(one.name, names)
    if name is None and suffix(file) in _DELIMITED:
        raise UserError(f"{file}: no column {one.name!r}; {_has(names, struct)} ({OPTIONS})")
    if name is None:
        return one  # the reader looks for a path into objects, and refuses others
    notes.append(f"{file.name}: {one.name} is its column {name}")
    return Named(name, one.language)


def names_of(file: Path, encoding: str, form: TableFormat) -> tuple[list[str], list[str]]:
    """The names in the first row of a table, and the paths to what is in its ``translation``."""
    if suffix(file) in _DELIMITED:
        fields = [field.strip() for field in _first_fields(file, encoding, form)]
        if form.header == "none":
            fields = [str(number) for number in range(1, len(fields) + 1)]
        return fields, []
    _, row = next(table_rows(file, [], encoding, OPTIONS, form))
    inner = row.get(_STRUCT)
    inside = [f"{_STRUCT}.{name}" for name in inner] if isinstance(inner, Mapping) else []
    return list(row), inside


def _first_fields(file: Path, encoding: str, form: TableFormat) -> list[str]:
    for line in text_lines(file, encoding):
        plain = form.quoting == "none" or (form.quoting == "auto" and form.delimiter == "\t")
        how: Any = {"quoting": csv.QUOTE_NONE} if plain else {}
        return next(csv.reader([line], delimiter=form.delimiter, **how), [])
    raise UserError(f"{file} is empty")


def delimiter_of(file: Path, encoding: str, form: TableFormat, notes: list[str]) -> str:
    """The delimiter: the one that is given, or the usual one, if the first row has it."""
    kind = suffix(file)
    if form.delimiter:
        return form.delimiter.replace("\\t", "\t")
    if kind in _TABBED or kind not in _DELIMITED:
        return "\t" if kind in _TABBED else ""
    found = several_fields(next(text_lines(file, encoding), ""))
    if found not in ("", ","):
        notes.append(f"{file.name}: its fields are separated by {shown_delimiter(found)}")
    return found or ","


def read_table(
    file: Path, columns: Columns, encoding: str, split: str, notes: Notes
) -> Iterator[Pair]:
    """The pairs of a table, one by one.

    Args:
        file: of the table.
        columns: how it is read.
        encoding: of the file.
        split: that it is.
        notes: gets what is converted.

    Raises:
        UserError: naming the row that has no pair.
    """
    source, target, form, skips = columns
    numbers = source.name.isdecimal() and target.name.isdecimal()
    if numbers and form.header == "none" and form.delimiter == "\t":
        if form.quoting == "auto":
            form = form._replace(quoting=_quoting_of(file, encoding, notes))
        if form.quoting == "none":
            places = int(source.name), int(target.name)
            yield from _plain_pairs(file, places, encoding, skips, notes)
            return
    rows = table_rows(file, [source.name, target.name], encoding, OPTIONS, form, notes)
    for number, (where, row) in enumerate(rows):
        if skips and not number:
            continue
        sources, targets = (
            _texts(row[one.name], where, one.name, notes) for one in (source, target)
        )
        yield from pairs_of(sources, targets, split, (where, where), notes)


def _quoting_of(file: Path, encoding: str, notes: Notes) -> str:
    """Whether the fields of a table between tabs stand in quotes."""
    first = next((line for line in ended_lines(file, encoding) if line.strip()), "")
    return quoting_shown(lambda: ended_lines(file, encoding), first, "\t", file, notes, False)


def _texts(value: Any, where: str, column: str, notes: Notes) -> list[str]:
    """The texts of a field: one, or several in a list."""
    if isinstance(value, list | tuple) and value:
        notes.counts[LISTS] += len(value) > 1
        return [text_of(one, where, f"a value of {column}") for one in value]
    return [text_of(value, where, column)]


def _plain_pairs(
    path: Path, columns: tuple[int, int], encoding: str, skips: bool, notes: Notes
) -> Iterator[Pair]:
    """The pairs of a table between tabs, whose rows may have more or fewer columns (Tatoeba)."""
    number = blank = 0
    for number, line in enumerate(text_lines(path, encoding, notes), start=1):
        if skips and number == 1:
            continue
        if not line.strip() and number > 1:  # at the end it is no row
            blank = blank or number
            continue
        row = line.split("\t")  # quotes are plain characters in such files
        for column in columns:
            if blank or column > len(row) or is_blank(row[column - 1]):
                raise UserError(
                    f"{path}:{blank or number}: no sentence in column {column} of "
                    f"{1 if blank else len(row)} (they are separated by tabs)"
                )
        notes.count("rows with columns that are not used", len(row) > 2)
        source, target = (row[column - 1] for column in columns)
        yield Pair(source, target, source)
    if number <= skips:
        raise UserError(f"{path} has a header but no rows" if number else f"{path} is empty")
