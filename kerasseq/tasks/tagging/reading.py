"""Corpora of tagged sentences from files: CoNLL-U, columns, and the Brown corpus."""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from kerasseq.data import conllu
from kerasseq.data.columns import (
    LAYOUTS,
    parse_columns,
    parse_slashed,
    simplify_brown,
    split_blanks,
)
from kerasseq.data.corpus import WHOLE, Corpus, ordered
from kerasseq.data.examples import COLUMNS, TaggedSentence
from kerasseq.data.folders import (
    files_in,
    is_archive,
    single_files,
    split_files,
    suffix,
    unused_notes,
)
from kerasseq.data.reading import archive_files, decoded_lines, open_lines, reader, text_lines
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.iob import iob2, is_iob

Parser = Callable[[Iterable[str], str], Iterator[TaggedSentence]]

_SUFFIXES = (".conllu", ".txt", ".conll", ".tsv", ".pos")
_BROWN_FILE = re.compile(r"c[a-r][0-9]{2}")
_FORMATS = (
    "CoNLL-U (10 columns, separated by tabs), WORD TAG, WORD POS CHUNK or WORD POS CHUNK ENTITY "
    "(a token a line), word/tag word/tag (a sentence a line)"
)
# in CoNLL-U alone; a CoNLL-2000 file may begin with the token "#"
_COMMENT = re.compile(r"#\s*(?:newdoc|newpar|[\w.:]+(?:\s+\w+)?\s*=\s)")
_SLASHED = re.compile(r".+/[^/]+")


@reader
def read_path(path: Path, encoding: str) -> Corpus[TaggedSentence]:
    """Reads tagged sentences from a file or folder in one of the known layouts.

    Args:
        path: a ``.conllu`` file, or a ``.txt``, ``.conll``, ``.tsv`` or ``.pos`` file whose first
            line tells the format (each also ``.gz``); a folder of them with ``train`` and maybe
            ``dev`` and ``test`` in their names; or the Brown corpus, unpacked or as ``.tar.gz``.
        encoding: of text files.

    Returns:
        The splits that the source has; a file alone and the Brown corpus are the split ``all``.

    Raises:
        UserError: if the path is missing, damaged, or in no known layout.
    """
    if path.is_dir():
        return _read_folder(path, encoding)
    if is_archive(path):
        return _read_brown_archive(path, encoding)
    if _BROWN_FILE.fullmatch(path.name):
        return _brown_corpus(str(path), _brown_files([path]), encoding)
    if suffix(path) in _SUFFIXES:
        return _corpus(path, {WHOLE: path}, encoding)
    raise UserError(f"{path}: not a {', '.join(_SUFFIXES)} file (or .gz of one), nor a .tar.gz")


def with_column(corpus: Corpus[TaggedSentence], column: str) -> Corpus[TaggedSentence]:
    """The corpus, made sure to have a column of tags; IOB1 tags become IOB2.

    Raises:
        UserError: if a split lacks the column.
    """
    columns = {split: part[0].columns for split, part in corpus.splits.items() if part}
    for split, present in columns.items():
        if column not in present:
            some = any(column in others for others in columns.values())
            where = f" in its {split} split" if some else ""
            raise UserError(
                f"{corpus.source} has no column {column!r}{where}; it has "
                f"{', '.join(present) or 'none'} (the setting column chooses)"
            )
    sentences = itertools.chain.from_iterable(corpus.splits.values())
    if not is_iob({tag for sentence in sentences for tag in sentence.columns[column]}):
        return corpus
    changed = 0
    splits: dict[str, list[TaggedSentence]] = {}
    for split, part in corpus.splits.items():
        splits[split] = []
        for sentence in part:
            tags = iob2(sentence.columns[column])
            changed += sum(a != b for a, b in zip(tags, sentence.columns[column], strict=True))
            splits[split].append(replace(sentence, columns={**sentence.columns, column: tags}))
    if not changed:
        return corpus
    note = f"{changed:,} IOB1 tags written as IOB2"
    return Corpus(corpus.source, splits, [*corpus.notes, note])


def without_blank_columns(corpus: Corpus[TaggedSentence]) -> Corpus[TaggedSentence]:
    """The corpus without the columns in which every value is ``_``, which its notes name."""
    sentences = list(itertools.chain.from_iterable(corpus.splits.values()))
    blank = [
        name
        for name in COLUMNS
        if any(name in sentence.columns for sentence in sentences)
        and all(set(sentence.columns.get(name, ())) <= {"_"} for sentence in sentences)
    ]
    if not blank:
        return corpus

    def kept(sentence: TaggedSentence) -> TaggedSentence:
        columns = {name: tags for name, tags in sentence.columns.items() if name not in blank}
        return replace(sentence, columns=columns)

    splits = {split: [kept(sentence) for sentence in part] for split, part in corpus.splits.items()}
    notes = [f"column {name} is left out: every value is _" for name in blank]
    return Corpus(corpus.source, splits, [*corpus.notes, *notes])


def _read_folder(path: Path, encoding: str) -> Corpus[TaggedSentence]:
    files = files_in(path)
    brown = [file for file in files if _BROWN_FILE.fullmatch(file.name)]
    if brown:
        return _brown_corpus(str(path), _brown_files(brown), encoding)
    if any(suffix(file) == ".conllu" for file in files):
        # releases of Universal Dependencies have the raw text beside it, as .txt
        files = [file for file in files if suffix(file) == ".conllu"]
    chosen = single_files(split_files(path, (file for file in files if suffix(file) in _SUFFIXES)))
    if not chosen:
        raise UserError(
            f"{path}: no {', '.join(_SUFFIXES)} file (or .gz of one) with train, dev or test in "
            "its name, and no file of the Brown corpus (ca01 ... cr09)"
        )
    corpus = _corpus(path, chosen, encoding)
    return replace(corpus, notes=[*corpus.notes, *unused_notes(path, chosen.values())])


def _corpus(source: Path, files: dict[str, Path], encoding: str) -> Corpus[TaggedSentence]:
    skipped: Counter[str] = Counter()
    splits = {
        split: list(read_file(file, encoding, skipped)) for split, file in ordered(files).items()
    }
    notes = [f"{count:,} {what}" for what, count in skipped.items() if count]
    return without_blank_columns(Corpus(str(source), splits, notes))


def read_file(path: Path, encoding: str, skipped: Counter[str]) -> Iterator[TaggedSentence]:
    """The sentences of a file, one by one; what is skipped is counted.

    Raises:
        UserError: if there is none, or a line is not of the file's format.
    """

    def parse_conllu(lines: Iterable[str], where: str) -> Iterator[TaggedSentence]:
        for sentence in conllu.parse(lines, where):
            skipped["multi-word tokens skipped (their words are kept)"] += len(sentence.multiword)
            skipped["empty nodes skipped"] += sentence.empty_nodes
            yield sentence.tagged()

    lines: Iterator[str] = text_lines(path, encoding)
    parser: Parser = parse_conllu
    if suffix(path) != ".conllu":
        parser, lines = _sniffed(lines, str(path), parse_conllu)
    sentence = None
    for sentence in parser(lines, str(path)):
        yield sentence
    if sentence is None:
        raise UserError(f"{path} has no sentence")


def _sniffed(
    lines: Iterator[str], where: str, parse_conllu: Parser
) -> tuple[Parser, Iterator[str]]:
    """The parser for what the first line with a token looks like, and all lines."""
    seen: list[str] = []
    for line in lines:
        seen.append(line)
        fields = split_blanks(line)
        if not fields or fields[0] == "-DOCSTART-" or _COMMENT.match(line):
            continue
        if line.count("\t") == conllu.FIELDS - 1:
            parser = parse_conllu
        elif all(_SLASHED.fullmatch(field) for field in fields):
            parser = parse_slashed
        elif len(fields) in LAYOUTS:
            parser = parse_columns
        elif len(fields) == conllu.FIELDS and fields[0][0].isdigit():
            parser = parse_conllu  # blanks took the place of tabs
        else:
            raise UserError(
                f"{where}:{len(seen)}: {len(fields)} columns, which is none of the formats known: "
                f"{_FORMATS}"
            )
        return parser, itertools.chain(seen, lines)
    raise UserError(f"{where} has no sentence")


def _brown_files(files: list[Path]) -> Iterator[tuple[str, list[bytes]]]:
    for file in files:
        with open_lines(file) as stream:
            yield str(file), list(stream)


def _read_brown_archive(path: Path, encoding: str) -> Corpus[TaggedSentence]:
    """Reads the Brown corpus from its archive."""

    def wanted(name: PurePosixPath) -> bool:
        return bool(_BROWN_FILE.fullmatch(name.name))

    files = (
        (f"{path}: {name}", list(io.BytesIO(content)))
        for name, content in archive_files(path, wanted)
    )
    return _brown_corpus(str(path), files, encoding)


def _brown_corpus(
    source: str, files: Iterator[tuple[str, list[bytes]]], encoding: str
) -> Corpus[TaggedSentence]:
    simplified = lru_cache(maxsize=4096)(simplify_brown)
    sentences: list[TaggedSentence] = []
    published: set[str] = set()
    for where, lines in files:
        for sentence in parse_slashed(decoded_lines(lines, encoding, where), where):
            tags = sentence.columns["xpos"]
            published.update(tags)
            sentences.append(replace(sentence, columns={"xpos": [simplified(t) for t in tags]}))
    if not sentences:
        raise UserError(f"{source}: no sentence of the Brown corpus (files ca01 ... cr09)")
    left = {simplified(tag) for tag in published}
    note = f"tags without FW-, -HL, -TL and -NC: {len(left):,} of {len(published):,} are left"
    return Corpus(f"{source} (Brown corpus)", {WHOLE: sentences}, [note])
