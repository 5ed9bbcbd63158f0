"""Tagged sentences as plain columns (CoNLL-2000, CoNLL-2003) and as ``word/tag`` (Brown)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

from kerasseq.data.examples import TaggedSentence
from kerasseq.errors import UserError

LAYOUTS = {2: ("xpos",), 3: ("xpos", "chunk"), 4: ("xpos", "chunk", "ner")}
"""What stands behind the word, by the number of columns. Of two columns, the second may as well be
named entities."""
_BLANKS = re.compile(r"[ \t]+")
# cut short in the published files: fw-in+at-t, ppss+ber-n
_BROWN_MARKS = re.compile(r"(?<=.)(?:-(?:HL?|TL?|NC?))+$")


def split_blanks(line: str) -> list[str]:
    """What blanks and tabs separate; other white space, such as U+00A0, belongs to a word."""
    stripped = line.strip(" \t\r\n")
    return _BLANKS.split(stripped) if stripped else []


def parse_columns(lines: Iterable[str], where: str) -> Iterator[TaggedSentence]:
    """Reads a token a line, ``WORD TAG``, ``WORD POS CHUNK`` or ``WORD POS CHUNK ENTITY``, and a
    blank line after a sentence.

    ``-DOCSTART-`` lines are skipped. ``#`` is a word here (CoNLL-2000 has it), not a comment.

    Args:
        lines: with or without line ends.
        where: name of the source, for messages.

    Raises:
        UserError: naming the line, if it has another number of columns than the first.
    """
    width = 0
    rows: list[list[str]] = []
    for number, line in enumerate(lines, start=1):
        fields = split_blanks(line.removeprefix("\ufeff") if number == 1 else line)
        if fields and fields[0] != "-DOCSTART-":
            if not width and len(fields) not in LAYOUTS:
                raise UserError(
                    f"{where}:{number}: {len(fields)} columns; expected WORD TAG, WORD POS CHUNK "
                    "or WORD POS CHUNK ENTITY"
                )
            width = width or len(fields)
            if len(fields) != width:
                raise UserError(
                    f"{where}:{number}: {len(fields)} columns, but the first token has {width}"
                )
            rows.append([sys.intern(field) for field in fields])
        elif rows:
            yield _sentence(rows)
            rows = []
    if rows:
        yield _sentence(rows)


def _sentence(rows: list[list[str]]) -> TaggedSentence:
    words, *columns = map(list, zip(*rows, strict=True))
    named = dict(zip(LAYOUTS[len(rows[0])], columns, strict=True))
    if len(columns) == 1:
        named["ner"] = columns[0]
    return TaggedSentence(words, named)


def parse_slashed(lines: Iterable[str], where: str) -> Iterator[TaggedSentence]:
    """Reads a sentence a line, ``word/tag word/tag``; the last slash of a token separates.

    Args:
        lines: with or without line ends.
        where: name of the source, for messages.

    Raises:
        UserError: naming the line, if a token has no slash, no word or no tag.
    """
    for number, line in enumerate(lines, start=1):
        words, tags = [], []
        for token in split_blanks(line.removeprefix("\ufeff") if number == 1 else line):
            word, _, tag = token.rpartition("/")
            if not word or not tag:
                raise UserError(f"{where}:{number}: {token[:40]!r} is not of the form word/tag")
            words.append(sys.intern(word))
            tags.append(sys.intern(tag))
        if words:
            yield TaggedSentence(words, {"xpos": tags})


def simplify_brown(tag: str) -> str:
    """A tag of the Brown corpus without what says nothing about the part of speech.

    Upper case as in the manual (Francis and Kučera 1979). The marks ``-HL`` (headline), ``-TL``
    (title) and ``-NC`` (cited word) go, also where the file has cut them short, and so does ``FW-``
    (foreign word), whose tag is that of the foreign part of speech. Combined tags such as
    ``PPSS+BEM`` (*I'm*) stay whole: the corpus does not split contractions, and to keep the first
    part would say that *I'm* is no more than a pronoun. ``*`` (negation) and ``$`` (possessive)
    belong to the tag.

    >>> [simplify_brown(tag) for tag in ("nn-tl-hl", "fw-in+at-tl", "ppss+bem", "---hl", "md*")]
    ['NN', 'IN+AT', 'PPSS+BEM', '--', 'MD*']
    """
    simple = _BROWN_MARKS.sub("", tag.upper())
    return simple.removeprefix("FW-") or simple
