"""Small made-up corpora and runs trained on them, through the command line as a user would."""

import contextlib
import csv
import fcntl
import functools
import io
import os
import random
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import tensorflow as tf

import kerasseq.app.run
import kerasseq.app.runs
import kerasseq.export.__main__
from kerasseq.app import cli
from kerasseq.export import versions
from kerasseq.tasks.sentiment.task import Sentiment
from tests import warm

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
    "--text.ngrams=1", "--text.ngram_rows=500", "--model.embedding_dropout=0",
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
    """The words of a command line, after ``python``."""
    return ["-m", f"tasks.{task.name}", verb, *map(str, words)]


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


def spawn(verb, *words, task=SENTIMENT, start=warm.run, errors=False):
    """Runs a verb in a process of its own, which is warm or, by ``python``, as a shell does it;
    returns what it printed, or of ``errors`` what it said on standard error."""
    done = start(command(verb, *words, task=task), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    if errors:
        return done.stderr
    assert done.stderr == ""
    return done.stdout


def python(words, **options):
    """Starts Python anew; what it printed."""
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="session", autouse=True)
def _warm_checks():
    """An export is proved in a warm process, unless a test asks for :func:`really_clean`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "run_python", warm_check)
        yield


REAL_CHECK = versions.run_python


def warm_check(words, given, folder, environment):
    """What proves a SavedModel imports tensorflow; a client must run without it."""
    if "import tensorflow" not in " ".join(words):
        return REAL_CHECK(words, given, folder, environment)
    return warm.run(words, given, folder, environment)


@contextlib.contextmanager
def really_clean():
    """Here an export is proved as it is for a user: one for each task and format is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "run_python", REAL_CHECK)
        yield


def given(monkeypatch, content):
    """Puts bytes on standard input."""
    stream = types.SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stream)


load_run = functools.cache(kerasseq.app.runs.load_run)
load_saved_model = functools.cache(tf.saved_model.load)


def load_once(monkeypatch, *modules):
    """Has the verbs of every task, and a task's own in ``modules``, load each run and export once,
    which else would take most of the time."""
    for place in (*modules, kerasseq.app.run):
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
def once(tmp_path_factory):
    """``once(name, make)``: the folder that ``make(folder)`` filled, and the text it returned; made
    by the first test process that asks, for all of them."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def find(name, make):
        folder, returned = root / name, root / f"{name}.txt"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not returned.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that failed
                folder.mkdir()
                returned.write_text(make(folder) or "", encoding="utf-8")
        return folder, returned.read_text(encoding="utf-8")

    return find


@pytest.fixture(scope="session")
def reviews(once):
    folder, _ = once("reviews", lambda folder: write_reviews(folder / "reviews.csv") and None)
    return folder / "reviews.csv"


@pytest.fixture(scope="session")
def trained(once, reviews):
    """A finished run, its exports, and what ``train`` printed."""

    def make(folder):
        where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
        where += ["--name", "sentiment"]
        return spawn("train", "--data", reviews, *where, *SMALL, start=python)

    return once("sentiment", make)
