"""By which languages or columns the other data of a run is read: known for certain, or asked."""

from __future__ import annotations

import itertools
from pathlib import Path

from kerasseq.data.delimited import TableFormat
from kerasseq.errors import UserError
from kerasseq.tasks.translation import tables
from kerasseq.tasks.translation.folder import contents_of
from kerasseq.tasks.translation.headers import column_of, header_languages
from kerasseq.tasks.translation.pairs import Named, named


def languages_of(
    path: Path,
    asked: tuple[str, str],
    known: tuple[str, str],
    encoding: str,
    form: TableFormat = TableFormat(),  # noqa: B008 (a constant)
) -> tuple[tuple[str, str], list[str]]:
    """The languages, or columns, to read other data of a run by, and notes.

    Args:
        path: of the data.
        asked: what the run's settings say.
        known: the languages of its data.
        encoding, form: of the files.

    Raises:
        UserError: if they are not known for certain.
    """
    names = [named(one).name for one in asked]
    contents = contents_of(path, names) if path.is_dir() else None
    found = contents.tables if contents else [path] * tables.is_table(path)
    if found and found[0].is_file():
        return _columns(found[0], asked, known, encoding, form)
    check_known(str(path), known)
    # src and tgt, where the run was told their languages
    here = {side.language for side in contents.sides} if contents else set()
    return (asked if all(names) and set(names) <= here else known), []


def check_known(source: str, known: tuple[str, str]) -> None:
    """Raises:
    UserError: if a run knows only the columns of its own table.
    """
    if "".join(known).isdecimal():
        raise UserError(
            f"{source} is not a table, and of the run's languages only their columns are known "
            "(--source 1:en in training would have said it)"
        )


def _columns(
    file: Path, asked: tuple[str, str], known: tuple[str, str], encoding: str, form: TableFormat
) -> tuple[tuple[str, str], list[str]]:
    """The columns of another table than a run's own, as the options would say them, and notes.

    These are the columns that it calls as the run does. A table without names has the columns of
    the run's own table, if that was read by numbers.

    Raises:
        UserError: if they are not known for certain.
    """
    form = form._replace(delimiter=tables.delimiter_of(file, encoding, form, []))
    names, paths = tables.names_of(file, encoding, form)
    numbered = "".join(known).isdecimal()
    wanted = [named(one).name for one in asked]
    if all(wanted) and not tables.are_columns(*wanted) and set(wanted) <= {*names, *paths}:
        return asked, []
    if not numbered:
        inside = [path.rpartition(".")[2] for path in paths]
        found = [column_of(one, names) or column_of(one, inside) for one in known]
        if all(found) and found[0] != found[1]:
            both = [f"{name}:{one}" for name, one in zip(found, known, strict=True)]
            return (both[0], both[1]), [
                f"{file.name}: from the column {' to '.join(map(str, found))}"
            ]
    unnamed = form.header == "none" or (tables.is_tabbed(file) and not _is_header(file, names))
    if unnamed and (tables.are_columns(*asked) or (numbered and asked == ("", ""))):
        columns = asked if all(asked) else known
        shown = " to ".join(named(one).name for one in columns)
        return columns, [f"{file.name}: columns {shown}, as in the run's own table"]
    direction = " to ".join(known)
    raise UserError(
        f"{file}: its columns do not say which is the source and which the target of the run "
        f"({direction}); its first row is {', '.join(map(repr, (*names, *paths)))}: give --source "
        "and --target, the numbers or names of its columns (--source 1 --target 2)"
    )


def _is_header(file: Path, names: list[str]) -> bool:
    """Whether some two fields of the first row, side by side, can only be a header."""
    nobody = Named("", "")
    return any(
        header_languages((one, other), (nobody, nobody), file) is not None
        for one, other in itertools.pairwise(names)
    )
