"""Copying and reversing are learned to the end."""

import itertools
import random

import pytest

from tests.tasks.translation.conftest import (
    FILES,
    call,
    report_of,
    write_pairs,
)

LETTERS = "abcdefghijklmnopqrst"


LEARN = [
    "--text.level=word", "--text.min_count=1", "--model.embedding=32", "--model.units=64",
    "--model.encoder_units=32", "--model.input_feeding=false", "--model.input_dropout=0",
    "--model.encoder_dropout=0", "--model.decoder_dropout=0", "--label_smoothing=0",
    "--training.learning_rate=5e-3", "--training.average=0.99", "--training.epochs=12",
    "--beam.size=1",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_learns_to_copy_and_to_reverse(task, tmp_path):
    draw, wanted = random.Random(0), []
    for split, count in {"train": 10_000, "valid": 200, "test": 1000}.items():
        made = [draw.choices(LETTERS, k=draw.randint(1, 20)) for _ in range(count)]
        order = -1 if task == "reverse" else 1
        wanted = [" ".join(row[::order]) for row in made]
        sources = map(" ".join, made)
        write_pairs(tmp_path / split, list(zip(sources, wanted, strict=True)))
    run = ["--run", tmp_path / "run"]
    call("train", "--data", tmp_path, *FILES, *run, *LEARN, "--only-train")
    call("evaluate", *run)
    found = report_of(tmp_path / "run")["translations"]
    right = sum(one == other for one, other in itertools.zip_longest(found, wanted))
    assert right / len(wanted) >= 0.99
