"""Corpora of tagged sentences from files: CoNLL-U, columns, tables, and the Brown corpus."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from kerasseq.data.corpus import WHOLE, Corpus, ordered
from kerasseq.data.delimited import TableFormat
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.folders import (
    files_in,
    is_archive,
    single_files,
    split_files,
    split_of,
    stem,
    suffix,
    unused_notes,
)
from kerasseq.data.layouts import FREE, Asked
from kerasseq.data.reading import archive_files, decoded_lines, open_lines, reader, text_lines
from kerasseq.data.slashed import parse_slashed, simplify_brown
from kerasseq.data.tagged_files import CONLLU, SUFFIXES, TaggedReader, check_free_word
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.iob import iob2, is_iob
from kerasseq.tasks.tagging.tables import TableReader, is_tagged_table, table_corpus

_BROWN_FILE = re.compile(r"c[a-r][0-9]{2}")


@reader
def read_path(
    path: Path,
    encoding: str,
    asked: Asked = FREE,
    form: TableFormat = TableFormat(),  # noqa: B008 (a constant)
) -> Corpus[TaggedSentence]:
    """Reads tagged sentences from a file or folder in one of the known formats.

    Args:
        path: a ``.conllu`` file, a table, or any other whose first lines tell the format (each also
            ``.gz``); a folder of them with ``train`` and maybe ``dev`` and ``test`` in their names;
            or the Brown corpus, unpacked or as ``.tar.gz``.
        encoding: of text files.
        asked: columns that the settings name.
        form: of delimited tables.

    Returns:
        The splits that the source has; a file alone and the Brown corpus are the split ``all``.

    Raises:
        UserError: if the path is missing, damaged, or in no known format.
    """
    tables = TableReader(asked, encoding, form)
    if path.is_dir():
        return _read_folder(path, encoding, asked, tables)
    if is_tagged_table(path, form) and (corpus := table_corpus(path, tables)):
        return corpus
    _check_no_table(path, asked, form)
    if is_archive(path):
        check_free_word(asked, f"{path}: the files of the Brown corpus")
        return _read_brown_archive(path, encoding)
    if _BROWN_FILE.fullmatch(path.name):
        check_free_word(asked, f"{path}: the files of the Brown corpus")
        return _brown_corpus(str(path), _brown_files([path]), encoding)
    return _corpus(path, {WHOLE: path}, encoding, asked)


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
            numbers = [name for name in present if name.isdigit()]
            cure = f": --column {numbers[-1]} takes what has no name" if numbers else ""
            raise UserError(
                f"{corpus.source} has no column {column!r}{where}; it has "
                f"{', '.join(present) or 'none'} (the setting column chooses{cure})"
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
    names = dict.fromkeys(name for sentence in sentences for name in sentence.columns)
    blank = [
        name
        for name in names
        if all(set(sentence.columns.get(name, ())) <= {"_"} for sentence in sentences)
    ]
    if not blank:
        return corpus

    def kept(sentence: TaggedSentence) -> TaggedSentence:
        columns = {name: tags for name, tags in sentence.columns.items() if name not in blank}
        return replace(sentence, columns=columns)

    splits = {split: [kept(sentence) for sentence in part] for split, part in corpus.splits.items()}
    notes = [f"column {name} is left out: every value is _" for name in blank]
    return Corpus(corpus.source, splits, [*corpus.notes, *notes])


def _check_no_table(path: Path, asked: Asked, form: TableFormat) -> None:
    """Raises:
    UserError: if something is said that only tables have.
    """
    form.refuse(path)
    if asked.sentence:
        raise UserError(f"{path} is no table: an empty line ends a sentence, not --sentence_column")


def _read_folder(
    path: Path, encoding: str, asked: Asked, tables: TableReader
) -> Corpus[TaggedSentence]:
    files = files_in(path)
    brown = [file for file in files if _BROWN_FILE.fullmatch(file.name)]
    if brown:
        _check_no_table(path, asked, tables.form)
        check_free_word(asked, f"{path}: the files of the Brown corpus")
        return _brown_corpus(str(path), _brown_files(brown), encoding)
    if any(suffix(file) in CONLLU for file in files):
        # releases of Universal Dependencies have the raw text beside it, as .txt
        files = [file for file in files if suffix(file) in CONLLU]
    chosen = single_files(split_files(path, filter(_may_be_tagged, files)))
    if not chosen:
        if corpus := table_corpus(path, tables):
            return corpus
        raise UserError(
            f"{path}: no {', '.join(SUFFIXES)} file (or .gz of one), and no table, with train, dev "
            "or test in its name, and no file of the Brown corpus (ca01 ... cr09)"
        )
    _check_no_table(path, asked, tables.form)
    corpus = _corpus(path, chosen, encoding, asked)
    return replace(corpus, notes=[*corpus.notes, *unused_notes(path, chosen.values())])


def _may_be_tagged(file: Path) -> bool:
    """Whether a file of a folder is taken: by its suffix, or by a split as in ``esp.train``."""
    last = suffix(file).removeprefix(".") or stem(file)
    return suffix(file) in SUFFIXES or split_of(last) is not None


def _corpus(
    source: Path, files: dict[str, Path], encoding: str, asked: Asked
) -> Corpus[TaggedSentence]:
    tagged = TaggedReader(asked)
    splits = {
        split: list(read_file(file, encoding, tagged)) for split, file in ordered(files).items()
    }
    return without_blank_columns(Corpus(str(source), splits, tagged.notes.lines()))


def read_file(path: Path, encoding: str, tagged: TaggedReader) -> Iterator[TaggedSentence]:
    """The sentences of a file, one by one.

    Raises:
        UserError: if there is none, or a line is not of the file's format.
    """
    sentence = None
    for sentence in tagged.read(text_lines(path, encoding, tagged.notes), str(path), suffix(path)):
        yield sentence
    if sentence is None:
        raise UserError(f"{path} has no sentence")


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
