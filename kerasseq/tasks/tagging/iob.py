"""Tags of spans: inside, outside, begin."""

from __future__ import annotations

from collections.abc import Iterable


def is_iob(names: Iterable[str]) -> bool:
    """Whether a set of tags is made of ``B-KIND`` and ``I-KIND``, with or without ``O``.

    >>> is_iob(["O", "B-NP", "I-NP"]), is_iob(["NOUN", "VERB"]), is_iob(["O"])
    (True, False, False)
    """
    kinds = set(names) - {"O"}
    return bool(kinds) and all(name[:2] in ("B-", "I-") and name[2:] for name in kinds)


def iob2(tags: list[str]) -> list[str]:
    """The same spans in IOB2, which begins every span with B; IOB1 does so only where one ends.

    >>> iob2(["I-NP", "I-NP", "B-NP", "O", "I-VP"])
    ['B-NP', 'I-NP', 'B-NP', 'O', 'B-VP']
    """
    before = ["O", *tags[:-1]]
    return [
        f"B-{tag[2:]}" if tag.startswith("I-") and last[2:] != tag[2:] else tag
        for last, tag in zip(before, tags, strict=True)
    ]
