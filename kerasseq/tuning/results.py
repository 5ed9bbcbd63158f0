"""The trials of a sweep that have ended, and what is kept of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kerasseq.config import replace
from kerasseq.errors import UserError
from kerasseq.training.run_folder import MODEL
from kerasseq.training.settings import TaskSettings
from kerasseq.training.trainer import Goal
from kerasseq.tuning.trials import Outcome, Rules, trial_folder

DEFAULTS = "defaults"
"""The trial of the settings as they are, which the best one is compared with."""

MOST_FAILURES = 5
"""A sweep ends when as many trials have failed, one after the other."""


class Trial(NamedTuple):
    """A trial that has ended."""

    number: str
    changes: Mapping[str, Any]
    outcome: Outcome


class Trials:
    """Trials that have ended.

    Args:
        folder: of the sweep.
        goal: whether more or less of the metric is better.
        rules: of the sweep.
        keep: of how many trials the models are kept.

    Attributes:
        all: in the order of their ends.
        sign: 1 if more is better, else -1.
    """

    def __init__(self, folder: Path, goal: Goal, rules: Rules, keep: int):
        self.folder, self.rules = folder, rules
        self.all: list[Trial] = []
        self.sign = 1 if goal == "max" else -1
        self._keep = keep
        self._failures = 0

    @property
    def defaults(self) -> Trial:
        """That of the settings as they are."""
        return next(trial for trial in self.all if trial.number == DEFAULTS)

    def ranked(self) -> list[Trial]:
        """All but that of the settings as they are, best first; after the completed ones those that
        were pruned, then those that failed."""

        def key(trial: Trial) -> tuple[int, float]:
            outcome = trial.outcome
            place = ("completed", "pruned", "failed").index(outcome.status)
            return place, -self.sign * (outcome.value or 0.0)

        return sorted((trial for trial in self.all if trial.number != DEFAULTS), key=key)

    def add(self, number: str, changes: Mapping[str, Any], outcome: Outcome) -> Trial:
        """Takes a trial that has ended, and removes the models that are no longer kept.

        Two are kept as long as the sweep runs: the best are compared at its end.
        """
        failed = outcome.status == "failed" and not outcome.too_large
        self._failures = self._failures + 1 if failed else 0
        self.all.append(Trial(number, changes, outcome))
        self._remove_models(max(2, self._keep))
        return self.all[-1]

    def check_failures(self) -> None:
        """Raises:
        UserError: if nothing but failures came, many of them.
        """
        if self._failures >= MOST_FAILURES and all(t.outcome.status == "failed" for t in self.all):
            raise UserError(
                f"{self.folder}: {self._failures} trials failed one after the other; the last one: "
                f"{self.all[-1].outcome.reason}. The same command goes on with others"
            )

    def models(self, trial: Trial) -> list[Path]:
        """The files of a trial's weights."""
        return sorted(trial_folder(self.folder, trial.number).rglob(MODEL))

    def _remove_models(self, keep: int) -> None:
        order = self.ranked()
        best = [trial for trial in order if trial.outcome.status == "completed"][:keep]
        for trial in order:
            if trial not in best:
                for path in self.models(trial):
                    path.unlink()

    def write_best(self, settings: TaskSettings, folder: Path) -> None:
        """Writes the settings of the best trials as ``1.yaml``, ``2.yaml``, and so on, and removes
        the models of others."""
        self._remove_models(self._keep)
        known = {trial.number for trial in self.all}
        for path in (self.folder / "trials").iterdir():  # of a space before
            if path.name not in known:
                for model in path.rglob(MODEL):
                    model.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        best = [trial for trial in self.ranked() if trial.outcome.status == "completed"]
        for place, trial in enumerate(best[: self._keep], 1):
            chosen = replace(settings, trial.changes)
            text = yaml.safe_dump(chosen.to_dict(), sort_keys=False)
            (folder / f"{place}.yaml").write_text(text, encoding="utf-8")
