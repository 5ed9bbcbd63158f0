"""What goes for the splits of every kind of data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from kerasseq.errors import UserError


def chosen_split(source: str, splits: Mapping[str, object], wanted: str | None) -> str:
    """The name of the split that is asked for, or of the test split, or of the only one.

    Raises:
        UserError: if there is none of that name, or several and none is the test split.
    """
    names = ", ".join(splits)
    if wanted is not None:
        if wanted not in splits:
            raise UserError(f"{source} has no {wanted} split; it has {names}")
        return wanted
    if "test" in splits:
        return "test"
    if len(splits) > 1:
        raise UserError(f"{source} has the splits {names}: choose one with --split")
    return next(iter(splits))


def shared_notes(contents: Mapping[str, set], unit: str) -> list[str]:
    """For a data report: how much every two splits have in common.

    Args:
        contents: of each split.
        unit: what they are sets of, in the plural.
    """
    shared = {
        (first, second): len(contents[first] & contents[second])
        for first, second in itertools.combinations(contents, 2)
    }
    return [
        f"{count:,} {unit} occur in both {first} and {second} (kept as they came)"
        for (first, second), count in shared.items()
        if count
    ]


def length_percentiles(lengths: np.ndarray) -> dict[str, int]:
    """For a data report: ``{"p5": 7, ...}``."""
    percentiles = (5, 25, 50, 75, 95, 100)
    spread = np.percentile(lengths, percentiles).astype(int).tolist()
    return {f"p{p}": n for p, n in zip(percentiles, spread, strict=True)}
