"""Files that say their languages themselves: TMX, SGM and XML test sets."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kerasseq.data import segments, tmx, wmt_xml
from kerasseq.data.examples import Pair
from kerasseq.data.folders import suffix
from kerasseq.data.notes import Notes
from kerasseq.data.reading import open_lines
from kerasseq.errors import UserError
from kerasseq.tasks.translation.pairs import Named, pairs_of, speaks

SUFFIXES = (".tmx", ".sgm", ".sgml", ".xml")
_KINDS = {
    b"<tmx": "tmx",
    b"<dataset": "wmt",
    b"<srcset": "set",
    b"<refset": "set",
    b"<tstset": "set",
}
_ROLE = re.compile(r"src|source|ref\d*|reference\d*")


class Document(NamedTuple):
    """A file of parallel text.

    Attributes:
        file: that it is.
        kind: ``tmx`` and ``wmt`` hold both sides, ``set`` one.
        key: of a set, what its name has in common with that of the other side.
        languages: source and target as the file says them; empty, if it says none. Of a set, its
            own is the first of a ``srcset`` and the second of a ``refset``.
        role: of a set: ``srcset`` or ``refset``.
        known: languages that are in it, for messages.
    """

    file: Path
    kind: str
    key: str
    languages: tuple[str, str]
    role: str
    known: tuple[str, ...]

    def is_in(self, language: str) -> bool:
        """Whether a set is in a language."""
        return speaks(self.languages[self.role == "refset"], language)


def is_document(file: Path) -> bool:
    """Whether a file's suffix is that of such a file (``.gz`` too)."""
    return suffix(file) in SUFFIXES


def document_of(file: Path, encoding: str) -> Document | None:
    """What a file is, or None if it is no parallel text.

    Raises:
        UserError: if it is damaged.
    """
    with open_lines(file) as stream:
        begin = stream.read(1 << 14).replace(b"\x00", b"").lower()  # of UTF-16 too
    found = [(begin.find(mark), kind) for mark, kind in _KINDS.items() if mark in begin]
    kind = min(found)[1] if found else ""
    if kind == "tmx":
        memory = tmx.memory_of(file)
        return Document(file, kind, "", _of_memory(memory), "", memory.languages)
    if kind == "wmt":
        first = next(wmt_xml.documents(file), None)
        if first is None:
            raise UserError(f"{file} has no document (<doc>)")
        target = first.references[0].language if first.references else ""
        pair = (first.source.language, target)
        return Document(file, kind, "", pair if all(pair) else ("", ""), "", pair)
    if kind == "set":
        return _of_set(file, segments.head_of(file, encoding))
    return None


def _of_memory(memory: tmx.Memory) -> tuple[str, str]:
    """The direction that the header of a translation memory says, if it has two languages."""
    sources = [one for one in memory.languages if memory.source and speaks(one, memory.source)]
    others = [one for one in memory.languages if one not in sources]
    return (sources[0], others[0]) if len(sources) == len(others) == 1 else ("", "")


def _of_set(file: Path, head: segments.SetHead) -> Document | None:
    if head.kind == "tstset":  # what a system gave
        return None
    name = re.sub(r"\.(sgml?|xml)(\.gz)?$", "", file.name, flags=re.IGNORECASE)
    own = re.search(r"\.([a-z]{2,3}(?:[-_][A-Za-z]+)?)$", name)
    name = name[: own.start()] if own else name
    words = [word for word in re.split(r"[-_.]", name) if not _ROLE.fullmatch(word.lower())]
    of_source = head.kind == "srcset"
    # IWSLT's heads say "german", its names say "de"
    language = own[1] if own else (head.source if of_source else head.target)
    languages = (language, "") if of_source else ("", language)
    return Document(file, "set", ".".join(words), languages, head.kind, (language,))


class DocumentSides(NamedTuple):
    """The files of a test set, by language."""

    key: str
    sources: list[Document]
    targets: list[Document]


def grouped(found: Iterable[Document], source: str, target: str) -> list[DocumentSides]:
    """The sets of two languages, by what their names have in common.

    A folder may have a test set in both directions. Then those are taken that were translated in
    the direction that is asked for; else their references are translated.
    """
    groups: dict[str, DocumentSides] = {}
    for document in found:
        if document.kind != "set":
            continue
        group = groups.setdefault(document.key, DocumentSides(document.key, [], []))
        if document.is_in(source):
            group.sources.append(document)
        elif document.is_in(target):
            group.targets.append(document)
    found_in = [group for group in groups.values() if group.sources or group.targets]
    straight = [group for group in found_in if any(one.role == "srcset" for one in group.sources)]
    return straight or found_in


def read_sets(group: DocumentSides, encoding: str, split: str, notes: Notes) -> Iterator[Pair]:
    """The pairs of the sets of two languages; the segments of one document and number match.

    Raises:
        UserError: if a segment of one side is not in the other.
    """
    sides = _of_files(group.sources, encoding), _of_files(group.targets, encoding)
    files = group.sources[0].file, group.targets[0].file
    for at in (0, 1):
        mine, other, file, missing = sides[at], sides[1 - at], files[at], files[1 - at]
        for (document, number), (line, _) in mine.items():
            if (document, number) not in other:
                raise UserError(
                    f"{file}:{line}: the segment {number!r} of the document {document!r} is not "
                    f"in {missing}"
                )
    if not sides[0]:
        raise UserError(f"{files[0]} has no segments (<seg>)")
    for place, (line, sources) in sides[0].items():
        other_line, targets = sides[1][place]
        where = f"{files[0]}:{line}", f"{files[1]}:{other_line}"
        yield from pairs_of(sources, targets, split, where, notes)


def _of_files(
    files: Sequence[Document], encoding: str
) -> dict[tuple[str, str], tuple[int, list[str]]]:
    """The texts of each segment, in several sets or files, with the line of the first."""
    found: defaultdict[tuple[str, str], tuple[int, list[str]]]
    found = defaultdict(lambda: (0, []))
    for document in files:
        for line, name, number, text in segments.segments(document.file, encoding):
            first, texts = found[name, number]
            found[name, number] = first or line, [*texts, text]
    return dict(found)


def read_memory(
    file: Path, source: Named, target: Named, split: str, notes: Notes
) -> Iterator[Pair]:
    """The pairs of a translation memory, unit by unit.

    Raises:
        UserError: if no unit has both languages.
    """
    others: Counter[str] = Counter()
    some = False
    for number, unit in enumerate(tmx.units(file), start=1):
        sides: tuple[list[str], list[str]] = [], []
        for language, text, marked in unit:
            fits = [speaks(language, one.name) for one in (source, target)]
            if all(fits):  # of en and en-GB, it is the longer name
                fits = [len(source.name) > len(target.name), len(source.name) < len(target.name)]
            if not any(fits):
                others[language] += 1
                continue
            notes.counts["sentences had inline markup, which is left out"] += marked
            sides[fits[1]].append(text)
        lacking = [one.name for one, side in zip((source, target), sides, strict=True) if not side]
        if lacking:
            notes.counts[f"units without {' and '.join(lacking)} not used"] += 1
            continue
        some = True
        where = f"{file}: unit {number:,}"
        yield from pairs_of(*sides, split, (where, where), notes)
    notes.counts.update({f"sentences in {name} not used": count for name, count in others.items()})
    if not some:
        known = ", ".join(others) or "no other"
        raise UserError(
            f"{file}: no unit has both {source.name} and {target.name} (it has {known} too): "
            "choose its languages with --source and --target"
        )


def read_wmt(file: Path, source: Named, target: Named, split: str, notes: Notes) -> Iterator[Pair]:
    """The pairs of a test set in WMT's XML, with the references of all translators.

    Raises:
        UserError: if no segment has both languages.
    """
    some = False
    for document in wmt_xml.documents(file):
        if document.suite:  # sentences made to try something out; no part of the test set
            notes.counts["segments of test suites not used"] += len(document.source.segments)
            continue
        notes.counts["translations by systems (hyp) not used"] += document.outputs
        parts = [document.source, *document.references]
        sides = [
            [part for part in parts if speaks(part.language, one.name)] for one in (source, target)
        ]
        for number in dict.fromkeys(number for part in parts for number in part.segments):
            texts = [[p.segments[number] for p in side if p.segments.get(number)] for side in sides]
            if not all(texts):
                notes.counts[f"segments without {source.name} or {target.name} not used"] += 1
                continue
            some = True
            where = f"{file}: document {document.name}, segment {number}"
            yield from pairs_of(texts[0], texts[1], split, (where, where), notes)
    if not some:
        raise UserError(
            f"{file}: no segment in both {source.name} and {target.name}: choose its languages "
            "with --source and --target"
        )
