"""Texts in which nothing is to be seen."""

from __future__ import annotations

import re

# control characters (NUL), the soft hyphen, zero-width characters, marks of direction, byte order
# marks; and white space
_UNSEEN = re.compile(
    "[\\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*"
)


def is_blank(text: str) -> bool:
    """Whether a text is empty, or has only characters that nobody sees.

    >>> [is_blank(text) for text in ("", " \\u200b", "\\x00", "a")]
    [True, True, True, False]
    """
    return _UNSEEN.fullmatch(text) is not None
