"""The loop of a sweep, with trials that take no time."""

import csv

import pytest

from kerasseq.tuning.report import Trial, write_csv
from kerasseq.tuning.search import Search
from kerasseq.tuning.space import Choice
from kerasseq.tuning.sweep import DEFAULTS, _search
from kerasseq.tuning.trials import Outcome

SPACE = {"units": Choice((8, 16, 32)), "cell": Choice(("gru", "lstm"))}


class Crew:
    """Ends each trial at once."""

    slots = 1

    def start(self, proposal):
        self.proposal = proposal

    def wait(self):
        return self.proposal.number, Outcome("completed", len(self.proposal.changes) * 0.1)


class Board:
    def started(self, proposal):
        pass

    def ended(self, *trial):
        pass


@pytest.fixture
def swept(tmp_path):
    def run(hours=None, trials=20):
        journal = tmp_path / "journal.jsonl"
        search = Search("grid", SPACE, "score", "max", trials, 9, 1, journal)
        return _search(search, Crew(), Board(), tmp_path, hours)

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
