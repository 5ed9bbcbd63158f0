"""Word vectors from a text file, as word2vec, GloVe and fastText write them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container
from pathlib import Path

import numpy as np

from kerasseq.data.reading import decoded_lines, open_lines
from kerasseq.errors import UserError


def read_vectors(
    path: Path, normal_form: Callable[[str], str], wanted: Container[str], others: int
) -> dict[str, np.ndarray]:
    """Reads vectors by the normal forms of their words; of words with one form, the first counts.

    Args:
        path: a word and its numbers a line, separated by blanks; a first line with two whole
            numbers (word2vec's) is skipped. ``.gz`` too.
        normal_form: of a word.
        wanted: forms that are read wherever they stand.
        others: how many more are read; files begin with the frequent words.

    Returns:
        float32 vectors by form, in the file's order.

    Raises:
        UserError: naming the line, if it has not as many numbers as the first.
    """
    found: dict[str, np.ndarray] = {}
    size = 0
    try:
        with open_lines(path) as stream:
            for number, line in enumerate(decoded_lines(stream, "utf-8", str(path)), start=1):
                fields = line.rstrip(" ").split(" ")
                if number == 1 and len(fields) == 2 and all(f.isdecimal() for f in fields):
                    continue
                size = size or len(fields) - 1
                word, numbers = " ".join(fields[:-size]), fields[-size:]
                if size < 1 or not word:
                    raise UserError(
                        f"{path}:{number}: {len(fields) - 1} numbers, but the first vector has "
                        f"{size}"
                    )
                form = normal_form(word)
                if form in found or (form not in wanted and len(found) >= others):
                    continue
                try:
                    found[form] = np.array(numbers, np.float32)
                except ValueError:
                    raise UserError(
                        f"{path}:{number}: expected a word and {size} numbers, got {line[:60]!r}"
                    ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    if not found:
        raise UserError(f"{path} has no word vector")
    return found


def digest(path: Path) -> str:
    """The file's SHA-256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
