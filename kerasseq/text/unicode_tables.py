"""What the tokenizer knows of Unicode, as small sorted tables taken from :mod:`unicodedata`.

TensorFlow's core ops have no normalisation and its regular expressions follow another Unicode
version than Python's. Both sides of the tokenizer therefore use the tables of this module, so that
they agree by construction, and a SavedModel carries the tables it was made with.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from itertools import groupby
from typing import NamedTuple

SEPARATOR, WORD, MARK = 0, 1, 2
"""Character classes: between tokens, part of a word, a token by itself (punctuation, symbols)."""

# Variation selectors only choose a glyph ("❤" + U+FE0F), so they never make a token.
_VARIATION_SELECTORS = {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


class Expansions(NamedTuple):
    """Code points that become others: ``keys[i]`` becomes ``values[starts[i]:starts[i + 1]]``."""

    keys: list[int]
    starts: list[int]
    values: list[int]


class Composition(NamedTuple):
    """What canonical composition needs (Unicode Standard Annex #15)."""

    pairs: list[int]
    """``first * 2**21 + second`` of every pair that composes, ascending."""
    composites: list[int]
    """The code point that each pair becomes."""
    seconds: list[int]
    """Code points that are the second of some pair, ascending."""
    unstable: list[int]
    """Code points that are themselves changed by NFC, ascending."""
    marked: list[int]
    """Code points with a canonical combining class other than 0, ascending."""
    classes: list[int]
    """Their combining classes."""


def _code_points() -> range:
    return range(sys.maxunicode + 1)


def _is_surrogate(code: int) -> bool:
    return 0xD800 <= code <= 0xDFFF


def _class_of(code: int) -> int:
    if code in _VARIATION_SELECTORS:
        return SEPARATOR
    return {"L": WORD, "M": WORD, "N": WORD, "P": MARK, "S": MARK}.get(
        unicodedata.category(chr(code))[0], SEPARATOR
    )


@cache
def class_ranges() -> tuple[list[int], list[int]]:
    """First code points of the runs of one class, ascending, and the class of each run."""
    runs = [(next(run), kind) for kind, run in groupby(_code_points(), _class_of)]
    return [start for start, _ in runs], [kind for _, kind in runs]


def regex_set(kind: int, last: int) -> str:
    """The characters of a class, up to ``last``, as the inside of a regex's ``[...]``."""
    starts, kinds = class_ranges()
    ends = [*starts[1:], sys.maxunicode + 1]
    return "".join(
        f"\\U{start:08x}-\\U{min(end - 1, last):08x}"
        for start, end, of in zip(starts, ends, kinds, strict=True)
        if of == kind and start <= last
    )


def _expansions(changed: dict[int, str]) -> Expansions:
    starts: list[int] = [0]
    values: list[int] = []
    for text in changed.values():
        values += map(ord, text)
        starts.append(len(values))
    return Expansions(list(changed), starts, values)


@cache
def casefolding() -> Expansions:
    """Full case folding, character by character (it does not depend on context)."""
    folded = ((code, chr(code).casefold()) for code in _code_points())
    return _expansions({code: text for code, text in folded if text != chr(code)})


@cache
def decomposition() -> Expansions:
    """Full canonical decompositions (NFD), Hangul syllables included."""
    decomposed = (
        (code, unicodedata.normalize("NFD", chr(code)))
        for code in _code_points()
        if not _is_surrogate(code)
    )
    return _expansions({code: text for code, text in decomposed if text != chr(code)})


def _canonical_pair(code: int) -> tuple[int, int] | None:
    syllable = code - 0xAC00
    if 0 <= syllable < 11172:
        if syllable % 28:
            return code - syllable % 28, 0x11A7 + syllable % 28
        return 0x1100 + syllable // 588, 0x1161 + syllable % 588 // 28
    mapping = unicodedata.decomposition(chr(code)).split()
    if len(mapping) != 2 or mapping[0].startswith("<"):
        return None
    return int(mapping[0], 16), int(mapping[1], 16)


@cache
def composition() -> Composition:
    """Primary composites, their parts, and the combining classes."""
    pairs: dict[int, int] = {}
    unstable = []
    for code in _code_points():
        if _is_surrogate(code):
            continue
        if unicodedata.normalize("NFC", chr(code)) != chr(code):
            unstable.append(code)
        elif pair := _canonical_pair(code):
            pairs[pair[0] << 21 | pair[1]] = code
    marked = [code for code in _code_points() if unicodedata.combining(chr(code))]
    return Composition(
        pairs=sorted(pairs),
        composites=[pairs[pair] for pair in sorted(pairs)],
        seconds=sorted({pair & (1 << 21) - 1 for pair in pairs}),
        unstable=unstable,
        marked=marked,
        classes=[unicodedata.combining(chr(code)) for code in marked],
    )
