"""What a model gives, as plain objects that show themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from kerasseq.app.task import Task


def predictions(task: Task, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Results as the task's dataclass; ``pandas.DataFrame(predictions)`` makes a table of them."""
    names = [field.name for field in dataclasses.fields(task.prediction_class)]
    return [task.prediction_class(**{name: row.get(name) for name in names}) for row in rows]


@dataclass(frozen=True)
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

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"
