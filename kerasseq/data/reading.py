"""Labelled texts from local files: aclImdb (folder or archive), CSV, TSV and JSON lines."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from kerasseq.data.labelled import Corpus, Examples
from kerasseq.errors import UserError

ACL_IMDB_CLASSES = {"neg": "negative", "pos": "positive"}
SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_WIDE_ENCODING = re.compile(r"utf[-_]?(?:16|32)", re.IGNORECASE)
_TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")


def read_path(path: Path, text_column: str, label_column: str, encoding: str) -> Corpus:
    """Reads labelled texts from a file or folder in one of the known layouts.

    Args:
        path: an aclImdb folder or its ``.tar.gz``; a ``.csv``, ``.tsv`` or ``.jsonl`` file
            (also ``.gz``); or a folder of them named ``train``, ``validation`` and ``test``.
        text_column, label_column: names of the columns (or JSON keys).
        encoding: of text files.

    Raises:
        UserError: if the path is missing, damaged, or in no known layout.
    """
    try:
        if path.is_dir():
            return _read_folder(path, text_column, label_column, encoding)
        if not path.exists():
            raise UserError(f"{path} does not exist")
        if path.name.endswith((".tar.gz", ".tgz")):
            return read_archive(path, encoding)
        if table_suffix(path):
            return Corpus(str(path), {"all": read_table(path, text_column, label_column, encoding)})
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    raise UserError(
        f"{path}: not an aclImdb .tar.gz, nor a .csv, .tsv or .jsonl file (or .gz of one)"
    )


def decode(content: bytes, encoding: str, where: str) -> str:
    """Decodes text, without a byte order mark.

    Raises:
        UserError: naming the offending byte, or an unknown encoding.
    """
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where} is not {encoding}: byte 0x{content[error.start]:02x} at offset "
            f"{error.start}; if it is in another encoding, give it with --encoding"
        ) from None
    except LookupError:
        raise UserError(f"unknown encoding {encoding!r}") from None


def split_files(
    path: Path, files: Iterable[Path], words_of: Callable[[str], Sequence[str]]
) -> dict[str, Path]:
    """Which file of a folder is which split, by the words in its name.

    Args:
        path: the folder.
        files: those of its files that may be a split.
        words_of: the words of a file's name, which it gets in lower case.

    Raises:
        UserError: if two could be the same split.
    """
    chosen: dict[str, Path] = {}
    for file in files:
        # the last word counts: the name of a corpus comes first, and may hold anything
        words = reversed(words_of(file.name.lower()))
        split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)
        if split in chosen:
            raise UserError(
                f"{path}: both {chosen[split].name} and {file.name} could be the {split} split; "
                "leave one of them there"
            )
        if split:
            chosen[split] = file
    return chosen


def table_suffix(path: Path) -> str | None:
    """``.csv``, ``.tsv`` or ``.jsonl``, looking through ``.gz``."""
    name = path.name.removesuffix(".gz")
    return next((suffix for suffix in _TABLE_SUFFIXES if name.endswith(suffix)), None)


def _read_folder(path: Path, text_column: str, label_column: str, encoding: str) -> Corpus:
    if (path / "train" / "pos").is_dir():
        return _read_acl_folder(path, encoding)
    files = {
        split: file
        for file in sorted(path.iterdir())
        if table_suffix(file) and (split := SPLIT_NAMES.get(file.name.split(".")[0]))
    }
    if "train" not in files:
        raise UserError(
            f"{path}: neither an aclImdb folder (train/pos, train/neg) nor one with a train.csv, "
            "train.tsv or train.jsonl"
        )
    splits = {
        split: read_table(file, text_column, label_column, encoding)
        for split, file in files.items()
    }
    return Corpus(str(path), splits)


def _read_acl_folder(path: Path, encoding: str) -> Corpus:
    def files() -> Iterator[tuple[PurePosixPath, bytes]]:
        for split in ("train", "test"):
            for label in ACL_IMDB_CLASSES:
                for file in sorted((path / split / label).glob("*.txt")):
                    yield PurePosixPath(split, label, file.name), file.read_bytes()

    return _acl_corpus(str(path), files(), encoding)


def read_archive(path: Path, encoding: str) -> Corpus:
    """Reads an aclImdb archive as a stream; nothing is unpacked."""

    def wanted(name: PurePosixPath) -> bool:
        return name.suffix == ".txt" and len(name.parts) >= 3

    reviews = (
        (PurePosixPath(*name.parts[-3:]), content) for name, content in archive_files(path, wanted)
    )
    return _acl_corpus(str(path), reviews, encoding)


def archive_files(
    path: Path, wanted: Callable[[PurePosixPath], bool]
) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files of a ``.tar.gz`` with their content, as a stream; nothing is unpacked.

    Args:
        path: the archive.
        wanted: whether a file of that name is given.

    Raises:
        UserError: if a name leads out of the archive, or it is damaged.
    """
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise UserError(f"{path}: unsafe path {member.name!r} inside the archive")
                content = archive.extractfile(member) if member.isfile() else None
                if content and wanted(name):
                    yield name, content.read()
            # tarfile takes a cut or damaged header for the end; gzip's checksum tells
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise UserError(f"{path} is damaged or truncated: {error}") from None


def _acl_corpus(source: str, files: Iterator[tuple[PurePosixPath, bytes]], encoding: str) -> Corpus:
    splits = {"train": Examples([], []), "test": Examples([], [])}
    for name, content in files:
        split, label = name.parts[0], name.parts[1]
        if split in splits and label in ACL_IMDB_CLASSES:
            splits[split].texts.append(decode(content, encoding, f"{source}: {name}"))
            splits[split].labels.append(ACL_IMDB_CLASSES[label])
    for split, examples in splits.items():
        if not len(examples):
            raise UserError(f"{source}: no reviews under aclImdb/{split}/pos and .../neg")
    return Corpus(f"{source} (aclImdb, official splits)", splits)


@contextmanager
def open_lines(path: Path) -> Iterator[io.BufferedReader]:
    """Opens a plain or gzip-compressed file for reading bytes, line by line."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        try:
            yield stream  # type: ignore[misc]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path} is damaged or truncated: {error}") from None


def decoded_lines(lines: Iterable[bytes], encoding: str, where: str) -> Iterator[str]:
    """Decodes line by line, without line ends, so that an error names the line.

    Args:
        lines: as a binary file gives them.
        encoding: of the text.
        where: name of the source, for messages.

    Raises:
        UserError: if a line is not in the encoding.
    """
    if _WIDE_ENCODING.match(encoding):  # a line end is more than one byte there
        for text in decode(b"".join(lines), encoding, where).removesuffix("\n").split("\n"):
            yield text.removesuffix("\r")
        return
    for number, line in enumerate(lines, start=1):
        yield decode(line, encoding, f"{where}:{number}").rstrip("\r\n")


def read_table(path: Path, text_column: str, label_column: str, encoding: str) -> Examples:
    """Reads a CSV, TSV or JSON lines file with a text and a label column.

    Raises:
        UserError: naming the file and the row, if a column or a value is missing.
    """
    with open_lines(path) as stream:
        content = decode(stream.read(), encoding, str(path))
    if not content.strip():
        raise UserError(f"{path} is empty")
    suffix = table_suffix(path)
    if suffix == ".jsonl":
        rows = _json_rows(content, path)
    else:
        rows = delimited_rows(content, path, "\t" if suffix == ".tsv" else ",")
    examples = Examples([], [])
    for where, row in rows:
        for column in (text_column, label_column):
            if column not in row:
                raise UserError(
                    f"{path}: no column {column!r}; it has {', '.join(map(repr, row))} "
                    "(the settings text_column and label_column choose)"
                )
            if row[column] is None or (column == label_column and not str(row[column]).strip()):
                raise UserError(f"{path}:{where}: no value in column {column!r}")
        examples.texts.append(str(row[text_column]))
        examples.labels.append(str(row[label_column]).strip())
    if not len(examples):
        raise UserError(f"{path} has a header but no rows")
    return examples


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
