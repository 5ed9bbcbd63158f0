"""What readers give, one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

COLUMNS = ("upos", "xpos", "feats", "chunk", "ner")
"""Names of the columns of tags that a source may have: universal and language-specific parts of
speech, morphological features (as one label), chunks and named entities in IOB2."""


Label = str | tuple[str, ...]


class LabelledText(NamedTuple):
    """A text and the name of its class; or where a text may have several, their names."""

    text: str
    label: Label


@dataclass(frozen=True)
class TaggedSentence:
    """The words of a sentence, with a value for each in every column.

    Attributes:
        words: surface forms.
        columns: for each column's name, as many values as words.
        multiword: surface tokens that stand for several words, as CoNLL-U's lines ``3-4`` give
            them: first and last word (positions from 0), and the surface form.
        text: the sentence as it was written, if the source tells (``# text =``).
    """

    words: list[str]
    columns: dict[str, list[str]]
    multiword: list[tuple[int, int, str]] = field(default_factory=list)
    text: str | None = None

    def __len__(self) -> int:
        return len(self.words)


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str
    group: str
    """Pairs of one group are never on both sides of a cut; mostly it is the source sentence."""
    further: tuple[str, ...] = ()
    """Other translations of the source sentence, beside the target."""

    @property
    def references(self) -> tuple[str, ...]:
        """All translations, the target first."""
        return (self.target, *self.further)
