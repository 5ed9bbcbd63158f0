"""The baseline of every tagger: each word's most frequent tag."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any


class MostFrequentTag:
    """Gives each word the tag that it has most often in training, whatever stands around it.

    Words are surface forms, and case counts; of tags equally frequent with a word, the one that
    training showed first wins. A word that training never saw gets the tag that is most frequent
    among the words that training saw once, since these are likest to it (NOUN in most treebanks).

    Args:
        sentences: the words of the training sentences.
        tags: as many, each as long.

    Attributes:
        unseen: the tag of words that training never saw.

    Raises:
        ValueError: if there is no word, or words and tags do not correspond.
    """

    def __init__(self, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]):
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for words, row in zip(sentences, tags, strict=True):
            for word, tag in zip(words, row, strict=True):
                counts[word][tag] += 1
        if not counts:
            raise ValueError("no training word to count")
        # of equal counts, most_common gives the one that was counted first
        self._tags = {word: counter.most_common(1)[0][0] for word, counter in counts.items()}
        once = Counter(self._tags[word] for word, counter in counts.items() if counter.total() == 1)
        overall = Counter(chain.from_iterable(tags))
        self.unseen = (once or overall).most_common(1)[0][0]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, for :meth:`from_dict`."""
        return {"unseen": self.unseen, "tags": self._tags}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> MostFrequentTag:
        """What :meth:`to_dict` gave."""
        made = cls.__new__(cls)
        made.unseen, made._tags = stored["unseen"], dict(stored["tags"])
        return made

    def __contains__(self, word: object) -> bool:
        """Whether training saw a word."""
        return word in self._tags

    def tag(self, words: Sequence[str]) -> list[str]:
        """The tags of a sentence."""
        return [self._tags.get(word, self.unseen) for word in words]
