"""Which file of a folder is which split, and what its suffix says, looking through ``.gz``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kerasseq.errors import UserError

_SPLITS = {
    "train": r"train(?:ing)?|trn",
    "validation": r"(?:news)?(?:dev(?:el(?:opment)?)?|valid(?:ation)?|val)|eval(?:uation)?"
    "|testa",  # CoNLL-2002 and 2003
    "test": r"(?:news)?test(?:ing)?|tst|testb",
}
_SPLIT_WORD = {
    split: re.compile(rf"(?:{names})(?:19|20)?\d{{0,2}}") for split, names in _SPLITS.items()
}

_SHARD = re.compile(r"-(?P<number>\d{1,6})-of-(?P<count>\d{1,6})(?:-[0-9a-f]+)?(?=\.|$)")

ARCHIVES = (".tar.gz", ".tgz")

SHOWN = 5
"""Most names in a note."""


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of a compressed archive."""
    return path.name.lower().endswith(ARCHIVES)


def suffix(file: Path) -> str:
    """The suffix of a file's name, in lower case: ``.csv`` of ``reviews.CSV.gz`` too."""
    return Path(_unpacked(file)).suffix.lower()


def stem(file: Path) -> str:
    """The name without that suffix."""
    return Path(_unpacked(file)).stem


def _unpacked(file: Path) -> str:
    return file.name[:-3] if file.suffix.lower() == ".gz" else file.name


def files_in(folder: Path) -> list[Path]:
    """The files of a folder, by name; not the hidden ones."""
    return sorted(
        # a broken link is a file that cannot be read, which whoever opens it says
        file
        for file in folder.iterdir()
        if not file.is_dir() and not file.name.startswith(".")
    )


def split_of(name: str) -> str | None:
    """The split that a name says: ``train``, ``validation`` or ``test``.

    A split's name is a word of it: between ``.``, ``_``, ``-`` or other marks, but not between
    blanks, since books have titles. A year may stand behind it. The last such word counts: the name
    of a corpus comes first, and may hold anything.

    >>> [split_of(n) for n in ("en_ewt-ud-dev.conllu", "newstest2014.de", "A test of time.txt")]
    ['validation', 'test', None]
    """
    words = re.split(r"[^\w\s]+|_+", name.lower())
    for word in reversed(words):
        for split, pattern in _SPLIT_WORD.items():
            if pattern.fullmatch(word):
                return split
    return None


def split_files(path: Path, files: Iterable[Path]) -> dict[str, list[Path]]:
    """Which files, or folders, of a folder are which split, by the words in their names.

    Shards of one file, ``train-00000-of-00003.parquet``, are one split, in their order.

    Args:
        path: the folder.
        files: those of its files, or of the folders in it, that may be a split.

    Raises:
        UserError: if two could be the same split, or a shard is missing.
    """
    chosen: dict[str, list[Path]] = {}
    for whole in _sharded(path, files):
        split = split_of(whole[0].name)
        if split in chosen:
            first, second = (
                f"{one.name}{'/' * one.is_dir()}" for one in (chosen[split][0], whole[0])
            )
            raise UserError(
                f"{path}: both {first} and {second} could be the {split} split; leave one of them "
                "there, or name the files: --data train=FILE,test=FILE (train=FILE,train=FILE "
                "joins two)"
            )
        if split:
            chosen[split] = whole
    return chosen


def _sharded(path: Path, files: Iterable[Path]) -> Iterator[list[Path]]:
    """Files one by one, but the shards of one file together.

    Raises:
        UserError: if a shard is missing.
    """
    shards: dict[tuple[str, int], dict[int, Path]] = {}
    for file in files:
        match = _SHARD.search(file.name)
        if not match:
            yield [file]
            continue
        key = file.name[: match.start()] + suffix(file), int(match["count"])
        shards.setdefault(key, {})[int(match["number"])] = file
    for (_, count), parts in shards.items():
        if sorted(parts) != list(range(count)):
            missing = next((n for n in range(count) if n not in parts), len(parts))
            name = next(iter(parts.values())).name
            raise UserError(
                f"{path}: {name} is one of {count} shards, of which {len(parts)} are there; "
                f"number {missing} is missing"
            )
        yield [parts[number] for number in range(count)]


def single_files(chosen: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
    """The file of each split, for formats that are never in several.

    Raises:
        UserError: if a split is.
    """
    for split, files in chosen.items():
        if len(files) > 1:
            raise UserError(f"{files[0]}: the {split} split has {len(files)} files, expected one")
    return {split: files[0] for split, files in chosen.items()}


def unused_notes(
    path: Path, used: Iterable[Path], why: str = "no split by their names"
) -> list[str]:
    """For a data report: what lies in a folder and is not used.

    Args:
        path: the folder; of a file there is nothing to say.
        used: the files and folders in it that are.
        why: of the files that are not.
    """
    if not path.is_dir():
        return []
    kept = {one for file in used for one in (file, file.parent)}  # a folder may be a split
    rest = sorted(entry for entry in path.iterdir() if entry not in kept)
    hidden = [entry for entry in rest if entry.name.startswith(".")]
    files = [entry for entry in rest if entry not in hidden and not entry.is_dir()]
    folders = [entry for entry in rest if entry not in hidden and entry.is_dir()]
    notes = []
    if files:
        notes.append(f"not used, {why}: {shown_names(files)}")
    if folders:
        notes.append(f"not used, folders: {shown_names(folders)}")
    if hidden:
        notes.append(f"not used, hidden: {shown_names(hidden)}")
    return notes


def shown_names(files: Sequence[Path]) -> str:
    """The names of the first files, and how many more there are."""
    more = [f"{len(files) - SHOWN:,} more"] if len(files) > SHOWN else []
    return ", ".join([file.name for file in files[:SHOWN]] + more)
