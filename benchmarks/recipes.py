"""Trains recipes again, as they stand, and puts what comes out beside their records.

    KERASSEQ_DATA=... python -m benchmarks.recipes sequoia imdb turkish imdb-plain

A run that was stopped goes on by the same command. Without a name the comment at the head of every
recipe is written anew, from its record.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.record import record, recorded
from benchmarks.tables import FIGURES as FIGURES_SHOWN
from benchmarks.tables import command_of
from benchmarks.trained import RUNS, train
from kerasseq.app.recipes import FOLDER, Recipe, find_recipe, recipe_names
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
    before = recorded(recipe.record)
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


def comment(recipe: Recipe) -> str:
    """What the head of a recipe's file says: figure, time, memory, processor, command."""
    result = recorded(recipe.record)
    again = recorded(f"recipe-{recipe.name}") or {"reference": {}}
    title = FIGURES_SHOWN.get(recipe.record, (result["metric"],))[0].replace("`", "")
    if title.startswith("the same"):
        title = f"{result['metric']}, {result['split']}"
    memory = result["reference"].get("peak memory, MiB")
    memory = memory or again["reference"].get("peak memory, MiB")
    seconds, values = mean(result["seconds"]), result["values"]
    seeds = f", the mean of {len(values)} seeds" if len(values) > 1 else ""
    lines = [
        f"{title}: {mean(values):.4g}{seeds}",
        f"figure: {', '.join(f'{value:g}' for value in values)} ({result['metric']})",
        f"split: {result['split']}",
        f"time: {seconds:,.0f} s ({seconds / 60:.1f} minutes)",
        f"memory: {f'{memory:,} MiB' if memory else 'not recorded'}",
        f"processor: {result['machine']}",
        f"data: {recipe.data}",
        f"command: {command_of(recipe)}",
        f"record: benchmarks/results/{recipe.record}.json",
    ]
    return "".join(f"# {line}\n" for line in lines)


def write_comments() -> None:
    """Puts the comment at the head of every recipe."""
    for recipe in map(find_recipe, recipe_names()):
        path = Path(str(FOLDER / f"{recipe.name}.yaml"))
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        body = [line for line in lines if not line.startswith("#")]
        path.write_text("".join([comment(recipe), *body]), encoding="utf-8")


def main() -> None:
    """Trains those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE")
    names = parser.parse_args().recipes
    if not names:
        write_comments()
    for name in names:
        if RunFolder(RUNS / f"recipe-{name}").read_json(SUMMARY) is None:
            again(name)


if __name__ == "__main__":
    main()
