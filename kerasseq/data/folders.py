"""Which file of a folder is which split, and what its suffix says, looking through ``.gz``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from kerasseq.errors import UserError

_SPLITS = {
    "train": r"train(?:ing)?|trn",
    "validation": r"(?:news)?(?:dev(?:el(?:opment)?)?|valid(?:ation)?|val)|eval(?:uation)?",
    "test": r"(?:news)?test(?:ing)?|tst",
}
_SPLIT_WORD = {
    split: re.compile(rf"(?:{names})(?:19|20)?\d{{0,2}}") for split, names in _SPLITS.items()
}

ARCHIVES = (".tar.gz", ".tgz")

SHOWN = 5
"""Most names in a note."""


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of a compressed archive."""
    return path.name.endswith(ARCHIVES)


def suffix(file: Path) -> str:
    """The suffix of a file's name: ``.csv`` of ``reviews.csv.gz`` too."""
    return Path(file.name.removesuffix(".gz")).suffix


def stem(file: Path) -> str:
    """The name without that suffix."""
    return Path(file.name.removesuffix(".gz")).stem


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


def split_files(path: Path, files: Iterable[Path]) -> dict[str, Path]:
    """Which file, or folder, of a folder is which split, by the words in its name.

    Args:
        path: the folder.
        files: those of its files, or of the folders in it, that may be a split.

    Raises:
        UserError: if two could be the same split.
    """
    chosen: dict[str, Path] = {}
    for file in files:
        split = split_of(file.name)
        if split in chosen:
            first, second = (f"{one.name}{'/' * one.is_dir()}" for one in (chosen[split], file))
            raise UserError(
                f"{path}: both {first} and {second} could be the {split} split; "
                "leave one of them there, or name the files: --data train=FILE,test=FILE"
            )
        if split:
            chosen[split] = file
    return chosen


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
    kept = set(used)
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
