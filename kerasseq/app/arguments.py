"""What a caller of the front door may give: one line that says what came, where it is no such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerasseq.errors import UserError


def need_text(name: str, value: Any) -> str:
    """Raises:
    UserError: if a value is no string.
    """
    if not isinstance(value, str):
        raise UserError(f"{name} must be a string, got {value!r:.60}")
    return value


def need_path(name: str, value: Any) -> Path:
    """Raises:
    UserError: if a value is no path.
    """
    if not isinstance(value, str | Path) or value == "":
        raise UserError(f"{name} must be a path, got {value!r:.60}")
    return Path(value)


def need_whole(name: str, value: Any, least: int) -> int:
    """Raises:
    UserError: if a value is no whole number, or below the least.
    """
    value = value.item() if getattr(value, "shape", None) == () else value
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{name} must be a whole number of {least} or more, got {value!r:.60}")
    return value
