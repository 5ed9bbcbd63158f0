"""What a reader says for the data report, while it reads."""

from __future__ import annotations

from collections import Counter

from kerasseq.data.fields import noted


class Notes:
    """Sentences, each said once, and counts of what was skipped or written otherwise.

    >>> notes = Notes()
    >>> notes.say("columns: word, ner")
    >>> notes.count("comment lines skipped", 2)
    >>> notes.lines()
    ['columns: word, ner', '2 comment lines skipped']
    """

    def __init__(self) -> None:
        self._said: dict[str, None] = {}
        self.counts: Counter[str] = Counter()

    def say(self, line: str) -> None:
        """Keeps a line, if it is not there already: splits mostly say the same."""
        self._said.setdefault(line)

    def count(self, what: str, number: int = 1) -> None:
        """Adds to the count of something."""
        self.counts[what] += number

    def lines(self) -> list[str]:
        """All of it, in the order in which it came."""
        return [*self._said, *noted(+self.counts)]
