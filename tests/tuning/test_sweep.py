"""The loop of a sweep, with trials that take no time."""

import csv
import threading

import numpy as np
import pytest
from scipy import stats

from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.settings import SentimentSettings
from kerasseq.training.run_folder import MODEL
from kerasseq.tuning import noise
from kerasseq.tuning.report import write_csv
from kerasseq.tuning.results import DEFAULTS, Trial, Trials
from kerasseq.tuning.search import Search
from kerasseq.tuning.space import Choice
from kerasseq.tuning.sweep import SweepOptions, _search
from kerasseq.tuning.trials import Job, Outcome, Rules

SPACE = {"model.units": Choice((8, 16, 32)), "model.cell": Choice(("gru", "lstm"))}


SETTINGS = SentimentSettings()


class Subject:
    """Has no data for one of the settings."""

    def trainees(self, settings, folds):
        if settings.model.units == 32:
            raise UserError("nothing is left")
        return ["trainee"]


class Crew:
    """Ends each trial at once."""

    slots = 1
    job = Job("task", "max", SETTINGS, None, Rules())

    def start(self, proposal, trainees):
        assert trainees == ["trainee"]
        self.proposal = proposal

    def wait(self, stop):
        return self.proposal.number, Outcome("completed", len(self.proposal.changes) * 0.1)


class Board:
    def started(self, proposal):
        pass

    def ended(self, *trial, before=False):
        pass

    def say(self, text):
        pass


@pytest.fixture
def swept(tmp_path):
    def run(hours=None, trials=20, stop=None):
        journal, base = tmp_path / "journal.jsonl", SETTINGS.flat()
        search = Search("grid", SPACE, "score", "max", trials, 9, 1, journal, base)
        found = Trials(tmp_path, "max", Rules(), 3)
        _search(search, Crew(), Subject(), Board(), found, hours, stop or threading.Event())
        return found.all

    return run


def test_no_trial_begins_after_its_hours_and_a_later_start_goes_on(swept, capsys):
    assert [trial.number for trial in swept(hours=1e-9)] == [DEFAULTS]
    assert "--max-hours 1e-09: no further trial" in capsys.readouterr().out
    assert len(swept(hours=1)) == 7
    assert "every point of the space was tried: 6 trials" in capsys.readouterr().out


def test_fewer_trials_than_points_are_no_end_of_the_space(swept, capsys):
    assert len(swept(trials=3)) == 4
    assert capsys.readouterr().out == ""


def test_a_table_of_trials_for_a_spreadsheet(tmp_path):
    trials = [
        Trial("01", {"units": 8, "cell": "gru"}, Outcome("completed", 0.5, seconds=1.5)),
        Trial("00", {"units": 16}, Outcome("failed", None, reason="the loss diverged, at 0.1")),
        Trial(DEFAULTS, {}, Outcome("completed", 0.25)),
    ]
    write_csv(trials, "accuracy", tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["trial"] for row in rows] == ["01", "00", DEFAULTS]
    assert [row["accuracy"] for row in rows] == ["0.5", "", "0.25"]
    assert [row["units"] for row in rows] == ["8", "16", ""]
    assert rows[1]["reason"] == "the loss diverged, at 0.1"


def test_a_trial_whose_data_cannot_be_made_fails_alone(swept):
    found = {trial.changes.get("model.units"): trial.outcome for trial in swept()}
    assert (found[32].status, found[32].reason) == ("failed", "nothing is left")
    assert found[8].status == found[16].status == "completed"


def test_the_models_of_the_best_are_kept(tmp_path):
    trials = Trials(tmp_path, "min", Rules(seeds=2), keep=1)

    def end(number, value):
        for part in ("seed-1", "seed-2"):
            folder = tmp_path / "trials" / number / part
            folder.mkdir(parents=True)
            (folder / MODEL).touch()
        trials.add(number, {"model.units": int(number) + 1 if number != DEFAULTS else 64},
                   Outcome("completed", value))  # fmt: skip

    def kept():
        return {path.relative_to(tmp_path).parts[1] for path in tmp_path.rglob(MODEL)}

    for number, value in ((DEFAULTS, 9.0), ("0", 0.5), ("1", 0.7), ("2", 0.6)):
        end(number, value)
    assert kept() == {DEFAULTS, "0", "2"}  # the second is compared with the best
    trials.write_best(SETTINGS, tmp_path / "top")
    assert kept() == {DEFAULTS, "0"}
    assert [path.name for path in (tmp_path / "top").iterdir()] == ["1.yaml"]
    assert "units: 1\n" in (tmp_path / "top/1.yaml").read_text()


def test_noise_over_seeds_is_that_of_welch():
    random = np.random.default_rng(5)
    for _ in range(20):
        one, other = random.normal(0.8, 0.02, 3).tolist(), random.normal(0.82, 0.01, 3).tolist()
        expected = stats.ttest_ind(one, other, equal_var=False).pvalue
        assert noise.chance(one, other, Rules(seeds=3)) == pytest.approx(expected)
        low, high = stats.t.interval(0.95, 2, np.mean(one), stats.sem(one))
        assert 2 * noise.half_width(one, Rules(seeds=3)) == pytest.approx(high - low)
    assert noise.chance([0.5] * 3, [0.5] * 3, Rules(seeds=3)) == 1
    assert noise.chance([0.5] * 3, [0.6] * 3, Rules(seeds=3)) == 0


def test_noise_over_folds_counts_the_data_that_they_share():
    """Nadeau and Bengio's factor: 1/k + the ratio of validation to train."""
    one, other = [0.81, 0.84, 0.80, 0.86, 0.83], [0.80, 0.82, 0.79, 0.83, 0.83]
    differences = np.subtract(one, other)
    t = differences.mean() / np.sqrt((1 / 5 + 0.2 / 0.8) * differences.var(ddof=1))
    expected = 2 * stats.t.sf(t, 4)
    assert noise.chance(one, other, Rules(folds=5)) == pytest.approx(expected)
    assert expected > stats.ttest_rel(one, other).pvalue


@pytest.mark.parametrize(
    ("best", "base", "p", "said"),
    [
        (0.8, 0.8, 1.0, "a tie with the settings as they are with 0.8000 (p = 1.000"),
        (0.8, 0.7, 0.3, "no different from the settings as they are"),
        (0.8, 0.7, 0.01, "better than the settings as they are"),
        (0.7, 0.8, 0.01, "worse than the settings as they are"),
        (0.8, 0.7, None, "whether that is more than noise is not known: --seeds 3"),
    ],
)
def test_a_difference_within_the_noise_is_called_that(tmp_path, best, base, p, said):
    trials = Trials(tmp_path, "max", Rules(), 3)
    trials.add(DEFAULTS, {}, Outcome("completed", base))
    trials.add("0", {}, Outcome("completed", best))
    (line,) = noise.verdict(trials, "accuracy", {DEFAULTS: p})
    assert said in line
    trials.add("1", {}, Outcome("completed", best - 0.1))
    lines = noise.verdict(trials, "accuracy", {DEFAULTS: p, "1": 0.2})
    assert lines[1:] == ["no different from the best: trial 1"]
    trials.add("2", {}, Outcome("completed", best - 0.1))
    assert "only the second best was compared" in noise.verdict(trials, "accuracy", {"1": 0.2})[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": Rules(seeds=0)}, "--seeds must be 1 or more, got 0"),
        ({"rules": Rules(folds=1)}, "--folds must be 2 or more, got 1"),
        ({"rules": Rules(folds=3, seeds=2)}, "--seeds or --folds, not both"),
        ({"keep_best": 0}, "--keep-best must be 1 or more, got 0"),
    ],
)
def test_numbers_that_cannot_be_are_named(options, message):
    with pytest.raises(UserError, match=message):
        SweepOptions("random", 3, **{"rules": Rules(), **options}).check()


def test_a_stop_is_heard_between_trials(swept):
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        swept(stop=stop)


def test_an_unknown_tuner_is_named():
    with pytest.raises(UserError, match="tuner must be one of random, bayesian, hyperband, grid"):
        SweepOptions("magic", 3, Rules()).check()
