"""The trials of a sweep: they fail, they die, they are too large; what they have in common."""

import numpy as np
import pytest

from kerasseq.app import sweeps
from kerasseq.app.runs import Prepared
from kerasseq.app.task import Data
from kerasseq.config import replace
from kerasseq.tasks.language_model.task import LanguageModel
from kerasseq.tasks.sentiment.task import Sentiment
from kerasseq.tasks.tagging.task import Ner, PosTagging
from kerasseq.tasks.translation.task import Translation
from kerasseq.tuning import trials
from tests.tasks.conftest import call
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
        return {"count": 3, "reached": 0.0} if dead else real(run, name)

    monkeypatch.setattr(trials.RunFolder, "read_json", read)
    call("tune", *words, "--max-trials", 2, *QUICK, "--training.max_steps=1")
    (failed,) = (t for t in report_of(tmp_path)["trials"] if t["status"] == "failed")
    assert failed["reason"].startswith("its process died 3 times")


def test_attempts_are_counted_since_the_last_checkpoint(tmp_path):
    run = trials.RunFolder(tmp_path)
    assert [trials._count_attempt(run) for _ in range(3)] == [1, 2, 3]
    run.save_arrays(trials.CHECKPOINT, {}, {})
    assert [trials._count_attempt(run) for _ in range(2)] == [1, 2]
    # what ended with another start of the sweep did not die by itself
    assert [trials._count_attempt(run, "second") for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    "task", [Sentiment(), PosTagging(), Ner(), LanguageModel(), Translation()], ids=lambda t: t.name
)
def test_parameters_are_counted_without_making_them(task, monkeypatch):
    settings = task.settings_class()
    assets = task.assets_class.assumed(settings)
    data = Prepared(None, Data({}, assets, {}))
    monkeypatch.setattr(sweeps, "prepare", lambda *words: data)
    subject = sweeps.SweptTask(task, download=False, trains=False)
    subject.prepare(settings)
    count = subject.parameters(settings)
    assert count == task.build_model(settings, assets).count_params()
    huge = replace(settings, {"model.units": 400_000} if task.name != "translation" else
                   {"model.units": 200_000, "model.encoder_units": 100_000})  # fmt: skip
    assert subject.parameters(huge) > 10**11  # hundreds of gigabytes, were they made
    assert np.isfinite(count)


def test_a_sweep_prepares_its_data_once_for_all_trials(monkeypatch):
    task, settings = Sentiment(), Sentiment.settings_class()
    made = []

    def prepare(*words):
        made.append(words)
        return Prepared("a plan" if words[3] else None, Data({}, None, {"source": "here"}))

    monkeypatch.setattr(sweeps, "prepare", prepare)
    monkeypatch.setattr(sweeps, "set_up", lambda device: ("its own plan", device))
    monkeypatch.setattr(sweeps, "fit", lambda *words: words)
    for trains in (True, False):
        subject = sweeps.SweptTask(task, False, trains)
        assert (subject.name, subject.goals) == ("sentiment", task.goals)
        assert subject.data_settings == task.data_settings
        assert subject.prepare(settings) == {"source": "here"}
        plan = subject.set_up(settings.device)
        assert plan == ("a plan" if trains else ("its own plan", settings.device))
        *same, (kept, data), watch = subject.fit(settings, "run", plan, "watch")
        assert (same, kept, watch) == ([task, settings, "run"], plan, "watch")
        assert data.report == {"source": "here"}
    assert made == [(task, settings, False, True, None), (task, settings, False, False, None)]
