"""What a model gives, as plain objects that show themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from kerasseq.app.task import Task
from kerasseq.errors import UserError


def predictions(task: Task, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Results as the task's dataclass; ``pandas.DataFrame(predictions)`` makes a table of them."""
    names = [field.name for field in dataclasses.fields(task.prediction_class)]
    return [task.prediction_class(**{name: row.get(name) for name in names}) for row in rows]


def html_table(found: Mapping[str, Any]) -> str:
    """Names and values as a table for a notebook."""
    left = 'style="text-align: left"'  # notebooks put all cells on the right, as for numbers
    rows = (
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(str(value))}</td></tr>"
        for name, value in found.items()
    )
    return f"<table>{''.join(rows)}</table>"


def texts_of(texts: Any, verb: str) -> Iterator[str]:
    """Texts, made sure to be strings in something that holds several.

    Args:
        texts: as a caller gave them.
        verb: that takes them, for messages.

    Raises:
        UserError: if they are not; of one among them when it is read.
    """
    if isinstance(texts, str | bytes | Mapping) or hasattr(texts, "columns"):
        kind = "one string" if isinstance(texts, str | bytes) else f"a {type(texts).__name__}"
        raise UserError(f"{verb} takes a list of texts, got {kind}")
    if not isinstance(texts, Iterable) or getattr(texts, "shape", None) == ():
        raise UserError(f"{verb} takes a list of texts, got {texts!r}")
    return map(partial(_text, verb), enumerate(texts, start=1))


def _text(verb: str, numbered: tuple[int, Any]) -> str:
    number, text = numbered
    if not isinstance(text, str):
        raise UserError(f"{verb}: text {number:,} is {text!r:.60}, expected a string")
    return str(text)  # NumPy has strings of its own


@dataclass(frozen=True, repr=False)
class Report(Mapping[str, Any]):
    """How good a model is on a split: a mapping of figures by name.

    >>> report = Report("test split", {"accuracy": 0.9}, ("accuracy 0.9",))
    >>> report["accuracy"]
    0.9

    Attributes:
        title: what was scored.
        figures: as the JSON file of the report holds them.
        lines: the same for people.
        path: of the JSON file, if it was written.
    """

    title: str
    figures: Mapping[str, Any]
    lines: tuple[str, ...]
    path: Path | None = None

    def __getitem__(self, name: str) -> Any:
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __str__(self) -> str:
        return "\n".join([f"{self.title}:", *(f"  {line}" for line in self.lines)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        # notebooks set it in the type of running text, and columns need one of equal widths
        return f'<pre style="font-family: monospace">{escape(str(self))}</pre>'
