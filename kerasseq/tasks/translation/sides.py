"""Plain files of a sentence a line, one for each language: which belong together."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kerasseq.data.examples import Pair
from kerasseq.data.folders import files_in
from kerasseq.data.notes import Notes
from kerasseq.data.reading import text_lines
from kerasseq.errors import UserError
from kerasseq.tasks.translation.pairs import SOURCES, TARGETS, pairs_of

_SHOWN = 40
_TALK_LINE = re.compile(
    r"\s*</?(?:url|keywords|speaker|talkid|title|description|reviewer|translator|doc)\b[^<>]*>"
)
TALK_LINES = "lines of tags left out (<url>, <title>, ...)"
"""Of IWSLT's training files."""

_ROLES = "|".join((*SOURCES, *TARGETS))
_CODE = rf"[a-z]{{2,3}}(?:[-_][A-Za-z]{{2,4}})?|{_ROLES}"


class Side(NamedTuple):
    """A file of one language.

    Attributes:
        file: that it is.
        key: what it has in common with those of other languages: the name without the language.
        language: as the name spells it.
        reference: which of several it is (``test.en.ref1``); empty, if it is the only one.
        pattern: the name, with braces for the language.
    """

    file: Path
    key: str
    language: str
    reference: str
    pattern: str


class Sides(NamedTuple):
    """The files of one key in two languages, one of which may be missing."""

    key: str
    sources: list[Side]
    targets: list[Side]


def sides_in(folder: Path, files: Iterable[Path], asked: Sequence[str]) -> list[Side]:
    """The files of a folder that may be a side, by name.

    A ``.txt`` file is one only where the file of another language lies beside it.

    Args:
        folder: that they are in.
        files: those of its files that are nothing else.
        asked: names of languages.

    Raises:
        UserError: if two files could be the same side.
    """
    found = [side for side in (_side_of(file, asked) for file in files) if side]
    languages = defaultdict(set)
    for side in found:
        languages[side.key].add(side.language)
    kept: dict[tuple[str, str, str], Side] = {}
    for side in found:
        if _is_text(side.file.name) and len(languages[side.key]) < 2:
            continue
        place = side.key, side.language, side.reference
        if place in kept:
            raise UserError(
                f"{folder}: both {kept[place].file.name} and {side.file.name} could be the "
                f"{side.language} side of {side.key}; leave one of them there"
            )
        kept[place] = side
    return list(kept.values())


def _is_text(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(".txt")


def _side_of(file: Path, asked: Sequence[str]) -> Side | None:
    """What the name of a file says, if it may be that of a side."""
    name = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
    wanted = "|".join(map(re.escape, filter(None, asked)))
    code = f"{wanted}|{_CODE}" if wanted else _CODE
    word = f"{wanted}|{_ROLES}" if wanted else _ROLES
    if match := re.fullmatch(rf"(.+)\.({code})\.(?:ref\.?)?(\d{{1,2}})", name):
        key, language, number = match.groups()
        return Side(file, key, language, f"ref{int(number)}", f"{key}.{{}}")
    if _is_text(name):
        stem = name[:-4]
        if match := re.fullmatch(rf"({word})[-_.](.+)", stem):
            language, key = match.groups()
            return Side(file, key, language, "", f"{{}}{stem[len(language)]}{key}{name[-4:]}")
        match = re.fullmatch(rf"(.+)(\.)({code})", stem) or re.fullmatch(
            rf"(.+)([-_])({word})", stem
        )
        if match:
            key, mark, language = match.groups()
            return Side(file, key, language, "", f"{key}{mark}{{}}{name[-4:]}")
        return None
    key, dot, language = name.rpartition(".")
    return Side(file, key, language, "", f"{key}.{{}}") if dot and key and language else None


def grouped(sides: Iterable[Side], source: str, target: str) -> list[Sides]:
    """The sides of two languages by key, in order of their names."""
    groups: dict[str, Sides] = {}
    for side in sides:
        if side.language in (source, target):
            group = groups.setdefault(side.key, Sides(side.key, [], []))
            (group.sources if side.language == source else group.targets).append(side)
    ordered = sorted(groups.values())
    return [
        Sides(key, sorted(first, key=_number), sorted(second, key=_number))
        for key, first, second in ordered
    ]


def _number(side: Side) -> int:
    return int(side.reference.removeprefix("ref") or -1)


def of_prefix(path: Path, asked: Sequence[str]) -> list[Side]:
    """The sides whose names begin with that of a path: ``corpus/europarl-v7.de-en`` is the
    beginning of ``europarl-v7.de-en.de`` and ``europarl-v7.de-en.en``."""
    if path.exists() or not path.name or not path.parent.is_dir():
        return []
    found = sides_in(path.parent, files_in(path.parent), asked)
    sides = [side for side in found if side.key == path.name]
    return sides if len({side.language for side in sides}) > 1 else []


def read_sides(sides: Sides, encoding: str, split: str, notes: Notes) -> Iterator[Pair]:
    """The pairs of files of as many lines, one by one.

    Args:
        sides: files of both languages.
        split: that they are.
        encoding: of the files.
        notes: gets what is left out or converted.

    Raises:
        UserError: if the files differ in their lines, or are empty, or a sentence of a validation
            or test split is empty.
    """
    files = [side.file for side in (*sides.sources, *sides.targets)]
    first, middle = files[0], len(sides.sources)
    streams = [_lines(file, encoding, notes) for file in files]
    at, rows = 0, itertools.zip_longest(*streams)
    for at, row in enumerate(rows, start=1):
        if None in row:
            _refuse_lengths(files, row, at, rows)
        texts = [text for _, text in row]
        places = f"{first}:{row[0][0]}", f"{files[middle]}:{row[middle][0]}"
        yield from pairs_of(texts[:middle], texts[middle:], split, places, notes)
    if not at:
        raise UserError(f"{first} is empty")


def _refuse_lengths(files: Sequence[Path], row: tuple, at: int, rest: Iterable[tuple]) -> None:
    """Raises:
    UserError: that says which of two files has more lines, and the first of them.
    """
    short = row.index(None)
    long = next(index for index, line in enumerate(row) if line is not None)
    longer, shorter, (number, text) = files[long], files[short], row[long]
    text = text.strip()
    shown = text[:_SHOWN] + "..." * (len(text) > _SHOWN)
    count = at + sum(other[long] is not None for other in rest)
    raise UserError(
        f"{longer} has {count:,} lines, but {shorter} has {at - 1:,}: nothing "
        f"matches {longer.name}:{number} ({shown})"
    )


def _lines(file: Path, encoding: str, notes: Notes) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers; of IWSLT's training files those of text."""
    of_talks = "tags" in re.split(r"\W+", file.name)
    for number, line in enumerate(text_lines(file, encoding, notes), start=1):
        if of_talks and _TALK_LINE.match(line):
            notes.counts[TALK_LINES] += 1
        else:
            yield number, line
