"""What the files of a folder are, by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kerasseq.data.folders import files_in, split_of, stem
from kerasseq.errors import UserError
from kerasseq.tasks.translation import documents, sides, tables
from kerasseq.tasks.translation.sides import Side


class Contents(NamedTuple):
    """The files that a folder is read as: tables, or sides and documents.

    Attributes:
        tables: if there are any, the others are not used.
        sides: plain files of one language.
        documents: files that say their languages.
        whole: whether no name is that of a split: then all files are one split.
    """

    tables: list[Path]
    sides: list[Side]
    documents: list[Path]
    whole: bool


def contents_of(path: Path, asked: Sequence[str]) -> Contents:
    """What the files of a folder are.

    A folder is read as tables, if its training data is one, or if there is nothing else.

    Args:
        path: of the folder.
        asked: names of languages that the options say.

    Raises:
        UserError: if two files could be the same side.
    """
    files = files_in(path)
    marked = [file for file in files if documents.is_document(file)]
    plain = [file for file in files if file not in marked and not tables.is_marked(file)]
    found = sides.sides_in(path, plain, asked)
    taken = {side.file for side in found}
    candidates = [file for file in files if tables.is_table(file) and file not in taken]
    splits = {file: split for file in files if (split := split_of(stem(file)))}
    if splits:
        of_splits = [file for file in candidates if file in splits]
        if "train" in map(splits.get, of_splits) or 0 < len(of_splits) == len(splits):
            several = Counter(side.key for side in found)
            others = [side.file for side in found if several[side.key] > 1]
            for file in (file for file in (*others, *marked) if file in splits):
                _check_apart(path, file, splits[file], of_splits)
            return Contents(of_splits, [], [], False)
        named = [side for side in found if side.file in splits]
        return Contents([], named, [file for file in marked if file in splits], False)
    several = Counter(side.key for side in found)
    # one that is alone is refused later, but for languages that nobody asked for
    found = [side for side in found if several[side.key] > 1 or side.language in asked]
    only = [file for file in candidates if tables.is_marked(file) and not (found or marked)]
    return Contents(only, found, marked, True)


def _check_apart(path: Path, file: Path, split: str, of_tables: Sequence[Path]) -> None:
    """Raises:
    UserError: if a file and a table could be the same split.
    """
    for table in of_tables:
        if split_of(stem(table)) == split:
            raise UserError(
                f"{path}: both {table.name} and {file.name} could be the {split} split; leave one "
                "of them there, or name the files: --data train=FILE,test=FILE"
            )
