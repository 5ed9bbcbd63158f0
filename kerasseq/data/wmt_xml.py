"""Test sets in the XML of WMT since 2021: documents with a source, references and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from kerasseq.data.xml_stream import elements, language_of, name_of
from kerasseq.errors import UserError


class Part(NamedTuple):
    """A side of a document: the language, and the segments by number."""

    language: str
    segments: dict[str, str]


class Document(NamedTuple):
    """A document; ``outputs`` counts the segments that systems translated."""

    name: str
    suite: bool
    source: Part
    references: list[Part]
    outputs: int


def documents(path: Path) -> Iterator[Document]:
    """The documents of a file, one by one.

    Raises:
        UserError: if the file is not well-formed, a document has not one source, or two segments of
            a side have one number.
    """
    for number, element in enumerate(
        (one for one in elements(path, "doc") if isinstance(one, Element)), start=1
    ):
        name = element.get("id") or str(number)
        where = f"{path}: document {name}"
        sides: dict[str, list[Element]] = {"src": [], "ref": [], "hyp": []}
        for child in element:
            sides.setdefault(name_of(child), []).append(child)
        if len(sides["src"]) != 1:
            raise UserError(f"{where} has {len(sides['src'])} sources (src), expected 1")
        yield Document(
            name,
            "testsuite" in element.attrib,
            _part(sides["src"][0], where),
            [_part(side, where) for side in sides["ref"]],
            sum(len(_part(side, where).segments) for side in sides["hyp"]),
        )


def _part(side: Element, where: str) -> Part:
    segments: dict[str, str] = {}
    for segment in (one for one in side.iter() if name_of(one) == "seg"):
        number = segment.get("id", "")
        if number in segments:
            raise UserError(f"{where}: two segments of a {name_of(side)} have the id {number!r}")
        segments[number] = "".join(segment.itertext()).strip()
    return Part(language_of(dict(side.attrib)), segments)
