"""Writes the README's result tables from benchmarks/results/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.record import RESULTS

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- results -->", "<!-- /results -->"

# figure -> what it is, must and aim (None where the project has set none)
FIGURES: dict[str, tuple[str, float | None, float | None]] = {
    "imdb-official": ("IMDB, official test split: BiLSTM with n-grams, accuracy", 0.900, 0.920),
    "imdb-official-plain": ("the same without the n-grams (`--model.ngrams 0`)", None, None),
    "imdb-embedded": ("README's first command, accuracy", 0.87, 0.88),
    "imdb-time-to-085": ("time to 0.85 test accuracy: tutorial's script over ours", 3, 6),
}


def shown(result: dict[str, Any]) -> str:
    """The values, with their mean if there are several."""
    values = result["values"]
    if len(values) == 1:
        return f"{values[0]:g}"
    return f"{mean(values):.4f} ({', '.join(f'{value:.4f}' for value in values)})"


def table() -> str:
    """One row for each recorded figure."""
    lines = [
        "| figure | value | must | aim | seconds | command |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (what, must, aim) in FIGURES.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        seconds = ", ".join(f"{s:.0f}" for s in result["seconds"])
        bounds = " | ".join("" if bound is None else f"{bound:g}" for bound in (must, aim))
        lines.append(
            f"| [{what}](benchmarks/results/{name}.json) | {shown(result)} | {bounds} | {seconds} "
            f"| `{result['command']}` |"
        )
    return "\n".join(lines)


def updated(text: str) -> str:
    """The README with the tables of the results at hand."""
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{START}\n{table()}\n{END}", text)


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
