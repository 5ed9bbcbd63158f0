"""Parallel sentences for translation: read from files, cleaned, and cut into splits."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerasseq.data.reading import SPLIT_NAMES, decoded_lines, open_lines, split_files
from kerasseq.data.splits import shared_notes
from kerasseq.errors import UserError

_TABLE_SUFFIXES = (".tsv", ".txt")
_ORDER = ("all", "train", "validation", "test")
_CLEANED = ("all", "train")
_SHOWN = 40
_ANY_RATIO = 7
"""Up to so many words, idioms rule: ``Get lost!`` is ``Va voir ailleurs si j'y suis !``."""
# Thai, Lao, Tibetan, Burmese, Khmer; kana; Han
_WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str
    group: str
    """Pairs of one group are never on both sides of a cut; mostly it is the source sentence."""


@dataclass(frozen=True)
class ParallelCorpus:
    """Pairs by split (``train``, ``validation``, ``test``; or ``all`` if they are to be cut)."""

    origin: str
    """Where the pairs came from (``source`` is a language here)."""
    languages: tuple[str, str]
    """Of source and target, as the files name them: codes, or the column numbers of a table."""
    splits: dict[str, list[Pair]]
    notes: list[str] = field(default_factory=list)
    """What was done to the pairs, and how often, for the report."""

    def __post_init__(self) -> None:
        if self.languages[0] == self.languages[1]:
            raise UserError(
                f"{self.origin}: {self.languages[0]} cannot be both --source and --target"
            )


def read_parallel(path: Path, source: str, target: str, encoding: str) -> ParallelCorpus:
    """Reads parallel sentences from a file or folder, as they stand there.

    Args:
        path: a folder with two files of as many lines for each split, the language being the
            suffix (``train.en``, ``train.de``, ``test_2016_flickr.de.gz``); a ``.tsv`` or
            ``.txt`` table with a pair in each row, the columns separated by tabs (also ``.gz``);
            or a folder of tables with ``train`` and maybe ``valid`` and ``test`` in their names.
        source, target: the languages; of a table, the numbers of the columns, which are 1 and 2 if
            these are empty, and their languages if that is wanted: ``"2:ja"``.
        encoding: of the files.

    Returns:
        The splits that the source has; a table alone is the split ``all``.

    Raises:
        UserError: if the path is missing, damaged, empty or in neither layout; if a file lacks its
            counterpart, or the two differ in their lines; if a row of a table is not a pair; or if
            a sentence of a validation or test split is empty.
    """
    try:
        if path.is_dir():
            return _read_folder(path, source, target, encoding)
        if not path.exists():
            raise UserError(f"{path} does not exist")
        if is_table(path):
            return _read_tables(path, {"all": path}, source, target, encoding)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    raise UserError(
        f"{path}: not a {' or '.join(_TABLE_SUFFIXES)} table of pairs (or .gz of one), nor a "
        "folder with two files for each split (train.en, train.de)"
    )


def turned(corpus: ParallelCorpus, source: str, target: str) -> ParallelCorpus:
    """The corpus in the direction that is asked for; an empty language is whichever is left.

    Raises:
        UserError: if it is not in these languages.
    """
    for language in filter(None, (source, target)):
        if language not in corpus.languages:
            raise UserError(
                f"{corpus.origin} has the languages {', '.join(corpus.languages)}, not {language}"
            )
    if source and source == target:
        raise UserError(f"{source} cannot be both --source and --target")
    if corpus.languages[1] != source and corpus.languages[0] != target:
        return corpus
    splits = {
        name: [Pair(pair.target, pair.source, pair.group) for pair in pairs]
        for name, pairs in corpus.splits.items()
    }
    return ParallelCorpus(corpus.origin, corpus.languages[::-1], splits, corpus.notes)


def pair_of(source: str, target: str, split: str, where: tuple[str, str]) -> Pair:
    """A pair that is its own group, its sentences being made sure of where none may be left out.

    Args:
        source, target: the sentences.
        split: in which they are.
        where: names of their places, for messages.

    Raises:
        UserError: if a sentence of a validation or test split is empty.
    """
    for sentence, place in zip((source, target), where, strict=True):
        if split not in _CLEANED and not sentence.strip():
            raise UserError(
                f"{place}: an empty sentence in the {split} split, of which no pair is left out, "
                "since scores would not compare: mend it, or remove the pair"
            )
    return Pair(source, target, source)


def clean(corpus: ParallelCorpus, max_words: int, max_ratio: float) -> ParallelCorpus:
    """The corpus with tidy white space, and without the training pairs that teach nothing.

    White space (no-break blanks too) becomes one blank, and goes at both ends, in every split. From
    ``train`` or ``all`` these pairs are left out, counted by the first reason that holds:

    - a side is empty;
    - a side has more than ``max_words`` words;
    - one side has more than ``max_ratio`` times the words of the other. This asks for more than 7
      words on the longer side, as short sentences are translated freely, and is not asked of pairs
      with a letter of a script without blanks (Chinese, Japanese, Thai, Lao, Burmese, Khmer);
    - the same pair came before.

    Words are what stands between blanks.

    Args:
        corpus: as it was read.
        max_words: of either side.
        max_ratio: of the words of the two sides.

    Raises:
        UserError: if nothing is left.
    """
    splits, notes = {}, list(corpus.notes)
    for name, part in corpus.splits.items():
        tidy = [Pair(*(" ".join(text.split()) for text in pair)) for pair in part]
        if name in _CLEANED:
            tidy, left_out = _cleaned(tidy, max_words, max_ratio)
            reasons = [
                f"{count:,} pairs left out: {why}" for why, count in left_out.items() if count
            ]
            if not tidy:
                raise UserError(
                    f"{corpus.origin}: nothing is left after cleaning ({'; '.join(reasons)})"
                )
            notes += reasons
        splits[name] = tidy
    return replace(corpus, splits=splits, notes=notes)


def cut_splits(corpus: ParallelCorpus, fraction: float, seed: int) -> ParallelCorpus:
    """Completes a corpus to train, validation and test, by whole groups.

    A split that the source has stays what it is, but for the one that is cut. What is cut shares no
    sentence with another split: where a source or a target sentence is in two of them, its pairs
    stay in the one that the source has, or else in test before validation before train.

    Args:
        corpus: with the splits its source has.
        fraction: share of the pairs for the validation split, and for the test split where there
            is none, as near as whole groups come to it.
        seed: of the cut.

    Raises:
        UserError: if a split would be empty.
    """
    splits, notes = dict(corpus.splits), list(corpus.notes)
    whole = splits.pop("all" if "all" in splits else "train", [])
    missing = [name for name in ("validation", "test") if name not in splits]
    parts = _cut_groups(whole, missing, fraction, seed)
    given = itertools.chain(*splits.values()) if missing else ()
    taken = set(itertools.chain.from_iterable(map(_sides, given)))
    for name in ("test", "validation", "train"):
        if name not in parts:
            continue
        kept = [pair for pair in parts[name] if taken.isdisjoint(_sides(pair))]
        if len(kept) < len(parts[name]):
            notes.append(
                f"{len(parts[name]) - len(kept):,} pairs of {name} left out after the cut: their "
                "source or target sentence is in another split"
            )
        taken.update(itertools.chain.from_iterable(map(_sides, kept)))
        splits[name] = kept
    ordered = {name: splits[name] for name in ("train", "validation", "test")}
    for name, part in ordered.items():
        if not part:
            raise UserError(f"{corpus.origin}: no pair is left for the {name} split")
    sources = {name: {pair.source for pair in part} for name, part in ordered.items()}
    notes += shared_notes(sources, "source sentences")
    return replace(corpus, splits=ordered, notes=notes)


def _sides(pair: Pair) -> tuple[tuple[int, str], tuple[int, str]]:
    """Its sentences, which are no match for the same text on the other side."""
    return (0, pair.source), (1, pair.target)


def _cut_groups(
    pairs: list[Pair], names: list[str], fraction: float, seed: int
) -> dict[str, list[Pair]]:
    """Shares of whole groups for each of the names, and the rest for train."""
    sizes = Counter(pair.group for pair in pairs)
    groups = list(sizes)
    order = np.random.default_rng(seed).permutation(len(groups))
    counts = np.array([sizes[groups[i]] for i in order])
    middles = np.cumsum(counts) - counts / 2  # so a cut is at the nearest end of a group
    cuts = np.searchsorted(middles, np.cumsum([fraction] * len(names)) * len(pairs))
    part_of = {
        groups[i]: name
        for name, positions in zip([*names, "train"], np.split(order, cuts), strict=True)
        for i in positions
    }
    parts: dict[str, list[Pair]] = {name: [] for name in (*names, "train")}
    for pair in pairs:
        parts[part_of[pair.group]].append(pair)
    return parts


def _cleaned(
    pairs: list[Pair], max_words: int, max_ratio: float
) -> tuple[list[Pair], dict[str, int]]:
    """The pairs that are kept, and how many are not, by reason."""
    kept: dict[tuple[str, str], Pair] = {}
    empty, again = "a side is empty", "repeats of another"
    long = f"more than {max_words:,} words on a side"
    uneven = f"more than {max_ratio:g} times the words of the other side"
    left_out = dict.fromkeys((empty, long, uneven, again), 0)
    for pair in pairs:
        key = pair.source, pair.target
        shorter, longer = sorted(len(text.split()) for text in key)
        if not shorter:
            left_out[empty] += 1
        elif longer > max_words:
            left_out[long] += 1
        elif (
            longer > max(_ANY_RATIO, max_ratio * shorter)
            and not _WITHOUT_BLANKS.search(pair.source)
            and not _WITHOUT_BLANKS.search(pair.target)
        ):
            left_out[uneven] += 1
        elif key in kept:
            left_out[again] += 1
        else:
            kept[key] = pair
    return list(kept.values()), left_out


def _suffix(file: Path) -> str:
    """The suffix, looking through ``.gz``."""
    return Path(file.name.removesuffix(".gz")).suffix


def _stem(file: Path) -> str:
    """The name without the suffix, looking through ``.gz``."""
    return Path(file.name.removesuffix(".gz")).stem


def is_table(file: Path) -> bool:
    """Whether a file's name is that of a table of pairs."""
    return _suffix(file) in _TABLE_SUFFIXES


def has_tables(path: Path) -> bool:
    """Whether a path is a table of pairs, or a folder that is read as several of them."""
    if path.is_dir():
        return "train" in split_files(path, filter(is_table, _files(path)), _words)
    return is_table(path)


def _words(name: str) -> list[str]:
    """Of a file's name, for what split it is: ``test_2016_flickr.de.gz``."""
    return re.split(r"[^a-z]+", name)


def _read_folder(path: Path, source: str, target: str, encoding: str) -> ParallelCorpus:
    files = _files(path)
    tables = split_files(path, filter(is_table, files), _words)
    if "train" in tables:
        return _read_tables(path, tables, source, target, encoding)
    languages = sorted({_suffix(file)[1:] for file in files if _suffix(file)} - {"tsv", "txt"})
    if not languages:
        raise UserError(
            f"{path}: neither two files of one sentence a line for each split (train.en, "
            "train.de), nor a table of pairs (train.tsv), each also .gz"
        )
    for language in (source, target):
        if language not in languages:
            lacks = f"no files of the language {language!r}" if language else "several languages"
            raise UserError(
                f"{path} has {lacks}: choose two of {', '.join(languages)} with --source and "
                "--target"
            )
    chosen = [
        split_files(path, (file for file in files if _suffix(file)[1:] == language), _words)
        for language in (source, target)
    ]
    splits: dict[str, list[Pair]] = {}
    for split in _ORDER[1:]:
        here = [files_of.get(split) for files_of in chosen]
        first, second = here
        if first and second and _stem(first) == _stem(second):
            splits[split] = _read_files(first, second, split, encoding)
        elif found := first or second:
            other = target if first else source
            raise UserError(
                f"{path}: {found.name} has no {_stem(found)}.{other} beside it (nor that with .gz)"
            )
    if "train" not in splits:
        raise UserError(f"{path}: no file with train in its name, but {', '.join(splits)}")
    return ParallelCorpus(str(path), (source, target), splits)


def _files(path: Path) -> list[Path]:
    """The files of a folder that are named after a split."""
    return [
        file
        for file in sorted(path.iterdir())
        if file.is_file()
        and not file.name.startswith(".")
        and any(word in SPLIT_NAMES for word in _words(_stem(file).lower()))
    ]


def _lines(path: Path, encoding: str) -> Iterator[str]:
    with open_lines(path) as stream:
        yield from decoded_lines(stream, encoding, str(path))


def _read_files(first: Path, second: Path, split: str, encoding: str) -> list[Pair]:
    """The pairs of two files, line by line."""
    pairs: list[Pair] = []
    lines = itertools.zip_longest(_lines(first, encoding), _lines(second, encoding))
    for number, (source, target) in enumerate(lines, start=1):
        if source is None or target is None:
            longer, shorter = (first, second) if target is None else (second, first)
            text = (source or target or "").strip()
            shown = text[:_SHOWN] + "..." * (len(text) > _SHOWN)
            count = number + sum(1 for _ in lines)
            raise UserError(
                f"{longer} has {count:,} lines, but {shorter} has {number - 1:,}: nothing "
                f"matches {longer.name}:{number} ({shown})"
            )
        pairs.append(pair_of(source, target, split, (f"{first}:{number}", f"{second}:{number}")))
    if not pairs:
        raise UserError(f"{first} is empty")
    return pairs


def _read_tables(
    path: Path, files: dict[str, Path], source: str, target: str, encoding: str
) -> ParallelCorpus:
    given = source or "1", target or "2"
    for column in given:
        if not are_columns(column):
            raise UserError(
                f"{path} is read as a table: --source and --target are numbers of its columns "
                f"(1, 2; with a language 2:ja), not {column!r}"
            )
    numbers, names = zip(*(column.split(":") for column in map(_with_language, given)), strict=True)
    columns = int(numbers[0]), int(numbers[1])
    if columns[0] == columns[1]:
        raise UserError(f"{path}: column {columns[0]} cannot be both --source and --target")
    splits = {
        split: list(_table_pairs(files[split], columns, encoding))
        for split in _ORDER
        if split in files
    }
    return ParallelCorpus(str(path), (names[0], names[1]), splits)


def are_columns(*names: str) -> bool:
    """Whether all of these are columns of a table, such as ``"2"`` or ``"2:ja"``."""
    return all(re.fullmatch("0*[1-9][0-9]*(:[a-zA-Z_-]+)?", name) for name in names)


def _with_language(column: str) -> str:
    """A column's own number stands for its language, if that is not given."""
    return column if ":" in column else f"{column}:{column}"


def _table_pairs(path: Path, columns: tuple[int, int], encoding: str) -> Iterator[Pair]:
    number = blank = 0
    for number, line in enumerate(_lines(path, encoding), start=1):
        if not line.strip() and number > 1:  # at the end it is no row
            blank = blank or number
            continue
        row = line.split("\t")  # quotes are plain characters in such files
        for column in columns:
            if blank or column > len(row) or not row[column - 1].strip():
                raise UserError(
                    f"{path}:{blank or number}: no sentence in column {column} of "
                    f"{1 if blank else len(row)} (they are separated by tabs)"
                )
        source, target = (row[column - 1] for column in columns)
        yield Pair(source, target, source)
    if not number:
        raise UserError(f"{path} is empty")
