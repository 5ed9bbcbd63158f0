"""Test sets in the SGML of NIST and WMT (``.sgm``), and the XML of IWSLT that looks like it.

Most such files are not well-formed, so they are read by their tags: a text is what stands between
``<seg id="1">`` and ``</seg>``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kerasseq.data.reading import text_lines
from kerasseq.errors import UserError

_TAG = re.compile(r"<(/?)(srcset|refset|tstset|doc|seg)\b([^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")


class Segment(NamedTuple):
    """A text with its place: the line, the document and the number in it."""

    line: int
    document: str
    number: str
    text: str


class SetHead(NamedTuple):
    """What the head of a file says: ``srcset``, ``refset`` or ``tstset``, and the languages."""

    kind: str
    source: str
    target: str


def head_of(path: Path, encoding: str) -> SetHead:
    """The head of a file of segments.

    Raises:
        UserError: if it has none.
    """
    for _, closes, tag, attributes, _ in _tags(path, encoding):
        if tag.endswith("set") and not closes:
            return SetHead(tag, attributes.get("srclang", ""), attributes.get("trglang", ""))
        if tag == "seg":
            break
    raise UserError(f"{path}: no <srcset> or <refset> before the first segment")


def segments(path: Path, encoding: str) -> Iterator[Segment]:
    """The segments of a file, one by one; entities (``&amp;``) are resolved.

    Raises:
        UserError: naming the line, if a segment does not end, or ends without a begin.
    """
    document, number, begun, parts = "", "", 0, list[str]()
    for line, closes, tag, attributes, text in _tags(path, encoding):
        if begun:
            parts.append(text)
        if tag == "doc" and not closes:
            document = attributes.get("docid") or attributes.get("id", "")
        if begun and (tag != "seg" or not closes):
            raise UserError(f"{path}:{begun}: the segment {number!r} has no end (</seg>)")
        if tag != "seg":
            continue
        if not closes:
            number, begun, parts = attributes.get("id", ""), line, []
        elif not begun:
            raise UserError(f"{path}:{line}: </seg> without a begin (<seg id=...>)")
        else:
            joined = " ".join("".join(parts).split("\n"))
            yield Segment(begun, document, number, html.unescape(joined).strip())
            begun = 0
    if begun:
        raise UserError(f"{path}:{begun}: the segment {number!r} has no end (</seg>)")


def _tags(path: Path, encoding: str) -> Iterator[tuple[int, bool, str, dict[str, str], str]]:
    """The tags of a file: line, whether it closes, name, attributes, and the text before it."""
    before: list[str] = []
    for number, line in enumerate(text_lines(path, encoding), start=1):
        at = 0
        for match in _TAG.finditer(line):
            before.append(line[at : match.start()])
            attributes = {
                name.lower(): html.unescape(first or second or third)
                for name, first, second, third in _ATTRIBUTE.findall(match[3])
            }
            yield number, bool(match[1]), match[2].lower(), attributes, "".join(before)
            before, at = [], match.end()
        before.append(line[at:] + "\n")
