"""Tagging: quality on treebanks and chunks, and the speed of the exported tagger.

KERASSEQ_DATA=... python -m benchmarks.tagging ewt|sequoia|chunks|turkish|throughput
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from itertools import chain
from typing import Any

from benchmarks.record import data_folder, record
from benchmarks.trained import RUNS, train

TASK = "pos_tagging"
BATCH = 256


def runs(name: str, recipe: str, seeds: list[int]) -> list[dict[str, Any]]:
    """The records of a recipe's run for each seed."""
    return [
        train(TASK, f"{name}-{seed}", "--recipe", recipe, "--seed", str(seed))[0] for seed in seeds
    ]


def keep(
    name: str,
    results: list[dict[str, Any]],
    split: str,
    source: str,
    metric: str,
    key: str,
    seeds: list[int],
    **reference: Any,
) -> None:
    """Records one figure of some runs: ``key`` of their test reports."""
    record(
        name,
        metric=metric,
        split=split,
        values=[r["test"][key] for r in results],
        seconds=[r["training"]["seconds"] for r in results],
        reference={
            "most frequent tag of each word, same split": results[0]["test"]["baseline"].get(key),
            "validation": [r["training"]["validation"] for r in results],
            "95 % interval over sentences": [r["test"]["accuracy_95_sentences"] for r in results],
            **reference,
        },
        settings={**results[0]["settings"], "data": source, "seeds": seeds},
    )


def ewt(seeds: list[int]) -> None:
    """UD English-EWT, UPOS, test split."""
    source = "pos/ud_english_ewt"
    results = runs("ewt-upos", "ewt", seeds)
    split = "test (official, 25,094 words, gold tokens)"
    keep("ewt-upos", results, split, source, "accuracy", "accuracy", seeds)
    unseen = f"words of it that train does not have ({results[0]['test']['unseen']:,})"
    keep("ewt-upos-unseen", results, unseen, source, "accuracy", "unseen_accuracy", seeds)


def sequoia(seeds: list[int]) -> None:
    """UD French-Sequoia, UPOS; dev takes the place of test, validation is cut from train."""
    keep(
        "sequoia-upos-dev",
        runs("sequoia-upos-dev", "sequoia", seeds),
        "dev (official, 9,999 words), scored once; validation is 5 % of train",
        "pos/ud_french_sequoia",
        "accuracy",
        "accuracy",
        seeds,
    )


def chunks(seeds: list[int]) -> None:
    """CoNLL-2000 chunking, F1 by conlleval's rules, test split."""
    source = "pos/conll2000"
    results = runs("conll2000-chunk", "chunks", seeds)
    keep(
        "conll2000-chunk",
        results,
        "test (official, 23,852 chunks); validation is 5 % of train",
        source,
        "F1 of chunks (conlleval)",
        "span_f1",
        seeds,
    )


def turkish(seeds: list[int]) -> None:
    """The embedded Turkish treebank, coarse tags."""
    results = runs("turkish-coarse", "turkish", seeds)
    keep("turkish-coarse", results, "test (8,025 words)", "embedded", "accuracy", "accuracy", seeds)


def throughput(repeats: int) -> None:
    """Words a second of the exported EWT tagger, beside NLTK's perceptron tagger, in turns."""
    import tensorflow as tf

    try:
        from nltk.tag.perceptron import PerceptronTagger
    except ImportError:
        sys.exit("this figure compares with NLTK: pip install nltk")
    from kerasseq.tasks.tagging.export import pad_tokens
    from kerasseq.tasks.tagging.reading import read_path

    corpus = read_path(data_folder() / "pos/ud_english_ewt", "utf-8")
    rows = {
        split: [(s.words, s.columns["upos"]) for s in corpus.splits[split]]
        for split in ("train", "test")
    }
    perceptron = PerceptronTagger(load=False)
    perceptron.train([list(zip(*row, strict=True)) for row in rows["train"]], nr_iter=5)
    version = max((RUNS / "saved_models/ewt-upos-1").glob("[0-9]*"), key=lambda p: int(p.name))
    loaded = tf.saved_model.load(str(version))
    tag_tokens = loaded.signatures["tag_tokens"]
    sentences = [words for words, _ in rows["test"]]
    blocks = [sentences[i : i + BATCH] for i in range(0, len(sentences), BATCH)]
    padded = [tf.constant(pad_tokens(block)["tokens"]) for block in blocks]

    def ours() -> list[list[str]]:
        found = []
        for block in padded:
            answer = tag_tokens(tokens=block)
            lengths = answer["lengths"].numpy()
            tags = answer["tags"].numpy()
            found += [row[:length].astype(str).tolist() for row, length in zip(tags, lengths)]  # noqa: B905
        return found

    def theirs() -> list[list[str]]:
        return [[tag for _, tag in perceptron.tag(words)] for words in sentences]

    words = sum(map(len, sentences))
    gold = [tag for _, tags in rows["test"] for tag in tags]

    def accuracy(tagged: list[list[str]]) -> float:
        pairs = zip(chain.from_iterable(tagged), gold, strict=True)
        return round(sum(a == b for a, b in pairs) / words, 5)

    taggers: dict[str, Callable[[], list[list[str]]]] = {
        "kerasseq": ours,
        "NLTK perceptron": theirs,
    }
    accuracies = {name: accuracy(tagger()) for name, tagger in taggers.items()}
    times: dict[str, list[float]] = {name: [] for name in taggers}
    for _ in range(repeats):
        for name, tagger in taggers.items():
            start = time.perf_counter()
            tagger()
            times[name].append(time.perf_counter() - start)
    rate = {name: round(words / statistics.median(spent)) for name, spent in times.items()}
    record(
        "tagging-throughput",
        metric=f"tokens a second from the SavedModel, batches of {BATCH} sentences",
        split="test of UD English-EWT, given tokens",
        values=[rate["kerasseq"]],
        seconds=[round(statistics.median(times["kerasseq"]), 3)],
        reference={
            "NLTK perceptron tagger trained on the same data, same run": rate["NLTK perceptron"],
            "accuracies": accuracies,
            "tokens a second, each turn": {
                name: [round(words / s) for s in spent] for name, spent in times.items()
            },
        },
        settings={"repeats": repeats, "model": "ewt-upos, seed 1"},
    )


def main() -> None:
    """Measures one figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figure", choices=["ewt", "sequoia", "chunks", "turkish", "throughput"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--repeats", type=int, default=7, help="turns of throughput")
    options = parser.parse_args()
    if options.figure == "throughput":
        throughput(options.repeats)
    else:
        figures = {"ewt": ewt, "sequoia": sequoia, "chunks": chunks, "turkish": turkish}
        figures[options.figure](options.seeds)


if __name__ == "__main__":
    main()
