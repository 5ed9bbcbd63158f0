"""XML files as streams: one element at a time, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from kerasseq.data.reading import open_lines
from kerasseq.errors import UserError

_LANGUAGES = ("{http://www.w3.org/XML/1998/namespace}lang", "lang")


class Begun(NamedTuple):
    """An element whose start has been read: its name and its attributes."""

    tag: str
    attributes: dict[str, str]


def elements(path: Path, wanted: str) -> Iterator[Begun | ElementTree.Element]:
    """The elements of one name, one by one; before each, the starts of all others.

    What is read is forgotten. Nothing is fetched: expat, which reads the file, opens no external
    entity and no DTD, and it refuses entities that grow without bound. The file says its encoding
    itself.

    Args:
        path: of the file, or of a ``.gz`` of it.
        wanted: name of the elements that are given whole.

    Raises:
        UserError: naming the line, if the file is not well-formed.
    """
    within: list[ElementTree.Element] = []
    inside = 0
    with open_lines(path) as stream:
        try:
            for event, element in ElementTree.iterparse(stream, ("start", "end")):
                tag = name_of(element)
                if event == "start":
                    inside += tag == wanted
                    if not inside:
                        yield Begun(tag, dict(element.attrib))
                    within.append(element)
                    continue
                within.pop()
                if tag == wanted:
                    inside -= 1
                    yield element
                if not inside and within:
                    within[-1].clear()
        except ElementTree.ParseError as error:
            line, column = error.position
            what = str(error).partition(": line")[0]
            raise UserError(
                f"{path}:{line}: not well-formed XML at column {column + 1}: {what}"
            ) from None


def name_of(element: ElementTree.Element) -> str:
    """The name of an element, without a namespace."""
    return str(element.tag).rpartition("}")[2]


def language_of(attributes: dict[str, str]) -> str:
    """The language that attributes name: ``xml:lang``, or ``lang`` of old files."""
    return next((attributes[name] for name in _LANGUAGES if name in attributes), "")
