"""A finished run of a tagger, in Python."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kerasseq.app.run import Run
from kerasseq.data.fields import strings_of
from kerasseq.errors import UserError
from kerasseq.training.progress import silence


@dataclass(frozen=True)
class TaggedWords:
    """The tags of a sentence.

    Attributes:
        tokens: its words.
        tags: one for each word.
        probabilities: of these tags.
    """

    tokens: list[str]
    tags: list[str]
    probabilities: list[float]


class TaggingRun(Run):
    """A finished run of a tagger."""

    def tag(self, sentences: Iterable[str | list[str]]) -> list[TaggedWords]:
        """The tags of sentences.

        Args:
            sentences: each as its words, or as a string that is split into words.

        Raises:
            ValueError: if what is given is one string.
        """
        if isinstance(sentences, str) or not isinstance(sentences, Iterable):
            got = "one string" if isinstance(sentences, str) else f"{sentences!r:.60}"
            raise UserError(f"tag takes a list of sentences, got {got}")
        split = self.trained.assets.splitter.split
        words = (
            split(one) if isinstance(one, str) else strings_of(one, f"tag: sentence {n:,}", "it")
            for n, one in enumerate(sentences, start=1)
        )
        with silence(self.quiet):
            return [TaggedWords(**found) for found in self.trained.use.tag(words)]
