"""Where ``--data`` says that the examples are: one place decides, for every task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kerasseq.data.corpus import Corpus

E = TypeVar("E")

EMBEDDED, TFDS = "embedded", "tfds:"


def read_source(
    source: str,
    *,
    embedded: Callable[[], Corpus[E]],
    tfds: Callable[[str], Corpus[E]],
    path: Callable[[Path], Corpus[E]],
) -> Corpus[E]:
    """Reads a corpus from where its name says; nothing falls back to another source.

    Args:
        source: ``embedded``, ``tfds:NAME``, or a path.
        embedded: reads a corpus inside a package.
        tfds: reads a data set of TensorFlow Datasets, by its name.
        path: reads a file or folder.
    """
    if source == EMBEDDED:
        return embedded()
    if source.startswith(TFDS):
        return tfds(source.removeprefix(TFDS))
    return path(Path(source))
