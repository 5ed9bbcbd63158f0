"""Trains recipes again, as they stand, and puts what comes out beside their records.

    KERASSEQ_DATA=... python -m benchmarks.recipes sequoia imdb turkish imdb-plain

A run that was stopped goes on by the same command.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.record import RESULTS, record
from benchmarks.trained import RUNS, train
from kerasseq.app.recipes import find_recipe, recipe_names
from kerasseq.training.run_folder import SUMMARY, RunFolder

Result = Mapping[str, Any]

# where a run has the figure that its record has
FIGURES: dict[str, Callable[[Result], float]] = {
    "accuracy": lambda result: result["test"]["accuracy"],
    "F1 of chunks (conlleval)": lambda result: result["test"]["span_f1"],
    "perplexity": lambda result: result["test"]["perplexity"],
    "nats per character": lambda result: result["test"]["nats_per_token"],
    "BLEU (sacrebleu, detokenised, with case)": lambda result: result["test"]["bleu"]["score"],
}


def again(name: str) -> None:
    """Trains one recipe and records its figure."""
    recipe = find_recipe(name)
    before = json.loads((RESULTS / f"{recipe.record}.json").read_text(encoding="utf-8"))
    figure = FIGURES[before["metric"]]
    if before["split"].startswith("validation"):
        figure = lambda result: result["training"]["validation"]["loss"]  # noqa: E731
    result, seconds = train(recipe.task, f"recipe-{name}", "--recipe", name)
    record(
        f"recipe-{name}",
        metric=before["metric"],
        split=before["split"],
        values=[round(figure(result), 5)],
        seconds=[result["training"]["seconds"]],
        reference={
            "the record": before["values"],
            "seconds of the command": round(seconds, 1),
            "peak memory, MiB": result["training"]["peak_memory_mib"],
        },
        settings={**result["settings"], "data": recipe.data},
    )


def main() -> None:
    """Trains those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+", choices=recipe_names())
    for name in parser.parse_args().recipes:
        if RunFolder(RUNS / f"recipe-{name}").read_json(SUMMARY) is None:
            again(name)


if __name__ == "__main__":
    main()
