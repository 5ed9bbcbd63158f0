"""A small made-up language, and runs trained on it, through the command line as a user would."""

import contextlib
import functools
import gzip
import io
import json
import random
import shutil

import keras
import pytest

import kerasseq.tasks.language_model.verbs
from kerasseq.app import cli
from kerasseq.export import saved_model
from kerasseq.tasks.language_model.task import LanguageModel
from tests.tasks import conftest
from tests.tasks.conftest import load_once, really_clean

TASK = LanguageModel()
call = functools.partial(conftest.call, task=TASK)

SMALL = [
    "--model.embedding=16", "--model.units=16", "--model.input_dropout=0",
    "--model.layer_dropout=0", "--model.output_dropout=0.1", "--streams.size=8",
    "--streams.length=12", "--training.learning_rate=0.03", "--training.average=0.9",
    "--training.epochs=3",
]  # fmt: skip
QUICK = [*SMALL, "--training.epochs=1", "--only-train"]
TYPES = {".", "a", "the", "it", "cat", "dog", "sees", "hears", "bird", "fish"}
BITS = 3.5  # of a line: which animal, which verb, it or another, and half the time which other
TOKENS = 6.5  # of a line, its end counted
RARE = "A zebra sees it.\n"  # too rare for the vocabulary


def write_text(path, lines, seed=0):
    """Lines in which `a` is always followed by one of two words."""
    draw = random.Random(seed)

    def line():
        words = ["A", draw.choice(["cat", "dog"]), draw.choice(["sees", "hears"])]
        words += ["the", draw.choice(["bird", "fish"])] if draw.random() < 0.5 else ["it"]
        return " ".join(words) + ".\n"

    content = "".join(line() for _ in range(lines))
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as stream:
        stream.write(RARE * 3 + content)
    return path


@pytest.fixture(scope="session")
def text(once):
    folder, _ = once("language", lambda folder: write_text(folder / "text.txt", 1200) and None)
    return folder / "text.txt"


@pytest.fixture(scope="session")
def short(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("data") / "short.txt", 300)


def train(folder, text, *options):
    """Trains and exports; what ``train`` printed."""
    where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
    where += ["--name", "language_model"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kerasseq.tasks.language_model.data.SAMPLES", 4)
        return call("train", "--data", text, *where, *SMALL, *options)


@pytest.fixture(scope="session")
def trained(once, tmp_path_factory, text):
    """A finished run at word level, its export, and what ``train`` printed."""

    def make(folder):
        with really_clean():
            return train(folder, text)

    return copied(once("language_model", make), tmp_path_factory)


@pytest.fixture(scope="session")
def characters(once, tmp_path_factory, text):
    """The same at char level. What each signature of its export answers is compared by
    ``test_verbs.py`` only."""
    level = ["--text.level=char", "--model.cell=gru", "--streams.length=20", "--streams.size=16"]

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(saved_model, "_prove", lambda *_: ("not proved", []))
            return train(folder, text, *level)

    return copied(once("characters", make), tmp_path_factory)


def copied(made, tmp_path_factory):
    """A copy of what was made once: tests write reports into a run."""
    folder, printed = made
    copy = tmp_path_factory.mktemp(folder.name)
    return shutil.copytree(folder, copy, dirs_exist_ok=True), printed


@pytest.fixture
def _loaded_once(monkeypatch):
    """Runs and exports are loaded once, which else would take most of the time spent here."""
    load_once(monkeypatch, kerasseq.tasks.language_model.verbs)
    yield
    keras.mixed_precision.set_dtype_policy("float32")


def run_of(trained):
    return ["--run", trained[0] / "run"]


def export_of(trained):
    return ["--saved-model", trained[0] / "saved_models/language_model/1"]


def rows(*words):
    """The JSON objects that a verb prints."""
    return [json.loads(line) for line in call(*words, "--json").splitlines()]


def call_with_warnings(*words):
    """What a verb that succeeds prints, and what it says on standard error."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        assert cli.run(TASK, list(map(str, words))) == 0
    return out.getvalue(), errors.getvalue()


def report_of(run, name="test"):
    return json.loads((run / f"evaluation/{name}.json").read_text())
