"""Word vectors from a file, as GloVe, fastText and word2vec write them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kerasseq.data.folders import suffix
from kerasseq.data.reading import open_lines
from kerasseq.errors import UserError

BINARY = ".bin"
"""Suffix of word2vec's binary form."""

_FASTTEXT_MODEL = (793712314).to_bytes(4, "little")
"""What the binary models of fastText begin with."""
_CHUNK = 1 << 20
_LONGEST = 1 << 12
"""Most bytes of a word of a binary file."""

# in a line whose vector is not used: what cannot be in a number
_ODD = re.compile(r"[^0-9eE.+\-\s]")
_DUPLICATES = "word vectors of words that were there already: the first counts"
_SPELLINGS = "word vectors of other spellings of a word, such as The and the: the first counts"
_EMPTY = "empty lines of word vectors skipped"

Entry = tuple[str, str, Any]
"""A place, a word, and its vector: an array, or numbers as text."""


def read_vectors(
    path: Path,
    normal_form: Callable[[str], str],
    wanted: Container[str],
    others: int,
    size: int = 0,
    notes: list[str] | None = None,
) -> dict[str, np.ndarray]:
    """Reads vectors by the normal forms of their words; of words with one form, the first counts.

    Args:
        path: UTF-8 text, a word and its numbers a line, separated by blanks or tabs; a first line
            of two whole numbers, as fastText and word2vec write it, says count and size. Or
            word2vec's binary form, which ends in ``.bin``. ``.gz`` of each.
        normal_form: of a word.
        wanted: forms that are read wherever they stand.
        others: how many more are read; files begin with the frequent words.
        size: of the vectors that are wanted; 0 for any.
        notes: gets what was found out.

    Returns:
        float32 vectors by form, in the file's order.

    Raises:
        UserError: naming the line, if it has not as many numbers as the first, or a number that is
            not finite, or no word; or naming both sizes, if the vectors have another one.
    """
    found: dict[str, np.ndarray] = {}
    spelled: dict[str, str] = {}
    counts: Counter[str] = Counter()
    notes = [] if notes is None else notes
    total = 0
    try:
        for where, word, given in _entries(path, size, counts, notes):
            total += 1
            form = normal_form(word)
            used = form not in found and (form in wanted or len(found) < others)
            if form in found:
                counts[_DUPLICATES if spelled[form] == word else _SPELLINGS] += 1
            if used or not isinstance(given, str) or _ODD.search(given):
                vector = _finite(where, given)
                if used:
                    found[form], spelled[form] = vector, word
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    if not total:
        raise UserError(f"{path} has no word vector")
    notes.extend(f"{path.name}: {count:,} {what}" for what, count in counts.items())
    return found


def _entries(path: Path, size: int, counts: Counter[str], notes: list[str]) -> Iterator[Entry]:
    """The words of a file, each with its place and its vector, which has the right length."""
    if suffix(path) == BINARY:
        return _binary(path, size)
    return _text(path, size, counts, notes)


def _text(path: Path, size: int, counts: Counter[str], notes: list[str]) -> Iterator[Entry]:
    said = width = total = 0
    tabs: bool | None = None
    with open_lines(path) as stream:
        for number, content in enumerate(stream, start=1):
            where = f"{path}:{number}"
            line = _decoded(content, where).rstrip(" \t\r\n")
            line = line.removeprefix("\ufeff") if number == 1 else line
            if not line:
                counts[_EMPTY] += 1
                continue
            if number == 1 and len(head := line.split()) == 2 and all(map(_whole, head)):
                said, width = map(int, head)
                _check_size(path, width, size)
                continue
            if tabs is None:
                tabs = "\t" in line
            if not width:
                width = _width(line, tabs)
                _check_size(path, width, size)
            word, numbers = _split(where, line, tabs, width)
            total += 1
            yield where, word, numbers
    if said and said != total:
        notes.append(f"{path.name}: its first line says {said:,} word vectors, it has {total:,}")


def _split(where: str, line: str, tabs: bool, width: int) -> tuple[str, str]:
    """The word of a line, and its numbers.

    Raises:
        UserError: if there is no word, or another number of numbers.
    """
    if tabs:
        word, _, numbers = line.partition("\t")
        count = len(numbers.split())
    else:
        fields = line.split(" ")
        first = fields[:-width] if len(fields) > width else fields[:1]
        word, numbers = " ".join(first), " ".join(fields[len(first) :])
        # a word may hold blanks, but one that ends with a number is a line with too many of them
        more = len(first) > 1 and _is_number(first[-1])
        count = len(fields) - 1 if more else len(fields) - len(first)
    if not word.strip():
        raise UserError(f"{where}: an empty word before {count} numbers")
    if count != width:
        raise UserError(f"{where}: {count} numbers, but the first vector has {width}")
    return word.strip(), numbers


def _width(line: str, tabs: bool) -> int:
    """How many numbers the first vector has: its word may hold blanks, or be a number."""
    if tabs:
        return len(line.partition("\t")[2].split())
    fields = line.split(" ")
    last = next((n for n, one in enumerate(reversed(fields)) if not _is_number(one)), len(fields))
    return min(last, len(fields) - 1) or max(1, len(fields) - 1)


def _binary(path: Path, size: int) -> Iterator[Entry]:
    """word2vec's form: count and size; a word, a blank and float32 values, maybe a line end."""
    with open_lines(path) as stream:
        head = stream.readline(_LONGEST)
        if head.startswith(_FASTTEXT_MODEL):
            raise UserError(f"{path} is a model of fastText, not vectors: take the .vec beside it")
        fields = head.split()
        if len(fields) != 2 or not all(one.isdigit() for one in fields):
            raise UserError(
                f"{path}:1: expected count and size of word2vec's binary form ({BINARY}), got "
                f"{head[:40]!r}"
            )
        total, width = map(int, fields)
        _check_size(path, width, size)
        rest, start = b"", 0
        for number in range(1, total + 1):
            where = f"{path}: vector {number:,}"
            end = rest.find(b" ", start)
            while end < 0 or len(rest) < end + 1 + 4 * width:
                chunk = stream.read(_CHUNK)
                if not chunk or (end < 0 and len(rest) - start > _LONGEST):
                    raise UserError(f"{where}: the file ends, or is damaged; it says {total:,}")
                rest, start = rest[start:] + chunk, 0
                end = rest.find(b" ")
            word = _decoded(rest[start:end].lstrip(b"\n"), where)
            start = end + 1 + 4 * width
            if not word.strip():
                raise UserError(f"{where}: an empty word before {width} numbers")
            yield where, word, np.frombuffer(rest, "<f4", width, end + 1)
        if rest[start:].strip(b"\n") or stream.read(1).strip(b"\n"):
            raise UserError(f"{path}: it says {total:,} vectors, and more follows them")


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where} is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}; "
            "word vectors are read as UTF-8, whatever the encoding of the data is (word2vec's "
            f"binary form ends in {BINARY}): convert the file"
        ) from None


def _finite(where: str, given: Any) -> np.ndarray:
    """A vector of float32.

    Raises:
        UserError: if a number is none, or is not finite.
    """
    try:
        if isinstance(given, str) and "_" in given:  # Python reads 1_0 as 10
            raise ValueError
        with np.errstate(over="ignore"):
            vector = np.array(given.split() if isinstance(given, str) else given, np.float32)
    except ValueError:
        count = len(given.split())
        raise UserError(
            f"{where}: expected a word and {count} numbers, got {given[:60]!r} behind the word"
        ) from None
    if not np.isfinite(vector).all():
        position = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise UserError(f"{where}: number {position + 1} of the vector is {vector[position]}")
    return vector


def _check_size(path: Path, width: int, size: int) -> None:
    """Raises:
    UserError: if vectors of another size are wanted, or there are none.
    """
    if width < 1:
        raise UserError(f"{path}: vectors of {width} numbers")
    if size and width != size:
        raise UserError(
            f"{path} has vectors of {width} numbers, and model.embedding is {size}: give "
            f"--model.embedding {width}, or other vectors"
        )


def _whole(field: str) -> bool:
    return field.isascii() and field.isdecimal()


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def digest(path: Path) -> str:
    """The file's SHA-256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
