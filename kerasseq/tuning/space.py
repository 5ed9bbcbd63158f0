"""What a task's settings may be varied over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """A number between two bounds.

    Attributes:
        low, high: the bounds, both included.
        log: whether to draw evenly on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = False
