"""Writes the result tables of the README and of docs/ from benchmarks/results/.

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``, NAME being one of TABLES.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.record import RESULTS, recorded
from benchmarks.sweeps import SWEEPS
from kerasseq.app.recipes import Recipe, find_recipe, recipe_names

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SPEEDS = (("LSTM", "layers-speed"), ("GRU", "layers-speed-gru"))

# figure -> what it is, must and aim (None where the project has set none)
FIGURES: dict[str, tuple[str, float | None, float | None]] = {
    "imdb-official": ("IMDB, official test split: BiLSTM with n-grams, accuracy", 0.900, 0.920),
    "imdb-official-plain": ("the same without the n-grams (`--text.ngrams 0`)", None, None),
    "imdb-embedded": ("the README's first command: accuracy", 0.87, 0.88),
    "imdb-time-to-085": ("time to 0.85 test accuracy: tutorial's script over ours", 3, 6),
    "ewt-upos": ("UD English-EWT 2.16, UPOS on test, gold tokens, accuracy", 0.946, 0.955),
    "ewt-upos-unseen": ("the same, words unseen in training", 0.80, 0.86),
    "sequoia-upos-dev": ("UD French-Sequoia 2.16, UPOS on dev, accuracy", 0.960, 0.973),
    "conll2000-chunk": ("CoNLL-2000 chunking, F1 on test", 0.930, 0.942),
    "turkish-coarse": ("embedded Turkish treebank, coarse tags, accuracy", 0.935, 0.955),
    "ptb-word": ("Penn Treebank words, perplexity on test", 80, 70),
    "wikitext2-word": ("WikiText-2 words, perplexity on valid", 120, 100),
    "wikitext2-memory": (
        "the same with the full softmax, largest resident set in training, MiB",
        2560,
        1536,
    ),
    "tinyshakespeare-char": ("tinyshakespeare, last 10 %, nats a character", 1.55, 1.47),
    "tinyshakespeare-char-cache": ("the same model with a neural cache", None, None),
    "gutenberg1268-char": (
        "The Mysterious Island, nats a character on validation",
        None,
        None,
    ),
    "gutenberg1268-time-to-textbook": (
        "the same: time to the best loss of a textbook's LSTM-512, its own over ours",
        1,
        2,
    ),
    "lm-speed-vs-pytorch": (
        "PTB, tied 2x650: time to the perplexity of our first epoch, PyTorch's over ours",
        1.5,
        3,
    ),
    "generate-vs-bandwidth": ("a generated token's time over the bandwidth's bound", 3, 1.5),
    "tagging-throughput": ("exported EWT tagger, tokens a second", 20_000, 50_000),
    "multi30k-en-de": ("Multi30k English to German, BLEU on test_2016_flickr", 34, 38),
    "multi30k-de-en": ("Multi30k German to English, BLEU on test_2016_flickr", 36, 40),
    "multi30k-attention-gain": ("the same, BLEU with attention less without", 5, 8),
    "bible-en-es": ("embedded verses, English to Spanish, BLEU", 10, 15),
    "translation-speed-vs-pytorch": (
        "Multi30k, training tokens a second over PyTorch's, float32",
        1.0,
        1.5,
    ),
    "translation-speed-vs-pytorch-bfloat16": ("the same, both in bfloat16", 1.0, 1.5),
    "beam-speed-vs-joeynmt": (
        "Multi30k, sentences a second with beam 5 over JoeyNMT's",
        2,
        5,
    ),
    "tests-minutes": ("README's test command, minutes on two cores", 8, None),
    "serve-load": (
        "served sentiment, texts a second of 32 clients over one client, two cores",
        4,
        None,
    ),
}


# what the README shows: recipe -> what it is
FRONT = {
    "imdb-embedded": "the first command above, film reviews, accuracy",
    "imdb": "IMDB, official test split, accuracy",
    "ewt": "parts of speech, UD English-EWT, accuracy",
    "chunks": "chunks, CoNLL-2000, F1",
    "ptb": "language model, Penn Treebank, perplexity",
    "tinyshakespeare": "language model, tinyshakespeare, nats a character",
    "multi30k-de-en": "German to English, Multi30k, BLEU",
    "multi30k-en-de": "English to German, Multi30k, BLEU",
}

# beside others, ours over theirs
SPEEDUPS = {
    "imdb-time-to-085": "IMDB to 0.85 test accuracy, over the script of a well-known tutorial",
    "lm-speed-vs-pytorch": "Penn Treebank to the perplexity of our first epoch, over PyTorch",
    "translation-speed-vs-pytorch": "training tokens a second of translation, over PyTorch",
    "beam-speed-vs-joeynmt": "sentences a second with a beam of 5, over JoeyNMT",
}


def shown(result: dict[str, Any]) -> str:
    """The values, with their mean if there are several."""
    values = result["values"]
    if len(values) == 1:
        return f"{values[0]:g}"
    return f"{mean(values):.4f} ({', '.join(f'{value:.4f}' for value in values)})"


def _each(names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The figures that were measured, each with its name."""
    for name in names:
        if (result := recorded(name)) is not None:
            yield name, result


def _each_recipe(names: Iterable[str]) -> Iterator[tuple[Recipe, dict[str, Any]]]:
    """The recipes whose figure was measured, each with its record."""
    for recipe in map(find_recipe, names):
        for _, result in _each([recipe.record]):
            yield recipe, result


def figures(results: str) -> str:
    """One row for each recorded figure."""
    lines = [
        "| figure | value | must | aim | seconds | command |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, result in _each(FIGURES):
        what, must, aim = FIGURES[name]
        seconds = ", ".join(f"{s:.0f}" for s in result["seconds"])
        bounds = " | ".join("" if bound is None else f"{bound:g}" for bound in (must, aim))
        lines.append(
            f"| [{what}]({results}/{name}.json) | {shown(result)} | {bounds} | {seconds} "
            f"| `{result['command']}` |"
        )
    return "\n".join(lines)


def front(results: str) -> str:
    """The README's choice, a row a recipe."""
    lines = ["| what | result | time to train | command |", "| --- | --- | --- | --- |"]
    for recipe, result in _each_recipe(FRONT):
        lines.append(
            f"| {FRONT[recipe.name]} "
            f"| [{mean(result['values']):.4g}]({results}/{recipe.record}.json) "
            f"| {_time(result)} | `{command_of(recipe)}` |"
        )
    return "\n".join(lines)


def speedups(results: str) -> str:
    """How many times faster than others, a row a comparison."""
    lines = ["| what, both measured in one place | times as fast |", "| --- | --- |"]
    for name, result in _each(SPEEDUPS):
        value = f"[{mean(result['values']):.2g}]({results}/{name}.json)"
        lines.append(f"| {SPEEDUPS[name]} | {value} |")
    return "\n".join(lines)


def recipes(results: str) -> str:
    """One row for each recipe."""
    lines = ["| command | data | figure | value | time |", "| --- | --- | --- | --- | --- |"]
    for recipe, result in _each_recipe(recipe_names()):
        lines.append(
            f"| `{command_of(recipe)}` | `{recipe.data.replace(',', ', ')}` "
            f"| {result['metric']}; {result['split']} "
            f"| [{shown(result)}]({results}/{recipe.record}.json) | {_time(result)} |"
        )
    return "\n".join(lines)


def command_of(recipe: Recipe) -> str:
    """The command line that trains, or sweeps, as a recipe says."""
    verb = "train"
    if recipe.name.startswith("sweep-"):
        verb = " ".join(["tune", *SWEEPS[recipe.task]])
    return f"kerasseq {recipe.task} {verb} --recipe {recipe.name}"


def _time(result: dict[str, Any]) -> str:
    """How long one run took, and on what: the mean over seeds."""
    minutes = mean(result["seconds"]) / 60
    time = f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    cores = result["machine"].partition(" ")[0]
    return f"{time}, {cores} core{'s' if cores != '1' else ''}"


def layer_speeds(results: str) -> str:
    """RecurrentStack beside the Keras built-ins and PyTorch, a row a size."""
    lines = [
        "| cell, batch x time x input x units | training step, tokens/s | over Keras "
        "| over PyTorch | forward over Keras | over PyTorch "
        "| peak memory, MiB: ours, Keras, PyTorch |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell, name in SPEEDS:
        result = recorded(name)
        for row in result["reference"]["measured"] if result else []:
            memory = ", ".join(
                f"{row[f'{whose}_memory_mib']:.0f}" for whose in ("kerasseq", "keras", "torch")
            )
            lines.append(
                f"| {cell} {row['size']} | {row['kerasseq_train_tokens_per_second']:,} "
                f"| {row['train_over_keras']:.2f} | {row['train_over_torch']:.2f} "
                f"| {row['forward_over_keras']:.2f} | {row['forward_over_torch']:.2f} | {memory} |"
            )
    return "\n".join(lines)


def large_vocabulary(results: str) -> str:
    """The output losses beside the dense softmax, a row a case."""
    lines = [
        "| tokens x vocabulary x width | loss | seconds a step | speed over dense | memory, MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    result = recorded("large-vocabulary")
    for size, rows in result["reference"]["measured"].items() if result else ():
        for kind, row in rows.items():
            lines.append(
                f"| {size} | {kind} | {row['seconds']:.3f} | {row['speed_over_dense']:.2f} "
                f"| {row['memory_mib']:.0f} |"
            )
    return "\n".join(lines)


def sweeps(results: str) -> str:
    """One row for each task's sweep."""
    lines = [
        "| sweep | trials: completed, pruned, failed | minutes | metric on validation "
        "| defaults then | best trial | its settings trained again |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task in ("sentiment", "pos_tagging", "language_model", "translation"):
        result = recorded(f"sweep-{task}")
        if result is None:
            continue
        found, data = result["reference"], result["settings"]["data"].rpartition("/input")[0]
        states = [trial["status"] for trial in found["trials"]]
        counts = ", ".join(str(states.count(s)) for s in ("completed", "pruned", "failed"))
        what = f"{task} on {data.rpartition('/')[2] or 'embedded'}"
        options = " ".join(result["settings"]["options"])
        lines.append(
            f"| [{what}]({results}/sweep-{task}.json), `{options}` | {counts} "
            f"| {result['seconds'][0] / 60:.0f} | {result['metric'].partition(' ')[0]} "
            f"| {found['defaults']:.4f} | {result['values'][0]:.4f} "
            f"| {found['best settings trained again']:.4f} |"
        )
    return "\n".join(lines)


SMALL = {"imdb": "IMDB", "sst2": "SST-2", "brown": "Brown, 15 categories"}


def few_texts(results: str) -> str:
    """The defaults beside TF-IDF, a row a size of the training data."""
    lines = [
        "| data, what is scored | labelled texts | draws | accuracy of the defaults "
        "| TF-IDF + logistic regression | difference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, what in SMALL.items():
        if (result := recorded(f"small-data-{name}")) is None:
            continue
        found = result["reference"]
        for count, mine in zip(found["texts"], result["values"], strict=True):
            pairs = found["each draw"][str(count)]
            other = mean(pair[1] for pair in pairs)
            lines.append(
                f"| [{what}]({results}/small-data-{name}.json), {result['split']} | {count:,} "
                f"| {len(pairs)} | {mine:.4f} | {other:.4f} | {mine - other:+.4f} |"
            )
    return "\n".join(lines)


TABLES = {
    "few texts": few_texts,
    "front": front,
    "speedups": speedups,
    "results": figures,
    "recipes": recipes,
    "sweeps": sweeps,
    "layer speeds": layer_speeds,
    "large vocabulary": large_vocabulary,
}


def updated(text: str, folder: Path = ROOT) -> str:
    """A page with the tables of the results at hand.

    Args:
        text: of the page.
        folder: that the page is in, which links are relative to.
    """
    results = os.path.relpath(RESULTS, folder)
    for name, table in TABLES.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start in text:
            before, _, rest = text.partition(start)
            text = f"{before}{start}\n{table(results)}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(updated(page.read_text(encoding="utf-8"), page.parent), encoding="utf-8")
