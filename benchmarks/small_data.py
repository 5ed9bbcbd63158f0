"""Few labelled texts: the defaults against TF-IDF with logistic regression, paired.

    KERASSEQ_DATA=... python -m benchmarks.small_data imdb sst2 brown

Both get the same texts; ours takes a tenth of them for validation. With --develop nothing is
recorded and no official split is scored, but up to 4,000 texts that a draw leaves of train.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from benchmarks.record import data_folder, record
from benchmarks.trained import RUNS

Rows = list[tuple[str, str]]


class Source(NamedTuple):
    """A data set.

    Attributes:
        train: of which texts are drawn.
        test: official; None where each draw leaves a fifth of all.
        split: what is scored, for the record.
        draws: how often how many texts are drawn.
    """

    train: Rows
    test: Rows | None
    split: str
    draws: dict[int, int]


def imdb() -> Source:
    """Reviews."""
    from kerasseq.tasks.sentiment.reading import read_archive

    splits = read_archive(data_folder() / "imdb/aclImdb_v1_labelled.tar.gz", "utf-8").splits
    train, test = ([(text, str(label)) for text, label in splits[n]] for n in ("train", "test"))
    draws = {200: 5, 1000: 5, 5000: 1, len(train): 1}
    return Source(train, test, f"test (official, {len(test):,} reviews)", draws)


def sst2() -> Source:
    """Sentences of film reviews, from the Stanford Sentiment Treebank."""
    train, dev = (_sst2(name) for name in ("train", "dev"))
    return Source(train, dev, f"dev (official, {len(dev):,} sentences)", {1000: 5, len(train): 5})


def _sst2(name: str) -> Rows:
    path = data_folder() / f"sentiment_small/sst2/stsa.binary.{name}.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return [(text, label) for label, _, text in (line.partition(" ") for line in lines)]


def brown() -> Source:
    """Paragraphs of the Brown corpus, and the category of their document (15)."""
    rows: Rows = []
    with tarfile.open(data_folder() / "pos/brown/brown.tar.gz") as archive:

        def read(name: str) -> str:
            member = archive.extractfile(f"brown/{name}")
            assert member is not None
            return member.read().decode("utf-8")

        for line in read("cats.txt").splitlines():
            name, category = line.split()
            for paragraph in read(name).split("\n\n"):
                words = [word.rpartition("/")[0] for word in paragraph.split()]
                if words:
                    rows.append((" ".join(words), category))
    count = len(rows) * 4 // 5
    split = f"a fifth of {len(rows):,} paragraphs, drawn three times"
    return Source(rows, None, split, {count: 3})


def draw(rows: Rows, count: int, seed: int) -> tuple[Rows, Rows]:
    """Texts with the balance of all, and those that are left; of all texts, another order of them,
    and so another validation split."""
    random = np.random.default_rng(seed)
    places: dict[str, list[int]] = defaultdict(list)
    for i, (_, label) in enumerate(rows):
        places[label].append(i)
    shares = {label: count * len(members) // len(rows) for label, members in places.items()}
    taken = np.concatenate(
        [random.permutation(places[one])[: shares[one]] for one in sorted(shares)]
    )
    left = random.permutation(np.setdiff1d(np.arange(len(rows)), taken))
    return [rows[i] for i in random.permutation(taken)], [rows[i] for i in left]


def tf_idf(train: Rows, test: Rows) -> float:
    """Accuracy of TF-IDF of 1-2-grams and logistic regression, at its best on such data: sublinear,
    C = 10."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    (texts, labels), (unseen, wanted) = zip(*train, strict=True), zip(*test, strict=True)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=1000).fit(vectorizer.fit_transform(texts), labels)
    return float(model.score(vectorizer.transform(unseen), wanted))


def ours(train: Rows, test: Rows, folder: Path, **settings: Any) -> float:
    """Accuracy of the defaults."""
    import kerasseq

    data = {"train": train, "test": test}
    run = kerasseq.train("sentiment", data, run=folder, quiet=True, **settings)
    return float(run.evaluate()["accuracy"])


def measure(name: str, counts: list[int], draws: int, develop: bool, settings: dict) -> None:
    """One data set: an accuracy of either for each draw."""
    source = SOURCES[name]()
    kept = RUNS / f"small-data-{name}.json"  # a stopped measurement goes on
    found: dict[str, list] = {}
    if not develop and kept.exists():
        found = json.loads(kept.read_text())
    sizes = {count: source.draws.get(count, 1) for count in counts} or source.draws
    for count, times in sizes.items():
        for seed in range(1, (draws or times) + 1):
            key = f"{count}/{seed}"
            if key in found:
                continue
            train, left = draw(source.train, count, seed + 100 * develop)
            test = left[:4000] if develop or source.test is None else source.test
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                mine = ours(train, test, Path(folder) / "run", **settings)
            seconds = round(time.perf_counter() - start, 1)
            found[key] = [round(mine, 4), round(tf_idf(train, test), 4), seconds]
            print(f"{name} n = {count:,}, draw {seed}: {found[key]}", flush=True)
            if not develop:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(found))
        rows = [value for key, value in found.items() if key.startswith(f"{count}/")]
        mine, other = (fmean(row[i] for row in rows) for i in (0, 1))
        print(f"{name} n = {count:,}: {mine:.4f} against {other:.4f} ({mine - other:+.4f})")
    if not develop:
        _record(name, source, found)


def _record(name: str, source: Source, found: dict[str, list]) -> None:
    rows = {n: [found[f"{n}/{k}"] for k in range(1, t + 1)] for n, t in source.draws.items()}
    record(
        f"small-data-{name}",
        metric="accuracy of the defaults, the mean of the draws of each size",
        split=source.split,
        values=[round(fmean(row[0] for row in part), 5) for part in rows.values()],
        seconds=[round(fmean(row[2] for row in part), 1) for part in rows.values()],
        reference={
            "texts": list(rows),
            "TF-IDF (1-2)-grams + logistic regression, same draws": [
                round(fmean(row[1] for row in part), 5) for part in rows.values()
            ],
            "each draw": {n: [row[:2] for row in part] for n, part in rows.items()},
        },
        settings={"defaults": True, "draws of each size": source.draws},
    )


SOURCES: dict[str, Callable[[], Source]] = {"imdb": imdb, "sst2": sst2, "brown": brown}


def main() -> None:
    """Measures some data sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", choices=list(SOURCES))
    parser.add_argument("--develop", action="store_true", help="score what draws leave of train")
    parser.add_argument("--texts", type=int, nargs="+", default=[], help="how many, with --develop")
    parser.add_argument("--draws", type=int, default=0, help="of each size")
    parser.add_argument("--settings", type=json.loads, default={}, help="with --develop, as JSON")
    options = parser.parse_args()
    if options.settings and not options.develop:
        parser.error("the defaults are measured: --settings is for --develop")
    if (options.texts or options.draws) and not options.develop:
        parser.error("all sizes are measured: --texts and --draws are for --develop")
    for name in options.sources:
        measure(name, options.texts, options.draws, options.develop, options.settings)


if __name__ == "__main__":
    main()
