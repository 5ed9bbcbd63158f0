"""Labelled texts from files: folders of classes (aclImdb, also as an archive), and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kerasseq.data.corpus import WHOLE, Corpus, ordered
from kerasseq.data.delimited import TableFormat
from kerasseq.data.examples import LabelledText
from kerasseq.data.fields import text_of
from kerasseq.data.folders import (
    files_in,
    is_archive,
    shown_names,
    single_files,
    split_files,
    split_of,
    suffix,
    unused_notes,
)
from kerasseq.data.notes import Notes
from kerasseq.data.reading import archive_files, decode, reader, text_lines
from kerasseq.data.records import class_named, class_names
from kerasseq.data.tables import SUFFIXES, corpus_of_tables, is_table, table_rows
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.labels import LabelReader, without_hidden

ACL_IMDB_CLASSES = {"neg": "negative", "pos": "positive"}
UNLABELLED, FASTTEXT = "unsup", "__label__"
HINT = "text_column and label_column choose, by name or number"


class Columns(NamedTuple):
    """Names of the columns (or JSON keys, or features) that hold text and class."""

    text: str
    label: str


@reader
def read_path(
    path: Path,
    columns: Columns,
    encoding: str,
    form: TableFormat = TableFormat(),  # noqa: B008
    labels: LabelReader | None = None,
) -> Corpus[LabelledText]:
    """Reads labelled texts from a file or folder in one of the known layouts.

    Args:
        path: a folder of classes, ``train/CLASS/*.txt`` or ``CLASS/*.txt``, such as aclImdb, or
            its ``.tar.gz``; a table (``.csv``, ``.tsv``, ``.jsonl``, also ``.gz``; ``.parquet``);
            or a folder of tables with ``train``, ``dev``, ``test`` in their names.
        columns: of a table.
        encoding: of text files.
        form: of delimited tables.
        labels: reads the labels of a table; by default one a text.

    Raises:
        UserError: if the path is missing, damaged, or in no known layout.
    """
    labels = labels or LabelReader()
    folders = path.is_dir() and _has_class_folders(path)
    if is_table(path) or (path.is_dir() and not folders):
        return _of_tables(path, columns, encoding, form, labels)
    if folders or is_archive(path):
        form.refuse(path)
        if labels.several:
            raise UserError(
                f"{path}: a file lies in the folder of one class: --multi_label is for tables"
            )
    if folders:
        return _of_class_folders(path, encoding)
    if is_archive(path):
        return read_archive(path, encoding)
    found = fasttext_examples(path, encoding, labels.several) if suffix(path) == ".txt" else None
    if found is not None:
        form.refuse(path)
        return Corpus(f"{path} (fastText's __label__ lines)", {WHOLE: found})
    raise UserError(
        f"{path}: neither a .tar.gz of class folders, nor a table ({', '.join(SUFFIXES)}, or .gz "
        "of the first three)"
    )


def table_examples(
    path: Path,
    columns: Columns,
    encoding: str,
    form: TableFormat,
    notes: Notes,
    labels: LabelReader,
) -> Iterator[LabelledText]:
    """The rows of a table, one by one; conversions are counted.

    Raises:
        UserError: naming the file and the row, if a column or a value is missing, or a value is
            not what it must be.
    """
    names = class_names(path, columns.label)
    if names:
        notes.say(f"numbers in {columns.label} are classes by the file's names: {', '.join(names)}")
    for where, row in table_rows(path, columns, encoding, HINT, form, notes):
        text = text_of(row[columns.text], where, columns.text, notes.counts)
        value = class_named(row[columns.label], names, where, columns.label)
        label = labels.read(value, where, columns.label, notes.counts)
        yield LabelledText(text, label)


def fasttext_examples(
    path: Path, encoding: str, several: bool = False
) -> list[LabelledText] | None:
    """The lines of a file in fastText's form, ``__label__NAME a text``; None if it is in no such.

    Args:
        path, encoding: of the file.
        several: whether a line may have several labels.

    Raises:
        UserError: if a line has no label, or several that it may not have.
    """
    examples = []
    for number, line in enumerate(text_lines(path, encoding), start=1):
        if not line.strip():
            continue
        labels, text = [], line.strip()
        while text.startswith(FASTTEXT):
            word = text.split(None, 1)[0]
            text = text.removeprefix(word).lstrip()
            labels.append(word.removeprefix(FASTTEXT))
        if number == 1 and not labels:
            return None
        if not labels or not all(labels) or (len(labels) > 1 and not several):
            raise UserError(
                f"{path}:{number}: expected {'labels' if several else 'one label'}, "
                f"{FASTTEXT}NAME, at the beginning of the line, got {line[:60]!r}"
                + " (--multi_label reads several)"
                * (len(labels) > 1)
            )
        label = tuple(dict.fromkeys(labels)) if several else labels[0]
        examples.append(LabelledText(text, label))
    return examples or None


def _of_tables(
    path: Path, columns: Columns, encoding: str, form: TableFormat, labels: LabelReader
) -> Corpus[LabelledText]:
    """A table, or a folder of them."""
    notes = Notes()

    def read(table: Path) -> Iterator[LabelledText]:
        return table_examples(table, columns, encoding, form, notes, labels)

    corpus = corpus_of_tables(path, read, notes)
    if corpus is None:
        raise UserError(
            f"{path}: neither folders of classes with .txt files (train/CLASS/*.txt, or "
            f"CLASS/*.txt), nor a table with train, dev or test in its name ({', '.join(SUFFIXES)})"
        )
    notes_of_all = [*corpus.notes, *labels.notes(notes.counts)]
    return without_hidden(replace(corpus, notes=notes_of_all))


# -- folders of classes ----------------------------------------------------------------------------


class Document(NamedTuple):
    """A file of a class folder.

    Attributes:
        split: as its folder says; None where the classes are at the top.
        label: the name of its folder.
        where: of the file, for messages.
        content: as it lies there.
    """

    split: str | None
    label: str
    where: str
    content: bytes


def _has_class_folders(path: Path) -> bool:
    """Whether a folder has texts in folders of classes. A text beside tables is none of a class.

    Raises:
        UserError: if it has tables of splits too.
    """
    tables = [file for file in files_in(path) if is_table(file) and split_of(file.name)]
    deep = any(path.glob("*/*/*.txt"))
    classes = deep or any(not split_of(text.parent.name) for text in path.glob("*/*.txt"))
    if classes and tables:
        raise UserError(
            f"{path} has folders of classes and tables ({shown_names(tables)}): leave one kind "
            "there, or name the files: --data train=FILE,test=FILE"
        )
    return classes


def _of_class_folders(path: Path, encoding: str) -> Corpus[LabelledText]:
    """Every folder of classes is used, whatever its class; what is not used is noted."""
    top = [e for e in sorted(path.iterdir()) if e.is_dir() and not e.name.startswith(".")]
    chosen = single_files(split_files(path, top))
    notes = unused_notes(path, chosen.values() or top)
    for entry in chosen.values():
        folders = [folder for folder in sorted(entry.iterdir()) if folder.is_dir()]
        for note in unused_notes(entry, folders, "beside the folders of classes"):
            notes.append(f"{entry.name}/: {note}")

    def documents() -> Iterator[Document]:
        for split, base in chosen.items() or [(None, path)]:
            for folder in sorted(base.iterdir()):
                if not folder.is_dir() or folder.name.startswith("."):
                    continue
                files = [file for file in files_in(folder) if file.suffix.lower() == ".txt"]
                for note in unused_notes(folder, files, "no .txt"):
                    notes.append(f"{folder.relative_to(path)}/: {note}")
                for file in files:
                    yield Document(split, folder.name, str(file), file.read_bytes())

    return _class_corpus(str(path), documents(), encoding, notes)


def read_archive(path: Path, encoding: str) -> Corpus[LabelledText]:
    """Reads an archive of class folders, such as aclImdb, as a stream; nothing is unpacked."""
    notes: list[str] = []
    unused: list[Path] = []

    def wanted(name: PurePosixPath) -> bool:
        text = name.suffix.lower() == ".txt" and not name.name.startswith(".")
        used = text and len(name.parts) >= 3 and split_of(name.parts[-3]) is not None
        if not used:
            unused.append(Path(name))
        return used

    def documents() -> Iterator[Document]:
        for name, content in archive_files(path, wanted):
            split = split_of(name.parts[-3])
            yield Document(split, name.parts[-2], f"{path}: {name}", content)
        if unused:
            notes.append(f"not used, no .txt of a class of a split: {shown_names(unused)}")

    return _class_corpus(str(path), documents(), encoding, notes)


def _class_corpus(
    source: str, documents: Iterable[Document], encoding: str, notes: list[str]
) -> Corpus[LabelledText]:
    """The texts of class folders.

    aclImdb's folder of reviews without a rating, ``unsup``, is no class. Where the others are
    ``neg`` and ``pos`` alone, they are called negative and positive, as in the embedded corpus.
    """
    found: dict[str, list[LabelledText]] = {}
    unlabelled = 0
    for document in documents:
        if document.label == UNLABELLED:
            unlabelled += 1
            continue
        text = decode(document.content, encoding, document.where)
        found.setdefault(document.split or WHOLE, []).append(LabelledText(text, document.label))
    if unlabelled:
        notes.append(f"not used, without a label: {unlabelled:,} texts in {UNLABELLED}/")
    if not found:
        raise UserError(f"{source}: no .txt file in train/CLASS/, nor in CLASS/")
    labels = {example.label for part in found.values() for example in part}
    if labels == set(ACL_IMDB_CLASSES):
        found = {
            split: [LabelledText(text, ACL_IMDB_CLASSES[str(label)]) for text, label in part]
            for split, part in found.items()
        }
    return Corpus(f"{source} (folders of classes)", ordered(found), notes)
