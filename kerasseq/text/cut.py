"""The rule by which long texts are cut, in Python; :mod:`kerasseq.text.graph` has its twin."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np

Keep = Literal["head", "tail", "head+tail"]
Array = TypeVar("Array", bound=np.ndarray)


def parts(length: int, keep: Keep) -> tuple[int, int]:
    """How many items of the front and of the end a cut to ``length`` keeps.

    >>> parts(100, "head"), parts(100, "tail"), parts(100, "head+tail")
    ((100, 0), (0, 100), (50, 50))
    """
    head = {"head": length, "tail": 0, "head+tail": length // 2}[keep]
    return head, length - head


def cut(ids: Array, length: int, keep: Keep) -> Array:
    """At most ``length`` of the ids: the first, the last, or half of them from either end."""
    if len(ids) <= length:
        return ids
    head, tail = parts(length, keep)
    return np.concatenate([ids[:head], ids[len(ids) - tail :]])  # type: ignore[return-value]
