"""Running text for language models: from a file or folder, cut into splits by position."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kerasseq.data.reading import SPLIT_NAMES, decode, open_lines, split_files
from kerasseq.errors import UserError

_SUFFIXES = (".txt", ".tokens", ".raw", ".text")
_ORDER = ("all", "train", "validation", "test")
_SHOWN = 5
_HEADER = re.compile(
    r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]{0,300}\*\*\*[^\n]*\n?", re.MULTILINE
)
_FOOTER = re.compile(
    r"^(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?i:the |this )?Project Gutenberg)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class TextCorpus:
    """Texts by split (``train``, ``validation``, ``test``; or ``all`` if it is to be cut)."""

    source: str
    splits: dict[str, str]
    """The whole text of each; a line ends with ``\\n``."""
    notes: list[str] = field(default_factory=list)
    """What was done to the texts, for the report."""


def read_text(path: Path, encoding: str) -> TextCorpus:
    """Reads running text from a file or folder.

    A header and footer of Project Gutenberg is left out, CRLF becomes a line feed, and a byte
    order mark goes; otherwise the text is as it came.

    Args:
        path: a text file of any name (also ``.gz``); a folder with ``train`` and maybe ``valid``
            and ``test`` in its files' names (``ptb.train.txt``, ``wiki.valid.tokens.gz``); or a
            folder of books (``.txt``, ``.tokens``, ``.raw`` or ``.text``, also ``.gz``), which
            are joined in the order of their names.
        encoding: of the files.

    Returns:
        The splits that the source has; a file alone and books are the split ``all``.

    Raises:
        UserError: if the path is missing, damaged, empty or no text, or if it cannot be told which
            file is which split.
    """
    try:
        if path.is_dir():
            return _read_folder(path, encoding)
        if not path.exists():
            raise UserError(f"{path} does not exist")
        notes: list[str] = []
        return TextCorpus(str(path), {"all": _read_file(path, encoding, notes)}, notes)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def cut_text(
    corpus: TextCorpus, validation: float, test: float, unit: Literal["lines", "characters"]
) -> TextCorpus:
    """Completes a corpus to train, validation and, if there is one, test.

    One text is cut by position: its end is the test split, what stands before that validation,
    and the rest train. Validation begins at ``int(n * (1 - test - validation))`` of the text's
    ``n`` characters, test at ``int(n * (1 - test))``. Splits that the source has stay what they
    are, but validation is cut from the end of train if it is missing.

    Args:
        corpus: with the splits its source has.
        validation: share of the validation split.
        test: share of the test split, of one text; with 0 there is none.
        unit: ``characters`` cuts exactly there; ``lines`` after the next line end, or after the
            next blank if the text is one line.

    Raises:
        UserError: if nothing is left for a split.
    """
    splits, notes = dict(corpus.splits), list(corpus.notes)
    if "all" in splits:
        shares = {"validation": validation} | ({"test": test} if test else {})
        whole, name = splits.pop("all"), "the text"
    else:
        shares = {} if "validation" in splits else {"validation": validation}
        whole, name = splits["train"], "train"
    if shares:
        kept, places = 1.0, []
        for share in reversed(shares.values()):
            kept -= share
            places.append(_place(whole, max(0, int(len(whole) * kept)), unit))
        begins = [0, *reversed(places)]
        for part, begin, end in zip(
            ("train", *shares), begins, [*begins[1:], len(whole)], strict=True
        ):
            splits[part] = whole[begin:end]
        cuts = ", ".join(f"{share:.3g} {part}" for part, share in shares.items())
        notes.append(f"cut from the end of {name}, by position: {cuts} (shares of its characters)")
    for part, text in splits.items():
        if not text or text.isspace():
            raise UserError(
                f"{corpus.source}: no text is left for the {part} split ({len(whole):,} "
                f"characters, validation {validation:g}, test {test:g})"
            )
    if "test" not in splits:
        notes.append("there is no test split")
    return TextCorpus(
        corpus.source, {part: splits[part] for part in _ORDER if part in splits}, notes
    )


def _place(text: str, at: int, unit: str) -> int:
    """Where to cut: at a position, or at the first line start that does not stand before it."""
    if unit == "characters" or at == 0:
        return at
    if text.find("\n", 0, len(text) - 1) >= 0:
        return text.find("\n", at - 1) + 1 or len(text)
    blank = re.compile(r"\s").search(text, at - 1)
    return blank.end() if blank else len(text)


def _read_folder(path: Path, encoding: str) -> TextCorpus:
    files = sorted(
        file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
    )
    chosen = split_files(
        path,
        filter(_may_be_split, files),
        lambda name: re.split(r"[._-]+", name),  # not at blanks: books have titles
    )
    texts = [file for file in files if _suffix(file) in _SUFFIXES]
    notes: list[str] = []
    if chosen:
        if "train" not in chosen:
            split, file = next(iter(chosen.items()))
            raise UserError(
                f"{path}: {file.name} is taken for the {split} split, but no text file has train "
                "in its name"
            )
        left_out = [file for file in texts if file not in chosen.values()]
        if left_out and len(chosen) == 1:
            raise UserError(
                f"{path}: {chosen['train'].name} is taken for the train split by its name, and the "
                f"other texts for none ({_names(left_out)}): if they are books, rename the first; "
                "if not, name them as valid or test, or leave them out"
            )
        if left_out:
            notes.append(f"left out, being no split by their names: {_names(left_out)}")
        splits = {
            split: _read_file(chosen[split], encoding, notes) for split in _ORDER if split in chosen
        }
        return TextCorpus(str(path), splits, notes)
    if not texts:
        raise UserError(f"{path}: no text file ({', '.join(_SUFFIXES)}, or .gz of one)")
    notes.append(f"{len(texts):,} files joined: {_names(texts)}")
    books = (_read_file(file, encoding, notes) for file in texts)
    whole = "".join(book if book.endswith("\n") else book + "\n" for book in books)
    return TextCorpus(str(path), {"all": whole}, notes)


def _names(files: list[Path]) -> str:
    more = [f"{len(files) - _SHOWN:,} more"] if len(files) > _SHOWN else []
    return ", ".join([file.name for file in files[:_SHOWN]] + more)


def _suffix(file: Path) -> str:
    """The suffix, looking through ``.gz``."""
    return Path(file.name.removesuffix(".gz")).suffix


def _may_be_split(file: Path) -> bool:
    """Whether it is a text file by its suffix: ``ptb.valid.txt.gz``, ``wiki.valid``, ``valid``."""
    suffix = _suffix(file)
    return not suffix or suffix in _SUFFIXES or suffix[1:] in SPLIT_NAMES


def _read_file(path: Path, encoding: str, notes: list[str]) -> str:
    """The text of a file; what is left out of it is added to the notes."""
    with open_lines(path) as stream:
        text = decode(stream.read(), encoding, str(path))
    if (place := text.find("\0")) >= 0:
        raise UserError(
            f"{path} is not a text file: NUL character at offset {place}; if it is in another "
            "encoding, give it with --encoding"
        )
    text = text.replace("\r\n", "\n")
    if not text or text.isspace():
        raise UserError(f"{path} is empty")
    read = len(text)
    text = _without_gutenberg(text)
    if text.isspace():
        raise UserError(f"{path} has no text but the header and footer of Project Gutenberg")
    if len(text) < read:
        notes.append(
            f"{path.name}: header and footer of Project Gutenberg left out "
            f"({read - len(text):,} of {read:,} characters)"
        )
    return text


def _without_gutenberg(text: str) -> str:
    """What stands between a header and a footer, for every book in the text."""
    if "PROJECT GUTENBERG" not in text and "Project Gutenberg" not in text:
        return text  # much faster than the patterns
    header = _HEADER.search(text)
    begin = header.end() if header else 0
    books = []
    while True:
        footer = _FOOTER.search(text, begin)
        books.append(text[begin : footer.start() if footer else len(text)])
        header = _HEADER.search(text, footer.end()) if footer else None
        if header is None:
            break
        begin = header.end()
    if len(books) == 1 and len(books[0]) == len(text):
        return text
    return "".join(book.strip("\n") + "\n" for book in books)
