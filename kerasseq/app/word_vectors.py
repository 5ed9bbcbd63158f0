"""Word vectors that a user gives: read for a vocabulary, and set in an embedding."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kerasseq.app.task import Data
from kerasseq.data.vectors import digest, read_vectors
from kerasseq.errors import UserError
from kerasseq.text.vocabulary import SPECIAL_TOKENS
from kerasseq.training.settings import EmbeddingSettings

D = TypeVar("D", bound=Data)
Forms = Callable[[str], Sequence[str]]
"""How a vector of a token may be spelled, the best spelling first."""

_FIRST = len(SPECIAL_TOKENS)


def check_vectors(settings: EmbeddingSettings) -> None:
    """Raises:
    UserError: if there is no such file.
    """
    if settings.vectors and not Path(settings.vectors).is_file():
        what = "is no file" if Path(settings.vectors).exists() else "does not exist"
        raise UserError(f"vectors: {settings.vectors} {what}")


def folded(word: str) -> str:
    """NFC and folded case, as the tokens of raw text have."""
    return unicodedata.normalize("NFC", word).casefold()


def composed(word: str) -> str:
    """NFC."""
    return unicodedata.normalize("NFC", word)


def same(token: str) -> Sequence[str]:
    """A token is spelled as it is."""
    return (token,)


def with_vectors(
    data: D,
    settings: Any,
    vocabularies: Mapping[str, Sequence[str]],
    normal_form: Callable[[str], str],
    forms: Forms = same,
    advice: str = "",
) -> D:
    """Encoded data with the vectors of its tokens; its report says which file they are of.

    Args:
        data: whose assets are new.
        settings: of the task; without vectors the data is as it was.
        vocabularies: tokens, the special ones first, by a name for people.
        normal_form: of the words of the file.
        forms: of a token.
        advice: what to do, if no token has a vector.

    Raises:
        UserError: if the file is damaged, or has vectors of another size, or of no token.
    """
    if not settings.vectors:
        return data
    path, notes = Path(settings.vectors), list[str]()
    words = {token: forms(token) for part in vocabularies.values() for token in part[_FIRST:]}
    wanted = {form for some in words.values() for form in some}
    found = read_vectors(path, normal_form, wanted, 0, settings.model.embedding, notes)
    vectors = {
        token: found[form]
        for token, some in words.items()
        if (form := next(filter(found.__contains__, some), None)) is not None
    }
    if not vectors:
        raise UserError(f"{path} has a vector of none of the {len(words):,} tokens{advice}")
    parts = ", ".join(
        f"{len(vectors.keys() & set(tokens[_FIRST:])):,} of {len(tokens) - _FIRST:,} {name}"
        for name, tokens in vocabularies.items()
    )
    return noted(data, path, f"{parts} have one", vectors, notes)


def noted(
    data: D, path: Path, coverage: str, vectors: Mapping[str, np.ndarray], notes: Iterable[str]
) -> D:
    """Encoded data with word vectors, which its report names.

    Args:
        data: without them.
        path: of their file.
        coverage: how many words have one, for people.
        vectors: by token.
        notes: on the file.
    """
    sha = digest(path)
    note = f"word vectors of {path} (SHA-256 {sha[:12]}...): {coverage}"
    report = {**data.report, "notes": [*data.report["notes"], note, *notes], "vectors": sha}
    return replace(data, vectors=vectors, report=report)


def start_embedding(
    layer: Any,
    tokens: Sequence[str],
    vectors: Mapping[str, np.ndarray],
    settings: Any,
    name: str = "embedding",
) -> list[str]:
    """Sets the rows of an embedding whose tokens have vectors, and freezes it if that is asked for.

    Args:
        layer: that is built, with ``embeddings``.
        tokens: of its rows.
        vectors: by token.
        settings: of the task.
        name: of the layer, for people.

    Returns:
        What was done, for people; nothing, if there are no vectors.

    Raises:
        UserError: if the vectors have another size than the embedding.
    """
    if not vectors:
        return []
    matrix = layer.embeddings.numpy()
    width = len(next(iter(vectors.values())))
    if width != matrix.shape[1]:
        raise UserError(
            f"{settings.vectors} has vectors of {width} numbers, and model.embedding is "
            f"{matrix.shape[1]}"
        )
    rows = [row for row, token in enumerate(tokens) if token in vectors]
    if rows:
        matrix[rows] = [vectors[tokens[row]] for row in rows]
    layer.embeddings.assign(matrix)
    kept = ""
    if not settings.train_vectors:
        layer.trainable = False
        kept = "; none of it is trained (train_vectors)"
    return [f"word vectors given: {len(rows):,} of {len(matrix):,} rows of the {name}{kept}"]
