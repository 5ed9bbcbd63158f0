"""Trees in brackets, as the Penn Treebank has them: their leaves are words and parts of speech."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence

from kerasseq.data.examples import TaggedSentence
from kerasseq.data.notes import Notes
from kerasseq.errors import UserError

_PIECES = re.compile(r"[()]|[^\s()]+")
_BEGINS = re.compile(r"\s*\(\s*(?:\(|[A-Z][^\s()]*\s*(?:\(|$)|$)")
_LEAF = re.compile(r"\(\s*[^\s()]+\s+[^\s()]+\s*\)")
ESCAPE = re.compile(r"\\(?=[/*])")
"""What stands before a slash or a star that belongs to a word."""
ESCAPED = r"words with \/ or \* are written with / or *"


def is_tree(lines: Sequence[str]) -> bool:
    """Whether the first lines of a file are trees; a column file may begin with the word ``(``."""
    first = next((line for line in lines if line.strip()), "")
    leaves = any(_LEAF.search(line) for line in lines)
    begins = _BEGINS.match(first) or (first.lstrip().startswith("(") and _LEAF.search(first))
    return leaves and bool(begins)


def parse_trees(lines: Iterable[str], where: str, notes: Notes) -> Iterator[TaggedSentence]:
    """Reads the leaves of each tree, ``(NN cat)``, as a sentence; its column is ``xpos``.

    Traces, whose part of speech is ``-NONE-``, are no words: they are counted.

    Args:
        lines: with or without line ends.
        where: name of the source, for messages.
        notes: takes what was skipped.

    Raises:
        UserError: naming the line, if the brackets do not match or a word has no part of speech.
    """
    open_brackets: list[tuple[list[str], list[int]]] = []  # a label and a word; lines of children
    leaves: list[tuple[str, str]] = []
    start = 0
    for number, line in enumerate(lines, start=1):
        for piece in _PIECES.findall(line.removeprefix("\ufeff") if number == 1 else line):
            at = f"{where}:{number}"
            if piece == "(":
                start = start if open_brackets else number
                if open_brackets:
                    open_brackets[-1][1].append(number)
                open_brackets.append(([], []))
            elif not open_brackets:
                raise UserError(f"{at}: {piece[:40]!r} stands outside of the brackets of a tree")
            elif piece != ")":
                inside, children = open_brackets[-1]
                inside.append(piece)
                if children or len(inside) > 2:
                    raise UserError(f"{at}: {piece[:40]!r} stands where (TAG word) is expected")
            else:
                inside, children = open_brackets.pop()
                if len(inside) == 2 and not children:
                    leaves.append((inside[1], inside[0]))
                elif not children or len(inside) == 2:
                    raise UserError(
                        f"{at}: ({' '.join(inside)}) has no word; (TAG word) is expected"
                    )
                if not open_brackets:
                    yield from _sentence(leaves, notes)
                    leaves = []
    if open_brackets:
        raise UserError(f"{where}:{start}: the tree that begins here is not closed")


def _sentence(leaves: list[tuple[str, str]], notes: Notes) -> Iterator[TaggedSentence]:
    kept = [(word, tag) for word, tag in leaves if tag != "-NONE-"]
    notes.count("traces (-NONE-) skipped", len(leaves) - len(kept))
    if not kept:
        notes.count("trees without a word skipped")
        return
    words = [ESCAPE.sub("", word) for word, _ in kept]
    notes.count(ESCAPED, sum(a != b for a, (b, _) in zip(words, kept, strict=True)))
    yield TaggedSentence(
        list(map(sys.intern, words)), {"xpos": [sys.intern(tag) for _, tag in kept]}
    )
