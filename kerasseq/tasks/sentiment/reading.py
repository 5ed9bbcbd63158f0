"""Labelled texts from files: aclImdb (folder or archive), CSV, TSV and JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kerasseq.data.corpus import WHOLE, Corpus
from kerasseq.data.examples import LabelledText
from kerasseq.data.folders import files_in, is_archive, split_files, suffix, whole_stem
from kerasseq.data.memory import check_name
from kerasseq.data.reading import archive_files, decode, reader
from kerasseq.data.tables import SUFFIXES, table_rows
from kerasseq.errors import UserError

ACL_IMDB_CLASSES = {"neg": "negative", "pos": "positive"}
HINT = "the settings text_column and label_column choose"


class Columns(NamedTuple):
    """Names of the columns (or JSON keys, or features) that hold text and class."""

    text: str
    label: str


@reader
def read_path(path: Path, columns: Columns, encoding: str) -> Corpus[LabelledText]:
    """Reads labelled texts from a file or folder in one of the known layouts.

    Args:
        path: an aclImdb folder or its ``.tar.gz``; a ``.csv``, ``.tsv`` or ``.jsonl`` file
            (also ``.gz``); or a folder of them, named ``train``, ``validation`` and ``test``.
        columns: of a table.
        encoding: of text files.

    Raises:
        UserError: if the path is missing, damaged, or in no known layout.
    """
    if path.is_dir():
        return _read_folder(path, columns, encoding)
    if is_archive(path):
        return read_archive(path, encoding)
    if suffix(path) in SUFFIXES:
        return Corpus(str(path), {WHOLE: list(table_examples(path, columns, encoding))})
    raise UserError(
        f"{path}: not an aclImdb .tar.gz, nor a .csv, .tsv or .jsonl file (or .gz of one)"
    )


def table_examples(path: Path, columns: Columns, encoding: str) -> Iterator[LabelledText]:
    """The rows of a CSV, TSV or JSON lines file, one by one.

    Raises:
        UserError: naming the file and the row, if a column or a value is missing.
    """
    for where, row in table_rows(path, columns, encoding, HINT):
        label = str(row[columns.label]).strip()
        if not label:
            raise UserError(f"{where}: no value in column {columns.label!r}")
        check_name(label, where, columns.label)
        yield LabelledText(str(row[columns.text]), label)


def _read_folder(path: Path, columns: Columns, encoding: str) -> Corpus[LabelledText]:
    if (path / "train" / "pos").is_dir():
        return _acl_corpus(str(path), _acl_files(path), encoding)
    tables = (file for file in files_in(path) if suffix(file) in SUFFIXES)
    files = split_files(path, tables, whole_stem)
    if "train" not in files:
        raise UserError(
            f"{path}: neither an aclImdb folder (train/pos, train/neg) nor one with a train.csv, "
            "train.tsv or train.jsonl"
        )
    return Corpus(
        str(path),
        {split: list(table_examples(file, columns, encoding)) for split, file in files.items()},
    )


def _acl_files(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    for split in ("train", "test"):
        for label in ACL_IMDB_CLASSES:
            for file in sorted((path / split / label).glob("*.txt")):
                yield PurePosixPath(split, label, file.name), file.read_bytes()


def read_archive(path: Path, encoding: str) -> Corpus[LabelledText]:
    """Reads an aclImdb archive as a stream; nothing is unpacked."""

    def wanted(name: PurePosixPath) -> bool:
        return name.suffix == ".txt" and len(name.parts) >= 3

    reviews = (
        (PurePosixPath(*name.parts[-3:]), content) for name, content in archive_files(path, wanted)
    )
    return _acl_corpus(str(path), reviews, encoding)


def _acl_corpus(
    source: str, files: Iterable[tuple[PurePosixPath, bytes]], encoding: str
) -> Corpus[LabelledText]:
    splits: dict[str, list[LabelledText]] = {"train": [], "test": []}
    for name, content in files:
        split, label = name.parts[0], name.parts[1]
        if split in splits and label in ACL_IMDB_CLASSES:
            text = decode(content, encoding, f"{source}: {name}")
            splits[split].append(LabelledText(text, ACL_IMDB_CLASSES[label]))
    for split, examples in splits.items():
        if not examples:
            raise UserError(f"{source}: no reviews under aclImdb/{split}/pos and .../neg")
    return Corpus(f"{source} (aclImdb, official splits)", splits)
