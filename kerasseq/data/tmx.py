"""Translation memories in TMX: units of one text in several languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from kerasseq.data.xml_stream import Begun, elements, language_of, name_of

_CODES = ("bpt", "ept", "it", "ph", "ut")
"""Inline elements that hold the markup of another format; the text of others is text."""


class Variant(NamedTuple):
    """A text in one language; ``marked`` is whether it had inline elements."""

    language: str
    text: str
    marked: bool


class Memory(NamedTuple):
    """What the head of a file says, and its first unit: by these its direction may be known."""

    source: str
    languages: tuple[str, ...]


def units(path: Path) -> Iterator[list[Variant]]:
    """The units of a file, one by one.

    Raises:
        UserError: naming the line, if the file is not well-formed.
    """
    for element in elements(path, "tu"):
        if isinstance(element, Element):
            yield _variants(element)


def memory_of(path: Path) -> Memory:
    """The source language that the header names, and the languages of the first unit."""
    source = ""
    for element in elements(path, "tu"):
        if isinstance(element, Begun):
            if element.tag == "header":
                source = element.attributes.get("srclang", "")
            continue
        languages = dict.fromkeys(variant.language for variant in _variants(element))
        return Memory(source, tuple(languages))
    return Memory(source, ())


def _variants(unit: Element) -> list[Variant]:
    found = []
    for variant in unit:
        if name_of(variant) == "tuv":
            segment = next((child for child in variant if name_of(child) == "seg"), None)
            text = "" if segment is None else _text(segment)
            marked = segment is not None and len(segment) > 0
            found.append(Variant(language_of(dict(variant.attrib)), text, marked))
    return found


def _text(element: Element) -> str:
    """The text of a segment, without the markup of other formats."""
    parts = [element.text or ""]
    for child in element:
        if name_of(child) not in _CODES:
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
