"""Spans of IOB tags, and their precision, recall and F1, as conlleval counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

Span = tuple[str, int, int]
"""Kind, position of the first word, position of the last word."""


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence, by the rules of conlleval (Tjong Kim Sang & Buchholz 2000).

    Every sequence has spans, also one that no annotator would write: a word that is not ``O`` goes
    on with the span before it, unless that is impossible. A new span starts after ``O``, at ``B``
    and ``S``, after ``E`` and ``S``, and where the kind changes. So IOB1, IOB2 and IOBES are read
    alike; ``I-NP`` after ``O`` or after ``I-VP`` starts a span.

    Args:
        tags: ``O``, or a prefix of ``B``, ``I``, ``E``, ``S``, a hyphen, and the kind, which may
            have hyphens itself.

    >>> spans(["B-NP", "I-NP", "O", "I-VP", "I-NP"])
    [('NP', 0, 1), ('VP', 3, 3), ('NP', 4, 4)]
    """
    found: list[Span] = []
    before, kind_before = "O", ""
    for position, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix != "O":
            starts = prefix in ("B", "S") or before in ("O", "E", "S") or kind != kind_before
            first = position if starts else found.pop()[1]
            found.append((kind, first, position))
        before, kind_before = prefix, kind
    return found


def _scores(gold: int, predicted: int, correct: int) -> dict[str, Any]:
    return {
        "precision": round(correct / predicted, 5) if predicted else 0.0,
        "recall": round(correct / gold, 5) if gold else 0.0,
        "f1": round(2 * correct / (gold + predicted), 5) if gold + predicted else 0.0,
        "gold": gold,
        "predicted": predicted,
        "correct": correct,
    }


def span_scores(
    true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Precision, recall and F1 of spans; a span is correct if its kind and both ends are.

    Args:
        true: the tags of each sentence.
        predicted: as many, each as long.

    Returns:
        ``precision``, ``recall`` and ``f1`` (0 where a quotient is undefined), and the numbers of
        spans: ``gold``, ``predicted``, ``correct``; under ``kinds`` the same for each kind.

    Raises:
        ValueError: if the sentences do not correspond.
    """
    gold, guessed, correct = Counter[str](), Counter[str](), Counter[str]()
    for row, guess in zip(true, predicted, strict=True):
        if len(row) != len(guess):
            raise ValueError(f"a sentence has {len(row)} true tags and {len(guess)} predicted ones")
        wanted, got = set(spans(row)), set(spans(guess))
        gold.update(kind for kind, _, _ in wanted)
        guessed.update(kind for kind, _, _ in got)
        correct.update(kind for kind, _, _ in wanted & got)
    return {
        **_scores(gold.total(), guessed.total(), correct.total()),
        "kinds": {
            kind: _scores(gold[kind], guessed[kind], correct[kind])
            for kind in sorted(gold.keys() | guessed.keys())
        },
    }
