"""Where ``--data`` says that the examples are: one place decides, for every task."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import TypeVar

from kerasseq.data.corpus import SPLITS, WHOLE, Corpus, ordered
from kerasseq.data.delimited import TableFormat
from kerasseq.data.folders import split_of
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
    named = itertools.chain.from_iterable(named_splits(source).values())
    return [path for one in named for path in _matching(one)] or _matching(source)


def read_source(
    source: str,
    *,
    embedded: Callable[[], Corpus[E]],
    tfds: Callable[[str], Corpus[E]],
    path: Callable[[Path], Corpus[E]],
    form: TableFormat = TableFormat(),  # noqa: B008 (a constant)
) -> Corpus[E]:
    """Reads a corpus from where its name says; nothing falls back to another source.

    Args:
        source: ``embedded``, ``tfds:NAME``, a path, a pattern of files (``part-*.csv``), or files
            for each split (``train=a.csv,train=b.csv,test=c.csv``).
        embedded: reads a corpus inside a package.
        tfds: reads a data set of TensorFlow Datasets, by its name.
        path: reads a file or folder.
        form: of delimited tables, which the first two are not.

    Raises:
        UserError: if something is said of a form that the source has not.
    """
    if source == EMBEDDED or source.startswith(TFDS):
        form.refuse(source)
    if source == EMBEDDED:
        return embedded()
    if source.startswith(TFDS):
        return tfds(source.removeprefix(TFDS))
    if named := named_splits(source):
        parts = {
            split: [path(Path(file)) for one in files for file in _matching(one)]
            for split, files in named.items()
        }
        for split, corpora in parts.items():
            for corpus in corpora:
                _check_whole(corpus, f"{split}=")
        return _joined(source, parts)
    files = _matching(source)
    if files == [source]:
        return path(Path(source))
    named_after = {name for file in files if (name := split_of(Path(file).name))}
    if len(named_after) > 1:
        raise UserError(
            f"{source} matches files of several splits ({', '.join(sorted(named_after))}): name "
            "them, --data train=PATTERN,test=PATTERN"
        )
    corpora = [path(Path(file)) for file in files]
    for corpus in corpora:
        _check_whole(corpus)
    joined = _joined(source, {WHOLE: corpora})
    return replace(joined, notes=[f"{len(files):,} files joined", *joined.notes])


def _matching(source: str) -> list[str]:
    """The files that a pattern matches, by their names; a source without a pattern is itself.

    Raises:
        UserError: if there is none.
    """
    if not re.search(r"[*?[]", source) or Path(source).exists():
        return [source]
    if found := sorted(glob(source, recursive=True), key=_natural):
        return found
    raise UserError(f"no file matches {source}")


def _natural(name: str) -> list[tuple[int, str]]:
    """Names in the order of their numbers: part-2 before part-10."""
    return [
        (int(part or 0), "") if part.isdecimal() else (0, part)
        for part in re.split("([0-9]+)", name)
    ]


_SPLIT = re.compile(rf"({'|'.join(SPLITS)})=")


def named_splits(source: str) -> dict[str, list[str]]:
    """The files of ``train=a.csv,train=b.csv,test=c.csv`` by split; none, if ``source`` is no such
    list."""
    if not _SPLIT.match(source) or Path(source).exists():
        return {}
    found: dict[str, list[str]] = {}
    for part in re.split(rf",(?=(?:{'|'.join(SPLITS)})=)", source):
        split, _, path = part.partition("=")
        found.setdefault(split, []).append(path)
    return found


def source_of(parts: Mapping[str, Sequence[str | Path]]) -> str:
    """The one name of the files of each split, which :func:`named_splits` takes apart."""
    return ",".join(f"{split}={path}" for split, paths in parts.items() for path in paths)


def _check_whole(corpus: Corpus[E], prefix: str = "") -> None:
    """Raises:
    UserError: if a file of one split has splits of its own.
    """
    if set(corpus.splits) != {WHOLE}:
        raise UserError(
            f"{prefix}{corpus.source} has splits of its own ({', '.join(corpus.splits)}): "
            "name a file"
        )


def _joined(source: str, parts: Mapping[str, Sequence[Corpus[E]]]) -> Corpus[E]:
    """One corpus of files that are parts of a split each."""
    splits = {
        split: list(itertools.chain.from_iterable(one.splits[WHOLE] for one in corpora))
        for split, corpora in parts.items()
    }
    notes = [
        note if split == WHOLE else f"{split}: {note}"
        for split, corpora in parts.items()
        for corpus in corpora
        for note in corpus.notes
    ]
    languages = {corpus.languages for corpora in parts.values() for corpus in corpora}
    if len(languages) > 1:
        raise UserError(f"{source}: its files have different languages")
    return Corpus(source, ordered(splits), notes, languages.pop())
