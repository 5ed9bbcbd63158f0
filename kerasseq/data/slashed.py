"""Words that carry their tags: ``word/tag`` (Brown, Penn), ``word/pos/ner``, ``word|pos|ner``."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from kerasseq.data.brackets import ESCAPE, ESCAPED
from kerasseq.data.columns import is_layout_line, peek, split_blanks
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.layouts import FREE, Asked, Layout, is_spans, layout_of
from kerasseq.data.notes import Notes
from kerasseq.errors import UserError

# cut short in the published files: fw-in+at-t, ppss+ber-n
_BROWN_MARKS = re.compile(r"(?<=.)(?:-(?:HL?|TL?|NC?))+$")
_RULE = re.compile(r"={5,}")
_ALTERNATIVES = re.compile(r"[A-Z]+\$?(?:\|[A-Z]+\$?)+")
_BRACKETS = ("[", "]")
_JOINED = {"/": re.compile(r".+/[^/]+"), "|": re.compile(r".+(?:\|[^|]+){2}")}


def mark_of(lines: Sequence[str]) -> str:
    """What joins words and tags in the first line with a token: ``/``, ``|``, or nothing does."""
    for line in lines:
        fields = [field for field in split_blanks(line) if field not in _BRACKETS]
        if not fields or _RULE.fullmatch(fields[0]) or is_layout_line(line):
            continue
        for mark, joined in _JOINED.items():
            if all(map(joined.fullmatch, fields)):
                return mark
        return ""
    return ""


def parse_slashed(
    lines: Iterable[str],
    where: str,
    mark: str = "/",
    asked: Asked = FREE,
    notes: Notes | None = None,
) -> Iterator[TaggedSentence]:
    """Reads a sentence a line, ``word/tag word/tag``; the last slash of a token separates.

    If most tokens have two marks or more, there are as many tags: ``word/pos/ner``. Files with
    brackets and rulers, ``[ The/DT cat/NN ]`` and ``=====``, are the Penn Treebank's: a sentence
    goes on until an empty line there.

    Args:
        lines: with or without line ends.
        where: name of the source, for messages.
        mark: between a word and its tags.
        asked: columns that the settings name.
        notes: takes what was skipped or written otherwise.

    Raises:
        UserError: naming the line, if a token has no mark, no word or no tag.
    """
    notes = notes or Notes()
    head, lines = peek(lines)
    tokens = [token for line in head for token in split_blanks(line)]
    penn = mark == "/" and any(token in _BRACKETS or _RULE.fullmatch(token) for token in tokens)
    parts = [split for token in tokens if (split := _parts(token, mark))]
    tags = _number_of_tags(parts)
    rows_of_head = [_joined(split, tags, mark) for split in parts if len(split) > tags]
    layout = _layout(rows_of_head, tags).asked(asked, where)
    if tags > 1 or asked.column.isdigit():
        notes.say(layout.note(f"joined by {mark}"))
    rows: list[list[str]] = []
    for number, line in enumerate(lines, start=1):
        fields = split_blanks(line.removeprefix("\ufeff") if number == 1 else line)
        if fields and not (penn and _RULE.fullmatch(fields[0])):
            for token in fields:
                if not (penn and token in _BRACKETS):
                    rows.append(_row(token, tags, mark, f"{where}:{number}", notes))
            if penn:
                continue
        if rows:
            yield _sentence(rows, layout)
            rows = []
    if rows:
        yield _sentence(rows, layout)


def _parts(token: str, mark: str) -> list[str]:
    """The word and its tags; nothing, if it is no such token. ``1/2/cd`` may have two of them."""
    pieces = re.split(rf"(?<!\\){re.escape(mark)}", token)
    if len(pieces) == 1:  # the word may be a backslash
        pieces = token.rsplit(mark, 1)
    tags = 0
    while tags < len(pieces) - 1 and pieces[-1 - tags]:
        tags += 1
    if tags == len(pieces) - 1 and not pieces[0]:
        tags -= 1  # the word is a mark: //in
    word = mark.join(pieces[: len(pieces) - tags])
    return [word, *pieces[len(pieces) - tags :]] if tags > 0 and word else []


def _number_of_tags(parts: Sequence[Sequence[str]]) -> int:
    """What most tokens have; a word may hold marks, and a token may be damaged."""
    counts = Counter(len(split) - 1 for split in parts)
    return min(counts, key=lambda tags: (-counts[tags], tags), default=1)


def _joined(parts: list[str], tags: int, mark: str) -> list[str]:
    """With so many tags: all before them is the word."""
    return [mark.join(parts[:-tags]), *parts[-tags:]]


def _layout(rows: list[list[str]], tags: int) -> Layout:
    if tags > 1:
        return layout_of([rows])
    return Layout.of(["word", "xpos/ner" if rows and is_spans([t for _, t in rows]) else "xpos"])


def _row(token: str, tags: int, mark: str, at: str, notes: Notes) -> list[str]:
    parts = _parts(token, mark)
    if len(parts) <= tags:
        form = mark.join(["word", *["tag"] * tags])
        raise UserError(f"{at}: {token[:40]!r} is not of the form {form}")
    row = _joined(parts, tags, mark)
    if mark == "/":
        if ESCAPE.search(row[0]):
            row[0] = ESCAPE.sub("", row[0])
            notes.count(ESCAPED)
        if _ALTERNATIVES.fullmatch(row[1]):
            row[1] = row[1].split("|")[0]
            notes.count("words with several tags (VB|VBD): the first is taken")
    return [sys.intern(field) for field in row]


def _sentence(rows: list[list[str]], layout: Layout) -> TaggedSentence:
    fields = list(map(list, zip(*rows, strict=True)))
    columns = {name: list(fields[position]) for name, position in layout.columns}
    return TaggedSentence(fields[layout.word], columns)


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
