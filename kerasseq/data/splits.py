"""Which split of other data is meant."""

from __future__ import annotations

from collections.abc import Mapping

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
