"""Which file of a folder is which split, and what its suffix says, looking through ``.gz``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kerasseq.errors import UserError

SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}

ARCHIVES = (".tar.gz", ".tgz")


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


def words_of(name: str) -> list[str]:
    """The words of a file's name: ``en_ewt-ud-dev.conllu.gz``, ``test_2016_flickr.de``."""
    return re.split(r"[^a-z]+", name.lower())


def whole_stem(name: str) -> list[str]:
    """The same where a name is a split's alone: ``test.csv``, but not ``old_test.csv``."""
    return [name.lower().partition(".")[0]]


def words_with_titles(name: str) -> list[str]:
    """The same where a blank does not end a word: books have titles."""
    return re.split(r"[._-]+", name.lower())


def split_of(words: Sequence[str]) -> str | None:
    """The split that the words of a file's name say. The last word counts: the name of a corpus
    comes first, and may hold anything."""
    return next((SPLIT_NAMES[word] for word in reversed(words) if word in SPLIT_NAMES), None)


def split_files(
    path: Path, files: Iterable[Path], words: Callable[[str], Sequence[str]] = words_of
) -> dict[str, Path]:
    """Which file of a folder is which split, by the words in its name.

    Args:
        path: the folder.
        files: those of its files that may be a split.
        words: of a file's name.

    Raises:
        UserError: if two could be the same split.
    """
    chosen: dict[str, Path] = {}
    for file in files:
        split = split_of(words(file.name))
        if split in chosen:
            raise UserError(
                f"{path}: both {chosen[split].name} and {file.name} could be the {split} split; "
                "leave one of them there"
            )
        if split:
            chosen[split] = file
    return chosen
