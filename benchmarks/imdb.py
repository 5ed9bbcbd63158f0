"""IMDB sentiment: quality on the official split, the README's first command, time to 0.85.

KERASSEQ_DATA=... python -m benchmarks.imdb official|plain|embedded|time-to-085
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

from benchmarks.record import data_folder, record
from benchmarks.trained import RUNS, train

QUICK = "imdb-time-to-085"


def tf_idf() -> dict:
    """TF-IDF of uni- and bigrams with logistic regression, on the official split."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from kerasseq.tasks.sentiment.reading import read_archive

    start = time.perf_counter()
    splits = read_archive(archive(), "utf-8").splits
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=200)
    texts = {name: [review.text for review in part] for name, part in splits.items()}
    labels = {name: [review.label for review in part] for name, part in splits.items()}
    model.fit(vectorizer.fit_transform(texts["train"]), labels["train"])
    accuracy = model.score(vectorizer.transform(texts["test"]), labels["test"])
    return {"accuracy": round(float(accuracy), 4), "seconds": round(time.perf_counter() - start, 1)}


def archive() -> Path:
    """The aclImdb archive."""
    return data_folder() / "imdb/aclImdb_v1_labelled.tar.gz"


def quality(name: str, recipe: str, seeds: list[int]) -> None:
    """Test accuracy on the official split, one value a seed."""
    results = [
        train("sentiment", f"{name}-{seed}", "--recipe", recipe, "--seed", str(seed))[0]
        for seed in seeds
    ]
    settings = results[0]["settings"]
    settings["data"] = archive().name
    record(
        name,
        metric="accuracy",
        split="test (official, 25,000 reviews)",
        values=[r["test"]["accuracy"] for r in results],
        seconds=[r["training"]["seconds"] for r in results],
        reference={
            "TF-IDF (1-2)-grams + logistic regression, same run": tf_idf(),
            "validation accuracy": [r["training"]["validation"]["accuracy"] for r in results],
            "log-loss": [r["test"]["log_loss"] for r in results],
            "padding waste": results[0]["data"]["batches"]["padding waste"],
        },
        settings={**settings, "seeds": seeds},
    )


def embedded() -> None:
    """What the README's first command does, after installation."""
    if (RUNS / "imdb-embedded").exists():
        sys.exit(
            f"{RUNS / 'imdb-embedded'} exists: remove it, since the time is that of a whole run"
        )
    result, seconds = train("sentiment", "imdb-embedded", "--recipe", "imdb-embedded")
    record(
        "imdb-embedded",
        metric="accuracy",
        split="test (10 % of the embedded reviews, 2,490)",
        values=[result["test"]["accuracy"]],
        seconds=[round(seconds, 1)],
        reference={
            "seconds of training within": result["training"]["seconds"],
            "95 % interval": result["test"]["accuracy_95"],
            "padding waste": result["data"]["batches"]["padding waste"],
        },
        settings=result["settings"],
    )


def time_to_accuracy(accuracy: float, epochs: int) -> None:
    """Seconds from reading the data to a test accuracy, against the stock script."""
    ours, settings = _ours(accuracy)
    from benchmarks.stock_lstm import seconds_to

    stock = seconds_to(accuracy, archive(), epochs, seed=1)
    base = stock["seconds"] or stock["history"][-1]["seconds"]
    record(
        "imdb-time-to-085",
        metric="stock seconds over ours, to a test accuracy of 0.85 (stock looked at after every "
        f"epoch, ours every {settings['training']['evaluate_every']} steps; looking is not "
        "counted)"
        + ("" if stock["seconds"] else "; stock did not reach it, so the ratio is a lower bound"),
        split="test (official)",
        values=[round(base / ours["seconds"], 2)],
        seconds=[ours["seconds"]],
        reference={"stock": stock, "ours": ours},
        settings=settings,
    )


def _ours(accuracy: float) -> tuple[dict, dict]:
    """The recipe with a short-memory average, looked at often; looking is not counted."""
    import tempfile

    import keras

    from kerasseq.app.cli import settings_of
    from kerasseq.app.recipes import find_recipe
    from kerasseq.app.runs import read_data
    from kerasseq.tasks.sentiment.task import Sentiment
    from kerasseq.training.run_folder import RunFolder
    from kerasseq.training.trainer import Trainer

    start = time.perf_counter()
    task = Sentiment()
    settings = settings_of(task, find_recipe(QUICK).changes())
    keras.utils.set_random_seed(settings.seed)
    data = read_data(task, settings, download=False)
    model = task.build_model(settings, data.assets)
    task.adapt(model, settings, data)
    classifier, test = task.use(model, settings, data.assets), data.splits["test"]
    looking = 0.0
    history = []

    def look() -> dict[str, float]:
        nonlocal looking
        began = time.perf_counter()
        shares = classifier.probabilities(test.sequences)
        reached = float((shares.argmax(axis=1) == test.labels).mean())
        now = time.perf_counter()
        looking += now - began
        history.append({"seconds": round(now - start - looking, 1), "accuracy": round(reached, 4)})
        print(f"ours: {history[-1]}", flush=True)
        if reached >= accuracy:
            raise StopIteration
        return {"accuracy": reached}

    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        with run.open(task.name, {}):
            trainer = Trainer(
                model, task.loss(model, settings), task.batches(settings, data), look,
                {"accuracy": "max"}, settings.training, run,
            )  # fmt: skip
            with contextlib.suppress(StopIteration):
                trainer.fit()
    waste = data.report["batches"]["padding waste"]
    used = {**settings.to_dict(), "data": archive().name}
    return {"seconds": history[-1]["seconds"], "history": history, "padding waste": waste}, used


def main() -> None:
    """Measures one figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figure", choices=["official", "plain", "embedded", "time-to-085"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=5, help="most epochs of the stock script")
    options = parser.parse_args()
    if options.figure == "official":
        quality("imdb-official", "imdb", options.seeds)
    elif options.figure == "plain":
        quality("imdb-official-plain", "imdb-plain", options.seeds)
    elif options.figure == "embedded":
        embedded()
    else:
        time_to_accuracy(0.85, options.epochs)


if __name__ == "__main__":
    main()
