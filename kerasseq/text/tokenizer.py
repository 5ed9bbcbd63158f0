"""Words and punctuation marks of a text, in Python. :mod:`kerasseq.text.graph` is its twin."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

from kerasseq.text.unicode_tables import MARK, WORD, regex_set

MARKUP = r"</?[A-Za-z][^<>]*>"
"""An HTML or XML tag, as Python's ``re`` and TensorFlow's RE2 both read it."""

APOSTROPHES = "'\u2019"
"""Part of a word when they stand between two word characters: *don't* is one token."""

_markup = re.compile(MARKUP)


@cache
def token_pattern(ascii_only: bool) -> re.Pattern[str]:
    """What a token of a normalised text is."""
    last = 0x7F if ascii_only else sys.maxunicode
    word, mark = regex_set(WORD, last), regex_set(MARK, last)
    return re.compile(f"[{word}]+(?:[{APOSTROPHES}][{word}]+)*|[{mark}]")


def tokenizer_patterns() -> dict[str, str]:
    """What a client needs to do the same: the patterns of markup and of a token."""
    return {"markup": MARKUP, "token": token_pattern(False).pattern}


def normalize(text: str) -> str:
    """Replaces tags by a blank, then applies Unicode NFC and full case folding."""
    return unicodedata.normalize("NFC", _markup.sub(" ", text)).casefold()


def has_token(text: str) -> bool:
    """Whether :func:`tokenize` gives anything."""
    return token_pattern(False).search(normalize(text)) is not None


def tokenize(text: str) -> list[str]:
    """Splits a text into words and single punctuation marks.

    A word is a run of letters, combining marks and digits, with apostrophes inside it; every
    other printable character is a token of its own; blanks, controls and tags disappear.

    >>> tokenize("I didn't like it.<br />Don’t go!")
    ['i', "didn't", 'like', 'it', '.', 'don’t', 'go', '!']
    """
    normal = normalize(text)
    # the small pattern matches the same, three times as fast
    return token_pattern(normal.isascii()).findall(normal)
