"""The trials of a sweep: they fail, they die, they are too large; what they have in common."""

import json

import numpy as np
import pytest

from kerasseq.app import sweeps
from kerasseq.app.registry import find_task
from kerasseq.app.task import Data
from kerasseq.config import replace
from kerasseq.tasks.language_model.task import LanguageModel
from kerasseq.tasks.sentiment.task import Sentiment
from kerasseq.tasks.tagging.task import Ner, PosTagging
from kerasseq.tasks.translation.task import Translation
from kerasseq.tuning import trials
from tests.tasks.conftest import call, write_reviews
from tests.tasks.test_tuning import (  # noqa: F401 (fixtures)
    OWN,
    QUICK,
    _float32,
    _frozen,
    report_of,
    space,
)


def test_trials_that_fail_are_told_and_the_sweep_goes_on(reviews, tmp_path, monkeypatch):
    failing = tmp_path / "space.yaml"
    failing.write_text(
        "training.learning_rate: [0.1, 0.05, 1.0e+38]\nmodel.units: [4, 4000]\n"
        + "".join(f"{name}: null\n" for name in ["model.cell", *OWN[1:]])
    )
    folder = tmp_path / "sweep"
    real = sweeps.fit

    def fit(task, settings, run, prepared, watch=None):
        if run.path.name == "defaults":
            raise KeyError("odd")
        if settings.model.units == 4 and settings.training.learning_rate == 0.1:
            raise MemoryError
        return real(task, settings, run, prepared, watch)

    monkeypatch.setattr(sweeps, "fit", fit)
    printed = call(
        "tune", "--data", reviews, "--run", folder, "--tuner", "grid", "--space", failing,
        "--max-parameters", 20_000, *QUICK, "--training.max_steps=9",
    )  # fmt: skip
    found = {
        (trial["changes"]["training.learning_rate"], trial["changes"]["model.units"]): (
            trial["status"], trial["reason"], trial["value"]
        )
        for trial in report_of(folder)["trials"]
        if trial["changes"]
    }  # fmt: skip
    assert found.pop((0.1, 4)) == ("failed", "too little memory: no message", None)
    assert "KeyError: 'odd'" in printed
    assert found[0.05, 4][0] == "completed"
    assert {found[rate, 4000][0] for rate in (0.1, 0.05, 1e38)} == {"failed"}
    assert "not built: " in found[0.1, 4000][1]
    assert found[1e38, 4][0] == "failed"
    assert "6 failed" in printed


def test_a_sweep_without_a_completed_trial_says_why(reviews, tmp_path):
    line = call(
        "tune", "--data", reviews, "--run", tmp_path / "sweep", "--max-trials", 2,
        "--max-parameters", 10, *QUICK, status=2,
    )  # fmt: skip
    assert "no trial was completed; the first one: not built: " in line
    assert "parameters of 10" in line


def test_a_trial_whose_process_dies_again_and_again_is_given_up(
    reviews,
    tmp_path,
    space,  # noqa: F811
    monkeypatch,
):
    words = ["--data", reviews, "--run", tmp_path, "--tuner", "grid", "--space", space]
    real = trials.RunFolder.read_json

    def read(run, name):
        dead = name == trials.ATTEMPTS and run.path.name.endswith("01")
        return {"count": 4, "reached": 0.0} if dead else real(run, name)

    monkeypatch.setattr(trials.RunFolder, "read_json", read)
    call("tune", *words, "--max-trials", 2, *QUICK, "--training.max_steps=1")
    (failed,) = (t for t in report_of(tmp_path)["trials"] if t["status"] == "failed")
    assert failed["reason"].startswith("its process died 3 times")


def test_attempts_are_counted_since_the_last_checkpoint(tmp_path):
    run = trials.RunFolder(tmp_path)
    assert [trials._count_attempt(run, "one") for _ in range(3)] == [1, 2, 3]
    run.save_arrays(trials.CHECKPOINT, {}, {})
    assert [trials._count_attempt(run, "one") for _ in range(2)] == [1, 2]
    # what ended with another start of the sweep did not die by itself
    assert [trials._count_attempt(run, "second") for _ in range(2)] == [1, 2]


def test_kills_of_the_sweep_are_no_failures_of_a_trial(tmp_path, monkeypatch):
    run, kills = trials.RunFolder(tmp_path), ["boot", "7"]
    monkeypatch.setattr(trials, "memory_kills", lambda: list(kills))
    assert [trials._count_attempt(run) for _ in range(5)] == [1] * 5
    for number in (8, 9, 10):  # but these are, if the machine had no memory left
        kills[1] = str(number)
        assert trials._count_attempt(run) == number - 6
    kills[:] = "another boot", "3"
    assert trials._count_attempt(run) == 4
    monkeypatch.setattr(trials, "memory_kills", lambda: None)
    assert [trials._count_attempt(run) for _ in range(2)] == [4, 4]


@pytest.mark.parametrize(
    "task", [Sentiment(), PosTagging(), Ner(), LanguageModel(), Translation()], ids=lambda t: t.name
)
def test_parameters_are_counted_without_making_them(task):
    settings = task.settings_class()
    assets = task.assets_class.assumed(settings)
    trainee = sweeps.PreparedTask(task, Data({}, assets, {}), None)
    count = trainee.parameters(settings)
    assert count == task.build_model(settings, assets).count_params()
    huge = replace(settings, {"model.units": 400_000} if task.name != "translation" else
                   {"model.units": 200_000, "model.encoder_units": 100_000})  # fmt: skip
    assert trainee.parameters(huge) > 10**11  # hundreds of gigabytes, were they made
    assert np.isfinite(count)


@pytest.mark.parametrize("trains", [True, False])
def test_a_sweep_reads_once_and_encodes_once_for_each_vocabulary(monkeypatch, trains):
    task, settings = Sentiment(), Sentiment.settings_class()
    done = []
    monkeypatch.setattr(sweeps, "read_corpus", lambda *words: done.append("read") or "a corpus")
    monkeypatch.setattr(sweeps, "set_up", lambda device: "a plan")
    monkeypatch.setattr(sweeps, "hide_gpus", lambda: done.append("no GPUs"))
    monkeypatch.setattr(sweeps, "data_lines", lambda report: [])
    monkeypatch.setattr(sweeps, "fit", lambda *words: words)

    def encoded(task, settings, corpus):
        done.append(settings.text.vocabulary_size)
        return Data({}, None, {"source": corpus})

    monkeypatch.setattr(sweeps, "encoded", encoded)
    subject = sweeps.SweptTask(task, False, trains)
    subject.read(settings)
    for size, units in [(30_000, 64), (500, 64), (30_000, 8), (500, 8)]:
        changed = replace(settings, {"text.vocabulary_size": size, "model.units": units})
        (trainee,) = subject.trainees(changed, 0)
        assert trainee.report == {"source": "a corpus"}
        plan = trainee.set_up(settings.device)
        *same, (kept, data), watch = trainee.fit(changed, "run", plan, "watch")
        assert (same, kept, watch) == ([task, changed, "run"], "a plan", "watch")
        assert data.report == {"source": "a corpus"}
    assert done == [*([] if trains else ["no GPUs"]), "read", 30_000, 500]


@pytest.mark.parametrize(
    "task",
    [Sentiment(), *(pytest.param(task, marks=pytest.mark.gate)
                    for task in (PosTagging(), Translation(), LanguageModel()))],
    ids=lambda t: t.name,
)  # fmt: skip
def test_folds_of_each_task_have_its_data_once(task):
    few = {} if task.running_text else {"limit": 300}
    settings = replace(task.settings_class(), few)
    subject = sweeps.SweptTask(task, False, False)
    subject.read(settings)
    reports = [trainee.report["splits"] for trainee in subject.trainees(settings, 3)]
    assert len(reports) == 3
    assert len({splits["validation"]["sha256"] for splits in reports}) == 3
    assert len({splits["test"]["examples"] for splits in reports}) == 1
    for splits in reports:
        sizes = {name: splits[name]["examples"] for name in ("train", "validation")}
        share = sizes["validation"] / sum(sizes.values())
        assert share == pytest.approx(1 / 3, abs=0.06)


@pytest.mark.gate
def test_a_trial_of_several_seeds_is_the_mean_of_what_train_gives(tmp_path, space):  # noqa: F811
    """With the splits in files of their own, a seed is one of training alone."""
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate(("train", "validation", "test")):
        write_reviews(folder / f"{name}.csv", 90, seed)
    sweep = tmp_path / "sweep"
    words = ["--data", folder, *QUICK, "--training.max_steps=8"]
    printed = call("tune", *words, "--run", sweep, "--tuner", "grid", "--space", space,
                   "--max-trials", 2, "--seeds", 2, "--prune")  # fmt: skip
    assert "Welch's t-test over 2 seeds" in printed
    report = report_of(sweep)
    base = report["trials"][-1]
    for seed in (1, 2):
        call("train", *words, "--run", tmp_path / f"{seed}", "--only-train", f"--seed={seed}")
        alone = json.loads((tmp_path / f"{seed}/training.json").read_text())["validation"]
        assert alone["accuracy"] == base["values"][seed - 1]
    assert base["value"] == pytest.approx(np.mean(base["values"]))
    assert base["spread"] == pytest.approx(np.std(base["values"], ddof=1))
    assert set(report["noise"]["p"]) == {trial["trial"] for trial in report["trials"][1:]}
    assert (sweep / "ranking.png").stat().st_size > 0
    again = call("tune", *words, "--run", sweep, "--tuner", "grid", "--space", space,
                 "--max-trials", 2, "--seeds", 2, "--prune")  # fmt: skip
    assert again.splitlines()[-4:] == printed.splitlines()[-4:]
    line = call("tune", *words, "--run", sweep, "--tuner", "grid", "--space", space, "--seeds", 3,
                "--prune", status=2)  # fmt: skip
    assert "sweep.seeds: 2 -> 3" in line


@pytest.mark.gate
@pytest.mark.parametrize(
    ("task", "goal"),
    [("sentiment", "accuracy"), ("pos_tagging", "accuracy"), ("language_model", "perplexity"),
     ("translation", "bleu"), ("translation", "loss"), ("sentiment", "auc")],
)  # fmt: skip
def test_a_model_differs_from_itself_by_chance(task, goal, tmp_path):
    kind = find_task(task)
    small = {"model.units": 8, "training.max_steps": 2, "training.monitor": goal}
    small["limit"] = 300 if kind.running_text else 60
    settings = replace(kind.settings_class(), small)
    subject = sweeps.SweptTask(kind, False, True)
    subject.read(settings)
    (trainee,) = subject.trainees(settings, 0)
    run = trials.RunFolder(tmp_path / "run")
    with run.open(task, settings.to_dict()):
        trainee.fit(settings, run, trainee.set_up(settings.device), None)
    p = trainee.significance(run, trainee, run)
    assert p == (None if goal == "auc" else 1)
