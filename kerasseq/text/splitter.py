"""Words of a treebank from raw text, in Python. :mod:`kerasseq.text.splitter_graph` is its twin.

A tagger is trained on a treebank's own words ("do", "n't", "Mr.", French "de le" for "du"), so raw
text has to be cut the same way. The cut is a rule with a few parameters and a table of the forms
that the rule gets wrong; both are learned from the training sentences. Case is kept, and nothing
is removed but blanks and controls.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path

from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.text.unicode_tables import MARK, WORD, regex_set

Piece = tuple[str, tuple[str, ...]]
"""A stretch of text, and the words it stands for: usually itself."""

ADDRESS = (
    r"(?:[A-Za-z][A-Za-z0-9+]{1,9}://|[Ww][Ww][Ww]\.).+"
    r"|(?:mailto:)?[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    r"|(?:[A-Za-z0-9-]+\.)+(?:com|edu|gov|net|org)(?:/.*)?"
)
"""A web or e-mail address, as Python's ``re`` and TensorFlow's RE2 both read it."""

BEFORE_ADDRESS, AFTER_ADDRESS = "([{<\"'“‘«", ")]}>\"'”’».,;:!?"
"""Marks around an address that do not belong to it."""

PEELS = sorted(
    ((before, after) for before in range(3) for after in range(5) if before + after <= 4), key=sum
)
"""How many marks are taken off the ends of a chunk, in this order, until it is a known form."""

CONTEXTS = {
    "letter-letter": (r"(?<!\d)", r"(?!\d)"),
    "letter-digit": (r"(?<!\d)", r"(?=\d)"),
    "digit-letter": (r"(?<=\d)", r"(?!\d)"),
    "digit-digit": (r"(?<=\d)", r"(?=\d)"),
}
"""What stands before and after a mark inside a word; all that is not a decimal digit is a letter.
The order is that of ``2 * digit before + digit after``."""

MAX_CLITIC = 8
"""Longest clitic, in characters."""

address_pattern = re.compile(ADDRESS)


@cache
def _sets(ascii_only: bool) -> tuple[str, str]:
    last = 0x7F if ascii_only else sys.maxunicode
    return regex_set(WORD, last), regex_set(MARK, last)


@cache
def _chunk_and_marks(ascii_only: bool) -> tuple[re.Pattern[str], re.Pattern[str]]:
    word, mark = _sets(ascii_only)
    return re.compile(f"[{word}{mark}]+"), re.compile(f"[{mark}]*")


def chunks(text: str) -> list[str]:
    """The NFC of a text, cut at blanks and controls; a lone surrogate counts as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    normal = unicodedata.normalize("NFC", text)
    return _chunk_and_marks(normal.isascii())[0].findall(normal)


def leading_marks(text: str) -> int:
    return _chunk_and_marks(text.isascii())[1].match(text).end()  # type: ignore[union-attr]


def is_clitic(text: str) -> bool:
    """Whether a word can be a clitic: short, with a mark and a letter."""
    marked = any(leading_marks(char) for char in text)
    return len(text) <= MAX_CLITIC and marked and any(map(str.isalpha, text))


@dataclass(frozen=True)
class WordSplitter:
    """Cuts raw text into words.

    A chunk between blanks stays together if it is a known form, perhaps after marks are taken off
    its ends, or an address. All else goes by the rule: a word is a run of letters, combining marks
    and digits, with joiners inside it; a mark is a word by itself, or a run of it, if it is in
    ``runs``. Off a word that is not a known form, the longest prefix and suffix are cut.

    Args:
        joiners: for :data:`CONTEXTS`, the marks that join what stands before and after them.
        runs: marks whose repetition is one word, as in "...".
        prefixes: beginnings that are words by themselves, as "l'".
        suffixes: endings that are words by themselves, as "n't".
        forms: what the rule gets wrong, and the words each stands for.

    Raises:
        ValueError: if a context is unknown, a joiner is not a mark, a clitic lacks a mark or a
            letter or is too long, or a word is empty, holds a blank or is not in NFC.

    >>> splitter = WordSplitter(forms={"du": ("de", "le"), "M.": ("M.",)}, prefixes=("l'",),
    ...                         joiners={"letter-letter": "'"})
    >>> splitter.split("(M. Petit vient du lac de l'Est.)")
    ['(', 'M.', 'Petit', 'vient', 'de', 'le', 'lac', 'de', "l'", 'Est', '.', ')']
    """

    joiners: dict[str, str] = field(default_factory=dict)
    runs: str = ""
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    forms: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := set(self.joiners) - set(CONTEXTS):
            raise ValueError(f"contexts must be among {list(CONTEXTS)}, got {sorted(unknown)}")
        marks = [*"".join(self.joiners.values()), *self.runs]
        if wrong := [mark for mark in marks if leading_marks(mark) == 0]:
            raise ValueError(f"joiners and runs must be marks, got {wrong}")
        if wrong := [text for text in (*self.prefixes, *self.suffixes) if not is_clitic(text)]:
            raise ValueError(f"clitics must be short and have a mark and a letter, got {wrong}")
        words = {*self.forms, *(word for words in self.forms.values() for word in words)}
        if wrong := [word for word in words if chunks(word) != [word]]:
            raise ValueError(f"words must be in NFC and without blanks, got {wrong[:5]}")
        if wrong := [form for form, words in self.forms.items() if not words]:
            raise ValueError(f"forms must stand for a word at least, got {wrong[:5]}")

    def split(self, text: str) -> list[str]:
        """The words of a text, in the spelling of NFC."""
        pieces = (piece for chunk in chunks(text) for piece in self.pieces(chunk))
        return [word for _, words in pieces for word in words]

    def pieces(self, chunk: str) -> list[Piece]:
        """The stretches of a chunk that stand for words of their own."""
        if chunk.isalpha():  # most of them; the rule would keep it together
            return [self._known(chunk)]
        first, last = self._whole(chunk)
        core = [self._known(chunk[first:last])] if first < last else []
        return [*self._rule(chunk[:first]), *core, *self._rule(chunk[last:])]

    def _known(self, form: str) -> Piece:
        return form, self.forms.get(form, (form,))

    def _whole(self, chunk: str) -> tuple[int, int]:
        """Begin and end of the part that stays together; equal if there is none."""
        leading, trailing = leading_marks(chunk[:2]), leading_marks(chunk[:-5:-1])
        for before, after in PEELS:
            last = len(chunk) - after
            if before <= leading and after <= trailing and chunk[before:last] in self.forms:
                return before, last
        inner = chunk.lstrip(BEFORE_ADDRESS)
        first, inner = len(chunk) - len(inner), inner.rstrip(AFTER_ADDRESS)
        return (first, first + len(inner)) if address_pattern.fullmatch(inner) else (0, 0)

    @cached_property
    def _rules(self) -> dict[bool, re.Pattern[str]]:
        """The rule as a pattern, by whether the text is ASCII (which is several times as fast)."""

        def pattern(ascii_only: bool) -> re.Pattern[str]:
            word, mark = _sets(ascii_only)
            joiners = "|".join(
                f"{before}[{re.escape(self.joiners[name])}]{after}"
                for name, (before, after) in CONTEXTS.items()
                if self.joiners.get(name)
            )
            inner = f"(?:(?:{joiners})[{word}]++)*+" if joiners else ""
            runs = rf"([{re.escape(self.runs)}])\1*+|" if self.runs else ""
            return re.compile(f"[{word}]++{inner}|{runs}[{mark}]")

        return {True: pattern(True), False: pattern(False)}

    def _rule(self, text: str) -> Iterator[Piece]:
        for match in self._rules[text.isascii()].finditer(text):
            yield from self._word(match[0])

    def _word(self, word: str) -> Iterator[Piece]:
        if word not in self.forms and (cut := _longest(word, self._prefixes, head=True)):
            yield word[:cut], (word[:cut],)
            word = word[cut:]
        cut = 0 if word in self.forms else _longest(word, self._suffixes, head=False)
        yield self._known(word[: len(word) - cut])
        if cut:
            yield word[-cut:], (word[-cut:],)

    @cached_property
    def _prefixes(self) -> frozenset[str]:
        return frozenset(self.prefixes)

    @cached_property
    def _suffixes(self) -> frozenset[str]:
        return frozenset(self.suffixes)

    def save(self, path: Path) -> None:
        """Writes JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> WordSplitter:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: if the file is missing or is not a word splitter.
        """
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            forms = {form: tuple(words) for form, words in read.pop("forms").items()}
            prefixes, suffixes = tuple(read.pop("prefixes")), tuple(read.pop("suffixes"))
            return cls(prefixes=prefixes, suffixes=suffixes, forms=forms, **read)
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise UserError(f"{path} is not a word splitter: {error}") from None


def _longest(word: str, clitics: frozenset[str], head: bool) -> int:
    """Length of the longest clitic at an end of a word, which must not be all of the word."""
    if clitics and not word.isalnum():
        for length in range(min(MAX_CLITIC, len(word) - 1), 0, -1):
            if (word[:length] if head else word[-length:]) in clitics:
                return length
    return 0
