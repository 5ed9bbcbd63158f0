"""What a :class:`~kerasseq.text.splitter.WordSplitter` knows, learned from training sentences."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, pairwise
from typing import Protocol

from kerasseq.text.splitter import (
    AFTER_ADDRESS,
    BEFORE_ADDRESS,
    CONTEXTS,
    MAX_CLITIC,
    Piece,
    WordSplitter,
    address_pattern,
    chunks,
    is_clitic,
    leading_marks,
)
from kerasseq.text.tokenizer import APOSTROPHES

MAX_FORM = 64
"""Longest form that is learned, in characters."""

BRACKETS = "()[]{}<>"
"""Marks that never join, since they come in pairs."""

MIN_COUNT = 3
"""How often a clitic must be seen, and how much more often a joiner must join than not."""


class Sentence(Protocol):
    """What is needed of a training sentence (:class:`kerasseq.data.examples.TaggedSentence`)."""

    @property
    def words(self) -> list[str]: ...

    @property
    def multiword(self) -> list[tuple[int, int, str]]: ...

    @property
    def text(self) -> str | None: ...


Aligned = tuple[str, tuple[Piece, ...]]
"""A chunk of a training text, and the pieces that it should be cut into."""


def learn_splitter(sentences: Iterable[Sentence], max_forms: int = 20_000) -> WordSplitter:
    """Learns how a treebank cuts its words; sentences with their text teach more than without.

    Args:
        sentences: words, multi-word tokens and, if known, the text they were written in.
        max_forms: most forms kept, the frequent ones first.
    """
    seen = Counter(aligned for sentence in sentences for aligned in _aligned(sentence))
    splitter = WordSplitter(*_learn_marks(seen))
    clitics = _learn_clitics(splitter, seen)
    splitter = replace(splitter, prefixes=clitics["prefixes"], suffixes=clitics["suffixes"])
    return replace(splitter, forms=_learn_forms(splitter, seen, max_forms))


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
        if chunk.isalnum() or address_pattern.fullmatch(
            chunk.strip(BEFORE_ADDRESS + AFTER_ADDRESS)
        ):
            continue
        cuts = set(accumulate(len(surface) for surface, _ in units))
        marks = [leading_marks(char) > 0 for char in chunk]
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
