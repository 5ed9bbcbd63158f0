"""Parallel sentences from files: which files of a path are read, as which split, and how.

The forms are in :mod:`~kerasseq.tasks.translation.sides` (two plain files),
:mod:`~kerasseq.tasks.translation.tables` and :mod:`~kerasseq.tasks.translation.documents` (TMX,
SGM, XML).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kerasseq.data.corpus import WHOLE, Corpus, ordered
from kerasseq.data.delimited import TableFormat
from kerasseq.data.examples import Pair
from kerasseq.data.folders import files_in, shown_names, split_files, unused_notes
from kerasseq.data.notes import Notes
from kerasseq.data.reading import reader
from kerasseq.errors import UserError
from kerasseq.tasks.translation import documents, sides, tables
from kerasseq.tasks.translation.documents import Document
from kerasseq.tasks.translation.folder import contents_of
from kerasseq.tasks.translation.pairs import Named, check_differ, direction_of, named
from kerasseq.tasks.translation.sides import Side

UNUSED = "no split by their names, or in no language that is asked for"
_FORMS = (
    "two files of one sentence a line for each split (train.en, train.de), a table of pairs "
    "(train.tsv), a translation memory (.tmx) or a test set (.sgm, .xml), each also .gz"
)


@dataclass(frozen=True)
class Unit:
    """Files that give pairs together.

    Attributes:
        sources, targets: the files of both sides; a file that holds both is in each; of files that
            lack their counterpart one is empty.
        read: gives the pairs, of a split, and counts what it does with them.
        lacking: name of the counterpart, if there is none.
    """

    sources: list[Path]
    targets: list[Path]
    read: Callable[[str, Notes], Iterator[Pair]]
    lacking: str = ""


@dataclass
class _Options:
    """How files are read, and what was found out."""

    path: Path
    source: str
    target: str
    encoding: str
    form: TableFormat
    notes: list[str] = field(default_factory=list)


def read_path(
    path: Path,
    source: str,
    target: str,
    encoding: str,
    form: TableFormat = TableFormat(),  # noqa: B008 (a constant)
) -> Corpus[Pair]:
    """Reads parallel sentences from a file or folder, as they stand there.

    Args:
        path: a folder with two files of as many lines for each split, the language being a part of
            the name (``train.en``, ``train.de``, ``src-train.txt``, ``test.de.txt.gz``); the
            beginning of the names of two such files; a table with a pair in each row; a TMX file;
            a test set of WMT or IWSLT; or a folder of these with ``train`` and maybe ``valid`` and
            ``test`` in their names.
        source, target: the languages; of a table, the numbers or names of the columns, which are 1
            and 2 if these are empty, and their languages if that is wanted: ``"2:ja"``.
        encoding: of the files.
        form: of tables.

    Returns:
        The splits that the source has; what has no split is the split ``all``.

    Raises:
        UserError: if the path is missing, damaged, empty or in no layout; if a file lacks its
            counterpart, or the two differ in their lines; if a row of a table is not a pair; if the
            direction is not known; or if a sentence of a validation or test split is empty.
    """
    options = _Options(path, source, target, encoding, form)
    asked = [named(one).name for one in (source, target)]
    if found := sides.of_prefix(path, asked):
        languages = _languages(options, found, [])
        (unit,) = _units_of_sides(options, found, languages)
        return _corpus(options, {WHOLE: [unit]}, languages)
    return _read_existing(path, options)


def is_there(path: Path) -> bool:
    """Whether a path is there, or is the beginning of the names of two files."""
    return path.exists() or bool(sides.of_prefix(path, ()))


@reader
def _read_existing(path: Path, options: _Options) -> Corpus[Pair]:
    if path.is_dir():
        return _read_folder(options)
    if documents.is_document(path):
        return _read_document(options)
    if tables.is_table(path):
        return _read_tables(options, {WHOLE: [path]})
    beside = sides.sides_in(path.parent, files_in(path.parent), (options.source, options.target))
    keys = [side.key for side in beside if side.file == path]
    cure = f"; the beginning of its name stands for both: {path.parent / keys[0]}" if keys else ""
    raise UserError(f"{path}: one side of a pair, or no parallel text: give {_FORMS}{cure}")


def _read_document(options: _Options) -> Corpus[Pair]:
    """One file of TMX or XML that has both sides."""
    path = options.path
    document = documents.document_of(path, options.encoding)
    if document is None or document.kind == "set":
        what = "has one side of a test set" if document else "has no parallel text"
        raise UserError(
            f"{path} {what}: give the folder that it and the other side are in, or a .tmx or WMT's "
            "XML that has both"
        )
    languages = _languages(options, [], [document])
    units = _units_of_documents(options, [document], languages)
    return _corpus(options, {WHOLE: units}, languages)


# -- folders ---------------------------------------------------------------------------------------


def _read_folder(options: _Options) -> Corpus[Pair]:
    path, asked = options.path, [named(one).name for one in (options.source, options.target)]
    of_tables, found, files, whole = contents_of(path, asked)
    if of_tables:
        split = {WHOLE: of_tables} if whole else split_files(path, of_tables)
        return _read_tables(options, split)
    held = [documents.document_of(file, options.encoding) for file in files]
    known = [document for document in held if document]
    if not found and not known:
        raise UserError(f"{path}: neither {_FORMS}")
    languages = _languages(options, found, known)
    check_differ(str(path), languages[0].name, languages[1].name)
    units = [
        *_units_of_sides(options, found, languages),
        *_units_of_documents(options, known, languages),
    ]
    chosen = {WHOLE: units} if whole else _chosen(path, units)
    return _corpus(options, chosen, languages)


def _chosen(path: Path, units: Sequence[Unit]) -> dict[str, list[Unit]]:
    """The units of each split, by the name of the first file of each side."""
    firsts = split_files(path, [unit.sources[0] for unit in units if unit.sources])
    seconds = split_files(path, [unit.targets[0] for unit in units if unit.targets])
    return {
        split: [
            unit
            for unit in units
            if set(firsts.get(split, ())) & set(unit.sources[:1])
            or set(seconds.get(split, ())) & set(unit.targets[:1])
        ]
        for split in ordered({**firsts, **seconds})
    }


def _corpus(
    options: _Options,
    chosen: dict[str, list[Unit]],
    languages: tuple[Named, Named],
    unused: str = UNUSED,
) -> Corpus[Pair]:
    """The pairs of the units of each split, and what is said of them."""
    splits: dict[str, list[Pair]] = {}
    notes, used = list(options.notes), set()
    for split, units in chosen.items():
        said = Notes()
        pairs: list[Pair] = []
        for unit in units:
            files = [*unit.sources, *unit.targets]
            if unit.lacking:
                cure = "; or give the beginning of two names, DIR/NAME" if split == WHOLE else ""
                raise UserError(
                    f"{options.path}: {files[0].name} has no {unit.lacking} beside it (nor that "
                    f"with .gz){cure}"
                )
            used.update(files)
        for unit in units:
            pairs.extend(unit.read(split, said))
        if len(units) > 1:
            first = [unit.sources[0] for unit in units]
            said.counts[f"files or pairs of files joined: {shown_names(first)}"] = len(units)
        several = sum(bool(pair.further) for pair in pairs)
        if several:
            said.counts["sentences have several references"] += several
        notes += [note if split == WHOLE else f"{split}: {note}" for note in said.lines()]
        splits[split] = pairs
    notes += unused_notes(options.path, used, unused)
    return Corpus(str(options.path), splits, notes, (languages[0].language, languages[1].language))


def _languages(
    options: _Options, found: Sequence[Side], known: Sequence[Document]
) -> tuple[Named, Named]:
    """The languages: those that the options name, or those that the files say themselves.

    Raises:
        UserError: if they are not known, or not there.
    """
    path = options.path
    source, target = named(options.source), named(options.target)
    in_names = sorted({side.language for side in found})
    in_files = {name: None for document in known for name in document.known if name}
    if not source.name and not target.name:
        said = {pair for pair in _said(known) if all(pair)}
        if of_names := direction_of(in_names):
            said.add(of_names)
        if len(said) == 1 and (not found or direction_of(in_names)):
            first, second = said.pop()
            options.notes.append(f"from {first} to {second}, as the files say")
            return Named(first, first), Named(second, second)
    there = [*in_names, *(name for name in in_files if name not in in_names)]
    for one in (source, target):
        here = one.name in in_names or any(documents.speaks(name, one.name) for name in in_files)
        # a translation memory may have more languages than its first unit shows
        if not one.name or not (here or any(document.kind == "tmx" for document in known)):
            what = f"no files of the language {one.name!r}" if one.name else "several languages"
            raise UserError(
                f"{path} has {what}: choose two of {', '.join(there)} with --source and --target"
            )
    check_differ(str(path), source.name, target.name)
    return source, target


def _said(known: Sequence[Document]) -> Iterator[tuple[str, str]]:
    """The directions that files say; of a test set, both of its files together."""
    sources = {document.languages[0] for document in known if document.role == "srcset"}
    targets = {document.languages[1] for document in known if document.role == "refset"}
    if len(sources) == len(targets) == 1:
        yield sources.pop(), targets.pop()
    elif sources or targets:
        yield from ((one, other) for one in sources for other in targets)
    yield from (document.languages for document in known if document.kind != "set")


def _units_of_sides(
    options: _Options, found: Sequence[Side], languages: tuple[Named, Named]
) -> Iterator[Unit]:
    source, target = (one.name for one in languages)
    for group in sides.grouped(found, source, target):
        read = partial(sides.read_sides, group, options.encoding)
        lacking = ""
        if not group.sources or not group.targets:
            pattern = (group.sources or group.targets)[0].pattern
            lacking = pattern.format(target if group.sources else source)
        firsts, seconds = ([side.file for side in part] for part in group[1:])
        yield Unit(firsts, seconds, read, lacking)


def _units_of_documents(
    options: _Options, known: Sequence[Document], languages: tuple[Named, Named]
) -> list[Unit]:
    source, target = languages
    units = []
    for group in documents.grouped(known, source.name, target.name):
        lacking = ""
        if not group.sources or not group.targets:
            lacking = f"file of {(target if group.sources else source).name}"
        files = [[document.file for document in part] for part in group[1:]]
        read = partial(documents.read_sets, group, options.encoding)
        units.append(Unit(files[0], files[1], read, lacking))
    for document in known:
        if document.kind != "set":
            of_kind = documents.read_memory if document.kind == "tmx" else documents.read_wmt
            whole = partial(of_kind, document.file, source, target)
            units.append(Unit([document.file], [document.file], whole))
    return units


# -- tables ----------------------------------------------------------------------------------------


def _read_tables(options: _Options, files: dict[str, list[Path]]) -> Corpus[Pair]:
    chosen: dict[str, list[Unit]] = {}
    languages: dict[tuple[str, str], Path] = {}
    for split, of_split in ordered(files).items():
        chosen[split] = []
        for file in of_split:
            columns = tables.columns_of(
                file, options.source, options.target, options.encoding, options.form, options.notes
            )
            languages.setdefault(columns.languages, file)
            read = partial(tables.read_table, file, columns, options.encoding)
            chosen[split].append(Unit([file], [file], read))
    if len(languages) > 1:
        (one, first), (other, second) = list(languages.items())[:2]
        raise UserError(
            f"{options.path}: {first.name} is read as {' to '.join(one)}, {second.name} as "
            f"{' to '.join(other)}: name the columns with --source and --target"
        )
    ((source, target),) = languages
    both = Named(source, source), Named(target, target)
    return _corpus(options, chosen, both, "no split by their names, or no tables of pairs")
