"""Random search over a task's settings; every trial is the training path of ``train``.

The data is tokenised once for the whole sweep, so a space holds no setting of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner
import yaml
from rich.console import Console
from rich.table import Table

from kerasseq.config import replace
from kerasseq.errors import UserError
from kerasseq.runs import Prepared, fit, prepare
from kerasseq.task import Task, TaskSettings
from kerasseq.training.run_folder import SUMMARY, RunFolder
from kerasseq.training.trainer import DivergedError
from kerasseq.tuning.space import Choice, Range


def sweep(
    task: Task, settings: TaskSettings, folder: Path, max_trials: int, download: bool
) -> None:
    """Trains ``max_trials`` settings drawn from the task's space and writes the best as YAML.

    A trial is a run in ``folder/trials``; a sweep that is started again continues.

    Raises:
        UserError: if no trial was completed.
    """
    if max_trials < 1:
        raise UserError(f"--max-trials must be >= 1, got {max_trials}")
    monitor = settings.training.monitor  # type: ignore[attr-defined]
    goal = task.goals.get(monitor, "max")
    RunFolder(folder).check(f"{task.name} sweep", settings.to_dict())
    prepared = prepare(task, settings, download)
    with RunFolder(folder).open(f"{task.name} sweep", settings.to_dict()):
        tuner = _Tuner(
            task,
            settings,
            folder,
            prepared,
            oracle=keras_tuner.oracles.RandomSearchOracle(
                objective=keras_tuner.Objective(monitor, goal),
                max_trials=max_trials,
                hyperparameters=_space(task),
                allow_new_entries=False,
                seed=settings.seed,
                max_consecutive_failed_trials=3,
            ),
            directory=str(folder),
            project_name="oracle",
        )
        try:
            tuner.search()
        except KeyboardInterrupt:
            raise tuner.stopped_by or KeyboardInterrupt from None
        done = [t for t in tuner.oracle.trials.values() if t.status == "COMPLETED"]
        if not done:
            raise UserError(f"{folder}: no trial was completed")
        done.sort(key=lambda trial: trial.score, reverse=goal == "max")
        names = sorted(task.search_space)
        table = Table("trial", monitor, *names)
        for trial in done:
            values = (f"{trial.hyperparameters.values[name]:.4g}" if isinstance(
                trial.hyperparameters.values[name], float) else str(
                trial.hyperparameters.values[name]) for name in names)  # fmt: skip
            table.add_row(trial.trial_id, f"{trial.score:.4f}", *values)
        Console(soft_wrap=True).print(table)
        best = replace(settings, done[0].hyperparameters.values)
        path = folder / "best.yaml"
        path.write_text(yaml.safe_dump(best.to_dict(), sort_keys=False), encoding="utf-8")
        print(f"best settings: train --config {path}")


def _space(task: Task) -> keras_tuner.HyperParameters:
    space = keras_tuner.HyperParameters()
    for name, values in task.search_space.items():
        if isinstance(values, Choice):
            space.Choice(name, list(values.values))
        elif isinstance(values, Range):
            sampling = "log" if values.log else "linear"
            space.Float(name, values.low, values.high, sampling=sampling)
    return space


class _Tuner(keras_tuner.Tuner):
    def __init__(
        self, task: Task, settings: TaskSettings, folder: Path, prepared: Prepared, **options: Any
    ):
        self._task, self._base, self._folder = task, settings, folder
        self._prepared = prepared
        self.stopped_by: UserError | None = None
        super().__init__(**options)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        settings = replace(self._base, trial.hyperparameters.values)
        run = RunFolder(self._folder / "trials" / trial.trial_id)
        try:
            with run.open(self._task.name, settings.to_dict()):
                summary = run.read_json(SUMMARY) or fit(self._task, settings, run, self._prepared)
        except DivergedError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from None
        except UserError as error:
            # not the trial's fault: KerasTuner would go on to the next, were it an Exception
            self.stopped_by = error
            raise KeyboardInterrupt from None
        return summary["validation"]

    def load_model(self, trial: Any) -> Any:
        raise NotImplementedError("a trial's model is in its run folder")
