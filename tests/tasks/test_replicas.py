"""Every task on several replicas and as several workers, through the command line."""

import json
import os
import subprocess

import numpy as np
import pytest

from kerasseq.tasks.language_model.task import LanguageModel
from kerasseq.tasks.tagging.task import PosTagging
from kerasseq.tasks.translation.task import Translation
from tests import warm
from tests.tasks.conftest import ROOT, SENTIMENT, SMALL, call, command
from tests.tasks.language_model import conftest as test_language_model
from tests.tasks.tagging import conftest as test_pos_tagging
from tests.tasks.translation import conftest as test_translation
from tests.training.test_update import two_of_a_cluster

QUICK = "--training.epochs=1"


def corpus_of(task, tmp_path, reviews):
    """A task's small corpus, and the words that train on it."""
    if task.name == "sentiment":
        return ["--data", reviews, *SMALL, QUICK]
    if task.name == "language_model":
        path = tmp_path / "text.txt"
        draw = np.random.default_rng(0)
        path.write_text(
            "".join(" ".join(draw.choice(list("abcde"), 6)) + " .\n" for _ in range(400))
        )
        return ["--data", path, *test_language_model.SMALL, QUICK]
    if task.name == "pos_tagging":
        made = test_pos_tagging.as_conllu
        folder = test_pos_tagging.write_corpus(tmp_path / "treebank", made, ".conllu")
        return ["--data", folder, *test_pos_tagging.SMALL, QUICK, "--model.output=crf"]
    path = tmp_path / "pairs.tsv"
    draw = np.random.default_rng(0)
    lines = [" ".join(draw.choice(list("abcde"), 5)) for _ in range(300)]
    path.write_text("".join(f"{line}\t{line[::-1]}\n" for line in dict.fromkeys(lines)))
    return ["--data", path, *test_translation.SMALL, QUICK, "--held_out=0.2"]


def train_on_two_replicas(task, reviews, tmp_path, *more):
    """With dropout, averaged weights, two batches on each."""
    words = [*corpus_of(task, tmp_path, reviews), *more]
    done = warm.run(
        command("train", *words, "--run", tmp_path / "run", "--device.replicas=2",
                "--training.accumulate=2", task=task),
        cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "strategy: mirrored, 2 replicas (sharing the CPU, as set)" in done.stdout
    assert "update: of 4 batches (2 replicas, 2 on each" in done.stdout
    history = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert np.isfinite(json.loads(history[-1])["loss"])


def train_on_two_workers(task, *words, seconds):
    """What two workers print that train together, each in a process of its own."""
    processes = [
        warm.Process(
            command("train", *words, task=task), env={**os.environ, **each},
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for each in two_of_a_cluster()
    ]  # fmt: skip
    texts = [process.communicate(timeout=seconds)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], texts
    return texts


def test_a_run_of_two_replicas_is_one_like_any_other(reviews, tmp_path):
    train_on_two_replicas(SENTIMENT, reviews, tmp_path, "--only-train")
    assert "accuracy" in call("evaluate", "--run", tmp_path / "run")


@pytest.mark.gate
@pytest.mark.parametrize(
    "task", [SENTIMENT, LanguageModel(), PosTagging(), Translation()], ids=lambda task: task.name
)
def test_a_task_trains_on_two_replicas(task, reviews, tmp_path):
    """Scored and exported afterwards, in the same process."""
    train_on_two_replicas(task, reviews, tmp_path, "--saved-models", tmp_path / "saved")
    assert (tmp_path / "saved/run/1/saved_model.pb").exists()


@pytest.mark.gate
def test_a_task_trains_on_two_workers_of_which_the_first_writes(reviews, tmp_path):
    words = ["--data", reviews, *SMALL, QUICK, "--only-train"]
    texts = train_on_two_workers(SENTIMENT, *words, "--run", tmp_path / "run", seconds=200)
    assert "worker 1 of 2 is done; the first one wrote the run" in texts[1]
    assert (tmp_path / "run" / "training.json").exists()
    assert json.loads((tmp_path / "run" / "devices.json").read_text())
    # the run is one like any other
    assert "accuracy" in call("evaluate", "--run", tmp_path / "run")


@pytest.mark.gate
@pytest.mark.parametrize(
    "task", [SENTIMENT, LanguageModel(), PosTagging(), Translation()], ids=lambda task: task.name
)
def test_two_workers_equal_one_process(task, reviews, tmp_path):
    """One process takes as many batches for an update; nothing is dropped, since the workers would
    drop otherwise than it does."""
    drops = [name for name in task.settings_class().flat() if "drop" in name]
    words = [*corpus_of(task, tmp_path, reviews), *(f"--{name}=0" for name in drops),
             "--training.replica_rate=none", "--only-train"]  # fmt: skip
    train_on_two_workers(task, *words, "--run", tmp_path / "two", seconds=300)
    call("train", *words, "--run", tmp_path / "one", "--training.accumulate=2", task=task)
    one, two = (
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    )
    assert len(one) == len(two)
    for first, second in zip(one, two, strict=True):
        assert first["step"] == second["step"]
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)
    names = [name for name in one[-1] if name.startswith("validation_")]
    for name in names:
        assert two[-1][name] == pytest.approx(one[-1][name], rel=1e-3)
