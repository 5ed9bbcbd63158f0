"""Tokens to readable text, by regular expressions that Python and TensorFlow's RE2 read alike.

Every token is written with a blank of its own on either side, so that a rule sees whole tokens and
two rules never want the same blank. A rule puts :data:`GLUE` in the place of a blank that is to go.
What stands between two tokens is settled by these two, and by the quotation marks before them on
the line; so the text of a beginning is the beginning of the text, as a terminal wants it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

GLUE = "\x1f"
"""Joins what stands on its two sides. No token has it, since it counts as white space."""

_CLITICS = "[nN]['’][tT]|['’](?:[sStTdDmM]|re|ve|ll|RE|VE|LL)"

RULES: tuple[tuple[str, str], ...] = (
    # quotation marks open and close by turns, on each line
    (r' " ([^\n]*?) " ', rf' "{GLUE}\1{GLUE}" '),
    (r' " ', rf' "{GLUE}'),
    # WikiText's hyphens, and the marks inside its numbers
    (r" @([-,.])@ ", rf"{GLUE}\1{GLUE}"),
    (rf" ([.,;:!?)\]}}%…”’]|''|\.\.\.|{_CLITICS}) ", rf"{GLUE}\1 "),
    (r" ([(\[{$#“‘]|``) ", rf" \1{GLUE}"),
    (r" \n ", f"{GLUE}\n{GLUE}"),
    (rf" *{GLUE}[ {GLUE}]*", ""),
    (r"  ", " "),
)
"""Patterns and replacements, to be applied in this order, each everywhere.

They have no look-around, no classes such as ``\\s`` and no anchors, whose meanings differ.
"""

_COMPILED = [(re.compile(pattern), replacement) for pattern, replacement in RULES]


def detokenize(tokens: Iterable[str]) -> str:
    r"""Readable text of tokens, of which ``"\n"`` ends a line.

    >>> detokenize('" I do n\'t ( really ) , " she said . \n 1 @,@ 000 dogs'.split(" "))
    '"I don\'t (really)," she said.\n1,000 dogs'
    """
    text = GLUE + "".join(f" {token} " for token in tokens) + GLUE
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text
