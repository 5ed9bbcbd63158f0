"""Running text for language models, from a file or a folder."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from kerasseq.data.corpus import WHOLE, Corpus, ordered
from kerasseq.data.delimited import TableFormat
from kerasseq.data.fields import text_of
from kerasseq.data.folders import files_in, shown_names, split_files, split_of, suffix, unused_notes
from kerasseq.data.notes import Notes
from kerasseq.data.reading import ended_lines, reader
from kerasseq.data.tables import corpus_of_tables, is_table, table_rows
from kerasseq.errors import UserError

_SUFFIXES = (".txt", ".tokens", ".raw", ".text")
_HEADER = re.compile(
    r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]{0,300}\*\*\*[^\n]*\n?", re.MULTILINE
)
_FOOTER = re.compile(
    r"^(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?i:the |this )?Project Gutenberg)",
    re.MULTILINE,
)


@reader
def read_path(
    path: Path,
    encoding: str,
    column: str = "text",
    form: TableFormat = TableFormat(),  # noqa: B008 (a constant)
) -> Corpus[str]:
    """Reads running text from a file or folder, as lines with their ends.

    A header and footer of Project Gutenberg is left out, CRLF becomes a line feed, and a byte
    order mark goes; otherwise the text is as it came.

    Args:
        path: a text file of any name (also ``.gz``); a folder with ``train`` and maybe ``valid``
            and ``test`` in its files' names (``ptb.train.txt``, ``wiki.valid.tokens.gz``); or a
            folder of books (``.txt``, ``.tokens``, ``.raw`` or ``.text``, also ``.gz``), which
            are joined in the order of their names; or a table, whose rows are texts, one after
            the other, or a folder of tables.
        encoding: of the files.
        column, form: of a table.

    Returns:
        The splits that the source has; a file alone and books are the split ``all``.

    Raises:
        UserError: if the path is missing, damaged, empty or no text, or if it cannot be told which
            file is which split.
    """
    if path.is_dir():
        return _read_folder(path, encoding, column, form)
    if is_table(path) and (corpus := _of_tables(path, encoding, column, form)):
        return corpus
    form.refuse(path)
    notes = Notes()
    lines = list(read_lines(path, encoding, notes))
    return Corpus(str(path), {WHOLE: lines}, notes.lines())


def _of_tables(path: Path, encoding: str, column: str, form: TableFormat) -> Corpus[str] | None:
    """The texts of a table, or of a folder of them, as lines; None, if the folder has none."""
    notes = Notes()

    def lines(table: Path) -> Iterator[str]:
        hint = "text_column names it"
        for where, row in table_rows(table, [column], encoding, hint, form, notes):
            text = text_of(row[column], where, column, notes.counts).replace("\r\n", "\n")
            yield from lines_of(text if text.endswith("\n") else text + "\n")

    return corpus_of_tables(path, lines, notes)


def _read_folder(path: Path, encoding: str, column: str, form: TableFormat) -> Corpus[str]:
    files = files_in(path)
    chosen = split_files(path, filter(_may_be_split, files))
    if not chosen and (corpus := _of_tables(path, encoding, column, form)):
        return corpus
    notes = Notes()
    form.refuse(path)
    texts = [file for file in files if suffix(file) in _SUFFIXES]
    if chosen:
        files_of = list(itertools.chain.from_iterable(chosen.values()))
        if "train" not in chosen and set(texts) - set(files_of):
            split, (file, *_) = next(iter(chosen.items()))
            raise UserError(
                f"{path}: {file.name} is taken for the {split} split, but no text file has train "
                "in its name"
            )
        left_out = [file for file in texts if file not in files_of]
        if left_out and len(chosen) == 1 and "train" in chosen:
            first = chosen["train"][0].name
            raise UserError(
                f"{path}: {first} is taken for the train split by its name, and the "
                f"other texts for none ({shown_names(left_out)}): if they are books, rename the "
                "first; if not, name them as valid or test, or leave them out"
            )
        for note in unused_notes(path, files_of):
            notes.say(note)
        splits = {
            split: [line for file in parts for line in read_lines(file, encoding, notes)]
            for split, parts in ordered(chosen).items()
        }
        return Corpus(str(path), splits, notes.lines())
    if not texts:
        raise UserError(f"{path}: no text file ({', '.join(_SUFFIXES)}, or .gz of one)")
    notes.say(f"{len(texts):,} files joined: {shown_names(texts)}")
    for note in unused_notes(path, texts, f"no text ({', '.join(_SUFFIXES)})"):
        notes.say(note)
    whole = [
        line if line.endswith("\n") else line + "\n"
        for file in texts
        for line in read_lines(file, encoding, notes)
    ]
    return Corpus(str(path), {WHOLE: whole}, notes.lines())


def _may_be_split(file: Path) -> bool:
    """Whether it is a text file by its suffix: ``ptb.valid.txt.gz``, ``wiki.valid``, ``valid``."""
    end = suffix(file)
    return not end or end in _SUFFIXES or split_of(end[1:]) is not None


def read_lines(path: Path, encoding: str, notes: Notes) -> Iterator[str]:
    """The lines of a file with their ends, one by one; what is left out is added to the notes.

    Raises:
        UserError: if it is no text, or empty.
    """
    text = "".join(ended_lines(path, encoding, notes))
    if (place := text.find("\0")) >= 0:
        raise UserError(
            f"{path} is not a text file: NUL character at offset {place}; if it is in another "
            "encoding, give it with --encoding"
        )
    text = text.replace("\r\n", "\n")
    if not text or text.isspace():
        raise UserError(f"{path} is empty")
    read = len(text)
    text = _without_gutenberg(text)
    if text.isspace():
        raise UserError(f"{path} has no text but the header and footer of Project Gutenberg")
    if len(text) < read:
        notes.say(
            f"{path.name}: header and footer of Project Gutenberg left out "
            f"({read - len(text):,} of {read:,} characters)"
        )
    yield from lines_of(text)


def lines_of(text: str) -> list[str]:
    """A text as lines, each with its line feed; the last one may lack it."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _without_gutenberg(text: str) -> str:
    """What stands between a header and a footer, for every book in the text."""
    if "PROJECT GUTENBERG" not in text and "Project Gutenberg" not in text:
        return text  # much faster than the patterns
    header = _HEADER.search(text)
    begin = header.end() if header else 0
    books = []
    while True:
        footer = _FOOTER.search(text, begin)
        books.append(text[begin : footer.start() if footer else len(text)])
        header = _HEADER.search(text, footer.end()) if footer else None
        if header is None:
            break
        begin = header.end()
    if len(books) == 1 and len(books[0]) == len(text):
        return text
    return "".join(book.strip("\n") + "\n" for book in books)
