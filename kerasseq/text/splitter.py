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
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Protocol

from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.text.tokenizer import APOSTROPHES
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

MAX_CLITIC, MAX_FORM = 8, 64
"""Longest clitic and longest form that are learned, in characters."""

BRACKETS = "()[]{}<>"
"""Marks that never join, since they come in pairs."""

MIN_COUNT = 3
"""How often a clitic must be seen, and how much more often a joiner must join than not."""

_address = re.compile(ADDRESS)


class Sentence(Protocol):
    """What is needed of a training sentence (:class:`kerasseq.data.tagged.TaggedSentence`)."""

    @property
    def words(self) -> list[str]: ...

    @property
    def multiword(self) -> list[tuple[int, int, str]]: ...

    @property
    def text(self) -> str | None: ...


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


def _leading_marks(text: str) -> int:
    return _chunk_and_marks(text.isascii())[1].match(text).end()  # type: ignore[union-attr]


def is_clitic(text: str) -> bool:
    """Whether a word can be a clitic: short, with a mark and a letter."""
    marked = any(_leading_marks(char) for char in text)
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
        if wrong := [mark for mark in marks if _leading_marks(mark) == 0]:
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
        leading, trailing = _leading_marks(chunk[:2]), _leading_marks(chunk[:-5:-1])
        for before, after in PEELS:
            last = len(chunk) - after
            if before <= leading and after <= trailing and chunk[before:last] in self.forms:
                return before, last
        inner = chunk.lstrip(BEFORE_ADDRESS)
        first, inner = len(chunk) - len(inner), inner.rstrip(AFTER_ADDRESS)
        return (first, first + len(inner)) if _address.fullmatch(inner) else (0, 0)

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

    @classmethod
    def learn(cls, sentences: Iterable[Sentence], max_forms: int = 20_000) -> WordSplitter:
        """Learns from training sentences; those with their text teach more than those without.

        Args:
            sentences: words, multi-word tokens and, if known, the text they were written in.
            max_forms: most forms kept, the frequent ones first.
        """
        seen = Counter(aligned for sentence in sentences for aligned in _aligned(sentence))
        splitter = cls(*_learn_marks(seen))
        clitics = _learn_clitics(splitter, seen)
        splitter = replace(splitter, prefixes=clitics["prefixes"], suffixes=clitics["suffixes"])
        return replace(splitter, forms=_learn_forms(splitter, seen, max_forms))

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


Aligned = tuple[str, tuple[Piece, ...]]
"""A chunk of a training text, and the pieces that it should be cut into."""


def _tokens(sentence: Sentence) -> Iterator[Piece]:
    """Surface tokens with their words, in the spelling of the texts' chunks."""
    spans = {first: (last, surface) for first, last, surface in sentence.multiword}
    position = 0
    while position < len(sentence.words):
        last, surface = spans.get(position, (position, sentence.words[position]))
        words = ("".join(chunks(word)) for word in sentence.words[position : last + 1])
        yield "".join(chunks(surface)), tuple(word for word in words if word)
        position = last + 1


def _touches(left: str, right: str) -> bool:
    """A guess at whether two tokens were written without a blank between them."""
    closes = right[0] in ".,;:!?%…" or unicodedata.category(right[0]) in ("Pe", "Pf")
    clitic = right[0] in APOSTROPHES or (len(right) == 3 and right[1] in APOSTROPHES)
    opens = left[-1] in "$£€#" or unicodedata.category(left[-1]) in ("Ps", "Pi")
    return closes or clitic or opens or (len(left) > 1 and left[-1] in APOSTROPHES)


def _aligned(sentence: Sentence) -> Iterator[Aligned]:
    """The chunks of a sentence that consist of whole tokens, each with its tokens."""
    tokens = [token for token in _tokens(sentence) if token[0] and token[1]]
    text = sentence.text
    if text is None:
        pairs = pairwise(surface for surface, _ in tokens)
        blanks = ("" if _touches(left, right) else " " for left, right in pairs)
        text = "".join(surface + next(blanks, "") for surface, _ in tokens)
    # a multi-word token that is spelled by its words is as good as words without blanks
    parted = (
        [(word, (word,)) for word in words] if "".join(words) == surface else [(surface, words)]
        for surface, words in tokens
    )
    units = chain.from_iterable(parted)
    length = 0
    for chunk in chunks(text):
        inside: list[Piece] = []
        while length < len(chunk):
            if (unit := next(units, None)) is None:
                return
            inside.append(unit)
            length += len(unit[0])
        if length == len(chunk) and _spelled(inside) == chunk:
            yield chunk, tuple(inside)
        length -= len(chunk)  # a token may have a blank inside it, as in "10 000"


def _learn_marks(seen: Counter[Aligned]) -> tuple[dict[str, str], str]:
    """The marks that join more often than they are cut off, and those whose runs are one word."""
    joined = Counter({(name, mark): MIN_COUNT for name in CONTEXTS for mark in APOSTROPHES})
    joined.update({("digit-digit", mark): MIN_COUNT for mark in ".,:/-"})
    runs: Counter[str] = Counter()
    names = list(CONTEXTS)
    for (chunk, units), count in seen.items():
        if chunk.isalnum() or _address.fullmatch(chunk.strip(BEFORE_ADDRESS + AFTER_ADDRESS)):
            continue
        cuts = set(accumulate(len(surface) for surface, _ in units))
        marks = [_leading_marks(char) > 0 for char in chunk]
        for i in (i for i in range(1, len(chunk)) if marks[i]):
            if chunk[i - 1] == chunk[i]:
                runs[chunk[i]] += -count if i in cuts else count
            elif chunk[i] not in BRACKETS and chunk[i + 1 :] and not (marks[i - 1] or marks[i + 1]):
                name = names[2 * chunk[i - 1].isdecimal() + chunk[i + 1].isdecimal()]
                # a cut on one side only is a clitic's: "l'|an", "dit|-il"
                joined[name, chunk[i]] += -count if {i, i + 1} <= cuts else count
    joiners = {
        name: "".join(sorted(m for (of, m), n in joined.items() if of == name and n >= MIN_COUNT))
        for name in CONTEXTS
    }
    return joiners, "".join(sorted(mark for mark, count in runs.items() if count > 0))


def _segments(
    pieces: Sequence[Piece], units: Sequence[Piece]
) -> Iterator[tuple[list[Piece], list[Piece]]]:
    """The smallest stretches of a chunk that begin and end where both cuts have a boundary."""
    left, right = list(reversed(pieces)), list(reversed(units))
    while left:
        ours, theirs = [left.pop()], [right.pop()]
        ahead = len(ours[0][0]) - len(theirs[0][0])
        while ahead:
            if ahead < 0:
                ours.append(left.pop())
                ahead += len(ours[-1][0])
            else:
                theirs.append(right.pop())
                ahead -= len(theirs[-1][0])
        yield ours, theirs


def _spelled(pieces: Iterable[Piece]) -> str:
    return "".join(surface for surface, _ in pieces)


def _words(pieces: Iterable[Piece]) -> tuple[str, ...]:
    return tuple(word for _, words in pieces for word in words)


def _learn_clitics(splitter: WordSplitter, seen: Counter[Aligned]) -> dict[str, tuple[str, ...]]:
    """Ends of words that are cut off at least :data:`MIN_COUNT` times, and more often than not."""

    def plain(text: str) -> str:
        return text.lower().replace("’", "'")

    votes: dict[str, Counter[str]] = {"prefixes": Counter(), "suffixes": Counter()}
    against: dict[str, Counter[str]] = {"prefixes": Counter(), "suffixes": Counter()}
    for (chunk, units), count in seen.items():
        if chunk.isalnum():
            continue
        for ours, theirs in _segments(splitter.pieces(chunk), units):
            word = plain(_spelled(ours))
            if len(ours) == 1 and len(theirs) > 1:
                head, tail = plain(theirs[0][0]), plain(theirs[-1][0])
                if not head[-1].isalnum():  # "l'"
                    votes["prefixes"][head] += count
                if not tail[:2].isalnum():  # "'s", "n't", "-il"
                    votes["suffixes"][tail] += count
            elif len(theirs) == 1 and not word.isalnum():
                for length in range(1, min(MAX_CLITIC, len(word) - 1) + 1):
                    against["prefixes"][word[:length]] += count
                    against["suffixes"][word[-length:]] += count
    learned = {}
    for end, counts in votes.items():
        often = (text for text, n in counts.items() if n >= MIN_COUNT and n > against[end][text])
        spellings = (spelling for text in often for spelling in (text, text.replace("'", "’")))
        cases = {
            case(text) for text in spellings for case in (str.lower, str.capitalize, str.upper)
        }
        learned[end] = tuple(sorted(filter(is_clitic, cases)))
    return learned


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _learn_forms(
    splitter: WordSplitter, seen: Counter[Aligned], max_forms: int
) -> dict[str, tuple[str, ...]]:
    """The stretches that the rule cuts wrongly, if a table of them is right more often than not."""
    found: dict[str, Counter[tuple[str, ...]]] = {}
    for (chunk, units), count in seen.items():
        for ours, theirs in _segments(splitter.pieces(chunk), units):
            if _words(ours) != _words(theirs) and len(_spelled(ours)) <= MAX_FORM:
                found.setdefault(_spelled(ours), Counter())[_words(theirs)] += count
    forms = {form: max(words, key=lambda w: (words[w], w)) for form, words in found.items()}
    for form, words in list(forms.items()):  # as at the begin of a sentence, and in headings
        forms.setdefault(_capital(form), (_capital(words[0]), *words[1:]))
        forms.setdefault(form.upper(), tuple(map(str.upper, words)))
    forms = {f: w for f, w in forms.items() if all(chunks(text) == [text] for text in (f, *w))}

    right: Counter[str] = Counter()
    with_forms = replace(splitter, forms=forms)
    for (chunk, units), count in seen.items():
        for ours, theirs in _segments(with_forms.pieces(chunk), units):
            gain = count if _words(ours) == _words(theirs) else -count
            right.update({form: gain for form, _ in ours if form in forms})
    kept = [form for form in forms if right[form] > 0 or form not in right]
    kept.sort(key=lambda form: (-right[form], form))
    return {form: forms[form] for form in kept[:max_forms]}
