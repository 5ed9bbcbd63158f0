"""Tagged sentences: a corpus of named splits, and how splits are cut."""

from __future__ import annotations

from dataclasses import dataclass, field

COLUMNS = ("upos", "xpos", "feats", "chunk")
"""Names of the columns of tags that a source may have: universal and language-specific parts of
speech, morphological features (as one label), chunks in IOB2."""


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


@dataclass(frozen=True)
class TaggedCorpus:
    """Splits by name (``train``, ``validation``, ``test``; or ``all`` if they are to be cut)."""

    source: str
    splits: dict[str, list[TaggedSentence]]
    notes: list[str] = field(default_factory=list)
    """What was done to the data, and how often, for the report."""
