"""What a field of a row may be: a text, the name of a class, a list of strings.

A field that holds something else is refused with its place. What is converted is counted.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from kerasseq.errors import UserError

JOINED = "texts that were lists of words, joined by blanks"
UNWRAPPED = "labels that were lists of one, unwrapped"
SPLIT = "labels split at the separator"
LISTS = "labels written as lists, read as such"
NONE = "texts without any label"
REPEATED = "labels that a text has twice, counted once"
SEPARATORS = ",;|"

_BRACKETS = ("[]", "()", "{}")
_ADJACENT = re.compile(
    r"['\"]\s+['\"]"
)  # NumPy writes no commas, and Python would join the strings


def noted(counts: Counter[str]) -> list[str]:
    """Conversions that were made, for a data report."""
    return [f"{count:,} {what}" for what, count in counts.items()]


def text_of(value: Any, where: str, column: str, counts: Counter[str] | None = None) -> str:
    """A value that must be a text.

    Args:
        value: of the field.
        where, column: its place.
        counts: if given, a list of words is joined, and counted there.

    Raises:
        UserError: for anything else, such as what stands for a missing value.
    """
    if isinstance(value, str):
        return value
    if counts is not None and isinstance(value, list) and value and _strings(value):
        counts[JOINED] += 1
        return " ".join(value)
    raise UserError(f"{where}: {column} is {kind_of(value)}, expected a string")


def label_of(
    value: Any, where: str, column: str, kinds: set[type], counts: Counter[str] | None = None
) -> str:
    """A value that must be the name or the number of a class, as text.

    Args:
        value, where, column: as of :func:`text_of`.
        kinds: the kinds of the labels before, to which this one's is added: ``1`` and ``"1"``
            would become one class.
        counts: if given, a list of one label is unwrapped, and counted there.

    Raises:
        UserError: for a missing value, a fraction, an empty name, or labels of two kinds.
    """
    value = value.item() if getattr(value, "shape", None) == () else value
    if counts is not None:
        several = _listed(value, where, column)
        if several is not None and len(several) != 1:
            raise UserError(
                f"{where}: {column} is a list of {len(several)} labels, and a text has one class "
                "(--multi_label gives it several)"
            )
        if several is not None:
            counts[UNWRAPPED] += 1
            value = several[0]
    if isinstance(value, float) and value.is_integer():
        raise UserError(
            f"{where}: {column} is {kind_of(value)}, expected the name of a class: a column of "
            "whole numbers becomes one of fractions where a value is missing; .astype(int) mends it"
        )
    if not isinstance(value, str | int) or (isinstance(value, str) and not value.strip()):
        raise UserError(f"{where}: {column} is {kind_of(value)}, expected the name of a class")
    if isinstance(value, str):
        check_name(value, where, column)
    kinds.add(type(value))
    if len(kinds) > 1:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise UserError(f"{where}: {column} is {value!r}: labels are of two kinds, {names}")
    return str(value).strip()


def labels_of(
    value: Any, where: str, column: str, kinds: set[type], counts: Counter[str], separator: str = ""
) -> tuple[str, ...]:
    """A value that must be the classes of a text, of which there may be none.

    >>> labels_of("war|drama", "rows.csv:1", "genres", set(), Counter(), "|")
    ('drama', 'war')

    Args:
        value, where, column, kinds, counts: as of :func:`label_of`. It is a list, also one that
            is written as text, or a string.
        separator: of the classes in a string; ``none`` where a string is one class.

    Raises:
        UserError: for a value that is neither, a class as of :func:`label_of`, and a string that
            may be one class or several.
    """
    whole = separator == "none" and isinstance(value, str)
    several = None if whole else _listed(value, where, column)
    if several is not None and isinstance(value, str):
        counts[LISTS] += 1
    if several is None and isinstance(value, str) and separator and not whole:
        parts = value.split(separator.replace("\\t", "\t"))
        several = [part for part in map(str.strip, parts) if part]
        counts[SPLIT] += len(several) > 1
    if several is None and isinstance(value, str) and not value.strip():
        several = []
    text = value if several is None and not separator and isinstance(value, str) else ""
    if found := [mark for mark in SEPARATORS if mark in text]:
        raise UserError(
            f"{where}: {column} is {value!r:.60}, which is one class or several: "
            f"--label_separator '{found[0]}' splits it, --label_separator none does not"
        )
    names = [
        label_of(one, where, column, kinds) for one in ([value] if several is None else several)
    ]
    distinct = tuple(sorted(set(names)))
    twice = len(distinct) < len(names)
    if twice or any(isinstance(one, bool) for one in several or ()):
        if int in kinds or bool in kinds:
            raise UserError(
                f"{where}: {column} is {value!r:.60}: a list holds the classes that the text has, "
                "each once, not a 0 or 1 for each class"
            )
        counts[REPEATED] += len(names) - len(distinct)
    counts[NONE] += not distinct
    return distinct


def _listed(value: Any, where: str, column: str) -> list[Any] | None:
    """The items of a list or a set, also of one that is written as text, as pandas writes it; None
    of what is neither.

    Raises:
        UserError: if a text looks like a list, and is none of Python or JSON.
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, str) and value[:1] + value[-1:] in _BRACKETS:
        found = None
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            found = None if _ADJACENT.search(value) else ast.literal_eval(value)
        if not isinstance(found, list | tuple | set | frozenset):
            if re.search("['\"]", value) or re.fullmatch(r"[\[{(][-\d.eE\s]+[])}]", value):
                raise UserError(
                    f"{where}: {column} looks like a list, but is none of Python or JSON: "
                    f"{value[:40]!r}"
                )
            return None
        value = found
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return list(value) if isinstance(value, list | tuple) else None


def check_name(value: str, where: str, column: str) -> None:
    """Raises:
    UserError: if a class cannot be called so: a line end, or half a surrogate pair, is in it.
    """
    if len(value.strip().splitlines()) > 1 or (not value.isascii() and _lone(value)):
        raise UserError(f"{where}: {column} is {kind_of(value)}, expected a name in one line")


def _strings(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _lone(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def strings_of(value: Any, where: str, column: str) -> list[str]:
    """A value that must be a list of texts.

    Raises:
        UserError: for anything else.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise UserError(f"{where}: {column} is {kind_of(value)}, expected a list of strings")
    return [text_of(item, where, f"a value of {column}") for item in value]


def kind_of(value: Any) -> str:
    if value is None:
        return "missing"
    try:
        if value != value:
            return "nan"
    except (TypeError, ValueError):  # pandas' NA, an array
        pass
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 40 else shown[:37] + '...'}"
