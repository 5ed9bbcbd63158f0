"""Small made-up corpora and runs trained on them, through the command line as a user would."""

import contextlib
import csv
import functools
import io
import os
import random
import subprocess
import sys
import types
from pathlib import Path

import pytest
import tensorflow as tf

import kerasseq.app.runs
import kerasseq.app.verbs
import kerasseq.export.__main__
from kerasseq.app import cli
from kerasseq.tasks.sentiment.task import Sentiment

ROOT = Path(__file__).parent.parent.parent
SENTIMENT = Sentiment()
GOOD = ["wonderful", "moving", "brilliant", "touching", "superb", "funny"]
BAD = ["dreadful", "boring", "awful", "clumsy", "tedious", "painful"]
FILLER = [
    "the",
    "film",
    "was",
    "a",
    "story",
    "of",
    "two",
    "people",
    "in",
    "some",
    "town",
    "with",
    "music",
    "and",
    "an",
    "ending",
]

SMALL = [
    "--model.embedding=8", "--model.units=4", "--batches.size=8", "--text.min_count=1",
    "--model.ngrams=1", "--model.ngram_rows=500", "--model.embedding_dropout=0",
    "--model.output_dropout=0.2", "--training.learning_rate=0.1", "--training.epochs=4",
    "--training.average=0.9", "--held_out=0.15",
]  # fmt: skip


def benchmark(name):
    """A file or folder of the benchmark data; skips the test without it."""
    folder = os.environ.get("KERASSEQ_DATA")
    found = Path(folder or ".") / name
    if not folder or not found.exists():
        pytest.skip(f"set KERASSEQ_DATA to a folder with {name}")
    return found


def command(verb, *words, task=SENTIMENT):
    return [sys.executable, "-m", f"tasks.{task.name}", verb, *map(str, words)]


def call(verb, *words, task=SENTIMENT, status=0):
    """Runs a verb in this process; returns what it printed (its error line if it fails)."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        got = cli.run(task, [verb, *map(str, words)])
    assert got == status, errors.getvalue() + out.getvalue()
    if status:
        assert errors.getvalue().count("\n") == 1, errors.getvalue()
        return errors.getvalue()
    return out.getvalue()


def spawn(verb, *words, task=SENTIMENT):
    """Runs a verb in a process of its own, as a shell does; returns what it printed."""
    done = subprocess.run(
        command(verb, *words, task=task), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def given(monkeypatch, content):
    """Puts bytes on standard input."""
    stream = types.SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stream)


load_run = functools.cache(kerasseq.app.runs.load_run)
load_saved_model = functools.cache(tf.saved_model.load)


def load_once(monkeypatch, module):
    """Has a task's verbs load each run and export once, which else would take most of the time."""
    for place in (module, kerasseq.app.verbs):
        monkeypatch.setattr(place, "load_run", load_run)
    monkeypatch.setattr(tf.saved_model, "load", load_saved_model)


def export_elsewhere(call, run, kind, folder):
    """Exports a run to another format, has ``verify`` check it, and returns the version."""
    printed = call("export", *run, "--saved-models", folder, "--format", kind)
    assert "the client answers as Keras does" in printed
    (version,) = folder.glob(f"*-{kind}/*")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert verified(version)
    assert f"{kind} of " in out.getvalue()
    return version


def verified(version):
    """Whether ``python -m kerasseq.export verify`` finds a version as it should be."""
    with pytest.raises(SystemExit) as end:
        kerasseq.export.__main__.main(["verify", str(version)])
    return end.value.code == 0


def write_reviews(path, count=240, seed=0):
    """Reviews whose class is told by one word among fillers."""
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for i in range(count):
            words = draw.choices(FILLER, k=draw.randint(3, 30))
            words.insert(draw.randrange(len(words)), draw.choice(GOOD if i % 2 else BAD))
            writer.writerow([" ".join(words), ["no", "yes"][i % 2]])
    return path


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, reviews):
    """A finished run, its exports, and what ``train`` printed."""
    folder = tmp_path_factory.mktemp("trained")
    where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
    printed = spawn("train", "--data", reviews, *where, *SMALL)
    return folder, printed
