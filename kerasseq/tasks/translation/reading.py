"""Parallel sentences from files: two for each split, or tables of pairs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kerasseq.data.corpus import WHOLE, Corpus, ordered
from kerasseq.data.examples import Pair
from kerasseq.data.folders import (
    files_in,
    single_files,
    split_files,
    split_of,
    stem,
    suffix,
    unused_notes,
)
from kerasseq.data.reading import reader, text_lines
from kerasseq.errors import UserError
from kerasseq.tasks.translation.cleaning import CLEANED

_TABLE_SUFFIXES = (".tsv", ".txt")
_SHOWN = 40
UNUSED = "no split by their names, or in no language that is asked for"


@reader
def read_path(path: Path, source: str, target: str, encoding: str) -> Corpus[Pair]:
    """Reads parallel sentences from a file or folder, as they stand there.

    Args:
        path: a folder with two files of as many lines for each split, the language being the
            suffix (``train.en``, ``train.de``, ``test_2016_flickr.de.gz``); a ``.tsv`` or
            ``.txt`` table with a pair in each row, the columns separated by tabs (also ``.gz``);
            or a folder of tables with ``train`` and maybe ``valid`` and ``test`` in their names.
        source, target: the languages; of a table, the numbers of the columns, which are 1 and 2 if
            these are empty, and their languages if that is wanted: ``"2:ja"``.
        encoding: of the files.

    Returns:
        The splits that the source has; a table alone is the split ``all``.

    Raises:
        UserError: if the path is missing, damaged, empty or in neither layout; if a file lacks its
            counterpart, or the two differ in their lines; if a row of a table is not a pair; or if
            a sentence of a validation or test split is empty.
    """
    if path.is_dir():
        return _read_folder(path, source, target, encoding)
    if is_table(path):
        return _read_tables(path, {WHOLE: path}, source, target, encoding)
    raise UserError(
        f"{path}: not a {' or '.join(_TABLE_SUFFIXES)} table of pairs (or .gz of one), nor a "
        "folder with two files for each split (train.en, train.de)"
    )


def turned(corpus: Corpus[Pair], source: str, target: str) -> Corpus[Pair]:
    """The corpus in the direction that is asked for; an empty language is whichever is left.

    Raises:
        UserError: if it is not in these languages.
    """
    for language in filter(None, (source, target)):
        if language not in corpus.languages:
            raise UserError(
                f"{corpus.source} has the languages {', '.join(corpus.languages)}, not {language}"
            )
    if source:
        check_differ(corpus.source, source, target)
    if corpus.languages[1] != source and corpus.languages[0] != target:
        return corpus
    splits = {
        name: [Pair(pair.target, pair.source, pair.group) for pair in pairs]
        for name, pairs in corpus.splits.items()
    }
    return replace(corpus, splits=splits, languages=corpus.languages[::-1])


def check_differ(where: str, source: str, target: str) -> None:
    """Raises:
    UserError: if the languages are the same.
    """
    if source == target:
        raise UserError(f"{where}: {source} cannot be both --source and --target")


def pair_of(source: str, target: str, split: str, where: tuple[str, str]) -> Pair:
    """A pair that is its own group, its sentences being made sure of where none may be left out.

    Args:
        source, target: the sentences.
        split: in which they are.
        where: names of their places, for messages.

    Raises:
        UserError: if a sentence of a validation or test split is empty.
    """
    for sentence, place in zip((source, target), where, strict=True):
        if split not in CLEANED and not sentence.strip():
            raise UserError(
                f"{place}: an empty sentence in the {split} split, of which no pair is left out, "
                "since scores would not compare: mend it, or remove the pair"
            )
    return Pair(source, target, source)


def is_table(file: Path) -> bool:
    """Whether a file's name is that of a table of pairs."""
    return suffix(file) in _TABLE_SUFFIXES


def has_tables(path: Path) -> bool:
    """Whether a path is a table of pairs, or a folder that is read as several of them."""
    if path.is_dir():
        return _are_tables(_files(path))
    return is_table(path)


def _read_folder(path: Path, source: str, target: str, encoding: str) -> Corpus[Pair]:
    files = _files(path)
    if _are_tables(files):
        tables = single_files(split_files(path, filter(is_table, files)))
        return _read_tables(path, tables, source, target, encoding)
    languages = sorted({suffix(file)[1:] for file in files if suffix(file)} - {"tsv", "txt"})
    if not languages:
        raise UserError(
            f"{path}: neither two files of one sentence a line for each split (train.en, "
            "train.de), nor a table of pairs (train.tsv), each also .gz"
        )
    for language in (source, target):
        if language not in languages:
            lacks = f"no files of the language {language!r}" if language else "several languages"
            raise UserError(
                f"{path} has {lacks}: choose two of {', '.join(languages)} with --source and "
                "--target"
            )
    check_differ(str(path), source, target)
    chosen = [
        single_files(split_files(path, (file for file in files if suffix(file)[1:] == language)))
        for language in (source, target)
    ]
    splits: dict[str, list[Pair]] = {}
    for split in ordered({**chosen[0], **chosen[1]}):
        first, second = (files_of.get(split) for files_of in chosen)
        if first and second and stem(first) == stem(second):
            splits[split] = list(read_files(first, second, split, encoding))
        elif found := first or second:
            other = target if first else source
            raise UserError(
                f"{path}: {found.name} has no {stem(found)}.{other} beside it (nor that with .gz)"
            )
    used = [file for files_of in chosen for file in files_of.values()]
    return Corpus(str(path), splits, unused_notes(path, used, UNUSED), (source, target))


def _are_tables(files: list[Path]) -> bool:
    """Whether the files of a folder that are named after splits are tables: the training data is
    one, or there are no others."""
    tables = [file for file in files if is_table(file)]
    return any(split_of(stem(file)) == "train" for file in tables) or 0 < len(tables) == len(files)


def _files(path: Path) -> list[Path]:
    """The files of a folder that are named after a split."""
    return [file for file in files_in(path) if split_of(stem(file))]


def read_files(first: Path, second: Path, split: str, encoding: str) -> Iterator[Pair]:
    """The pairs of two files, one by one.

    Raises:
        UserError: if the files differ in their lines, or are empty.
    """
    number = 0
    lines = itertools.zip_longest(text_lines(first, encoding), text_lines(second, encoding))
    for number, (source, target) in enumerate(lines, start=1):
        if source is None or target is None:
            longer, shorter = (first, second) if target is None else (second, first)
            text = (source or target or "").strip()
            shown = text[:_SHOWN] + "..." * (len(text) > _SHOWN)
            count = number + sum(1 for _ in lines)
            raise UserError(
                f"{longer} has {count:,} lines, but {shorter} has {number - 1:,}: nothing "
                f"matches {longer.name}:{number} ({shown})"
            )
        yield pair_of(source, target, split, (f"{first}:{number}", f"{second}:{number}"))
    if not number:
        raise UserError(f"{first} is empty")


def _read_tables(
    path: Path, files: dict[str, Path], source: str, target: str, encoding: str
) -> Corpus[Pair]:
    given = source or "1", target or "2"
    for column in given:
        if not are_columns(column):
            raise UserError(
                f"{path} is read as a table: --source and --target are numbers of its columns "
                f"(1, 2; with a language 2:ja), not {column!r}"
            )
    numbers, names = zip(*(column.split(":") for column in map(_with_language, given)), strict=True)
    columns = int(numbers[0]), int(numbers[1])
    if columns[0] == columns[1]:
        raise UserError(f"{path}: column {columns[0]} cannot be both --source and --target")
    check_differ(str(path), names[0], names[1])
    splits = {
        split: list(table_pairs(file, columns, encoding)) for split, file in ordered(files).items()
    }
    return Corpus(str(path), splits, unused_notes(path, files.values()), (names[0], names[1]))


def are_columns(*names: str) -> bool:
    """Whether all of these are columns of a table, such as ``"2"`` or ``"2:ja"``."""
    return all(re.fullmatch("0*[1-9][0-9]*(:[a-zA-Z_-]+)?", name) for name in names)


def _with_language(column: str) -> str:
    """A column's own number stands for its language, if that is not given."""
    return column if ":" in column else f"{column}:{column}"


def languages_of(source: str, asked: tuple[str, str], known: tuple[str, str]) -> tuple[str, str]:
    """The languages, or columns, to read other data of a run by.

    Args:
        source: of the data, as ``--data`` takes it.
        asked: what the run's settings say.
        known: the languages of its data.

    Raises:
        UserError: if the run knows only the columns of its own table.
    """
    if has_tables(Path(source)):
        # columns have numbers, which other data of the run may have given
        return asked if are_columns(*asked) else ("", "")
    if "".join(known).isdecimal():
        raise UserError(
            f"{source} is not a table, and of the run's languages only their columns are known "
            "(--source 1:en in training would have said it)"
        )
    return known


def table_pairs(path: Path, columns: tuple[int, int], encoding: str) -> Iterator[Pair]:
    """The pairs of a table, one by one.

    Raises:
        UserError: naming the row that has no pair.
    """
    number = blank = 0
    for number, line in enumerate(text_lines(path, encoding), start=1):
        if not line.strip() and number > 1:  # at the end it is no row
            blank = blank or number
            continue
        row = line.split("\t")  # quotes are plain characters in such files
        for column in columns:
            if blank or column > len(row) or not row[column - 1].strip():
                raise UserError(
                    f"{path}:{blank or number}: no sentence in column {column} of "
                    f"{1 if blank else len(row)} (they are separated by tabs)"
                )
        source, target = (row[column - 1] for column in columns)
        yield Pair(source, target, source)
    if not number:
        raise UserError(f"{path} is empty")
