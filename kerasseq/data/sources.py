"""Where ``--data`` says that the examples are: one place decides, for every task."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from kerasseq.data.corpus import SPLITS, WHOLE, Corpus, ordered
from kerasseq.errors import UserError

E = TypeVar("E")

EMBEDDED, TFDS = "embedded", "tfds:"


def is_path(source: str) -> bool:
    """Whether a source is one file or folder."""
    return paths_of(source) == [source]


def paths_of(source: str) -> list[str]:
    """The files and folders that a source names: none, if it is no path."""
    if source == EMBEDDED or source.startswith(TFDS):
        return []
    return list(named_splits(source).values()) or [source]


def read_source(
    source: str,
    *,
    embedded: Callable[[], Corpus[E]],
    tfds: Callable[[str], Corpus[E]],
    path: Callable[[Path], Corpus[E]],
) -> Corpus[E]:
    """Reads a corpus from where its name says; nothing falls back to another source.

    Args:
        source: ``embedded``, ``tfds:NAME``, a path, or a file for each split
            (``train=a.csv,test=b.csv``).
        embedded: reads a corpus inside a package.
        tfds: reads a data set of TensorFlow Datasets, by its name.
        path: reads a file or folder.
    """
    if source == EMBEDDED:
        return embedded()
    if source.startswith(TFDS):
        return tfds(source.removeprefix(TFDS))
    if parts := named_splits(source):
        return _joined(source, {split: path(Path(file)) for split, file in parts.items()})
    return path(Path(source))


_SPLIT = re.compile(rf"({'|'.join(SPLITS)})=")


def named_splits(source: str) -> dict[str, str]:
    """The files of ``train=a.csv,test=b.csv`` by split; none if ``source`` is no such list.

    Raises:
        UserError: if a split is named twice.
    """
    if not _SPLIT.match(source) or Path(source).exists():
        return {}
    parts = [part.split("=", 1) for part in re.split(rf",(?=(?:{'|'.join(SPLITS)})=)", source)]
    found: dict[str, str] = dict(parts)
    if len(found) < len(parts):
        raise UserError(f"{source}: a split is named twice")
    return found


def source_of(parts: Mapping[str, str | Path]) -> str:
    """The one name of a file for each split, which :func:`named_splits` takes apart."""
    return ",".join(f"{split}={path}" for split, path in parts.items())


def _joined(source: str, parts: dict[str, Corpus[E]]) -> Corpus[E]:
    """One corpus of files that are a split each."""
    for split, part in parts.items():
        if set(part.splits) != {WHOLE}:
            raise UserError(
                f"{split}={part.source} has splits of its own ({', '.join(part.splits)}): "
                "name a file"
            )
    splits = ordered({split: part.splits[WHOLE] for split, part in parts.items()})
    notes = [f"{split}: {note}" for split, part in parts.items() for note in part.notes]
    return Corpus(source, splits, notes, next(iter(parts.values())).languages)
