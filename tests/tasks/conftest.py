"""A small made-up corpus and a run trained on it, through the command line as a user would."""

import csv
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GOOD = "wonderful moving brilliant touching superb funny".split()
BAD = "dreadful boring awful clumsy tedious painful".split()
FILLER = "the film was a story of two people in some town with music and an ending".split()

SMALL = [
    "--model.embedding=8", "--model.units=4", "--batches.size=8", "--text.min_count=1",
    "--training.learning_rate=0.03", "--training.epochs=4", "--held_out=0.15",
]  # fmt: skip


def command(verb, *words):
    return [sys.executable, "-m", "tasks.sentiment", verb, *map(str, words)]


def call(verb, *words, status=0, stdin=None):
    """Runs a verb; returns what it printed (its error line if ``status`` is not 0)."""
    done = subprocess.run(
        command(verb, *words), cwd=ROOT, capture_output=True, text=True, check=False, input=stdin
    )
    assert done.returncode == status, done.stderr + done.stdout
    if status:
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr
    return done.stdout


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
    printed = call("train", "--data", reviews, *where, *SMALL)
    return folder, printed
