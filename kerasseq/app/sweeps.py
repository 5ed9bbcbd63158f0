"""Sweeps of a task: how it is trained in one, and a sweep that has ended, in use."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import keras
import yaml

from kerasseq.app.runs import (
    Prepared,
    build,
    check,
    data_lines,
    encoded,
    fit,
    load_run,
    read_corpus,
    set_up,
)
from kerasseq.app.task import Data, Task, TaskSettings
from kerasseq.config import from_dict
from kerasseq.data.corpus import Corpus
from kerasseq.data.cutting import folds
from kerasseq.errors import UserError
from kerasseq.training import devices
from kerasseq.training.devices import DevicePlan, DeviceSettings, hide_gpus
from kerasseq.training.progress import say, silence
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.trainer import Goal, Watch
from kerasseq.tuning.space import Fixed, Space
from kerasseq.tuning.sweep import SweepOptions, sweep


class PreparedTask:
    """What :class:`kerasseq.tuning.trials.Trainee` says, of a task and its data.

    Args:
        task: the task.
        data: encoded.
        plan: of this process, if it is made already.
    """

    def __init__(self, task: Task, data: Data, plan: DevicePlan | None):
        self._task, self._data, self._plan = task, data, plan

    @property
    def report(self) -> dict[str, Any]:
        """Of the data."""
        return self._data.report

    def set_up(self, settings: DeviceSettings) -> DevicePlan:
        """The device plan of this process, made if there is none yet."""
        return self._plan or set_up(settings)

    def parameters(self, settings: TaskSettings) -> int:
        """How many weights a model has, without making them.

        Raises:
            UserError: if the settings do not fit together.
        """
        try:
            with keras.StatelessScope(initialize_variables=False):
                return build(self._task, settings, self._data.assets).count_params()
        finally:
            keras.backend.clear_session()  # or its variables would wait to be given values

    def fit(
        self, settings: TaskSettings, run: RunFolder, plan: DevicePlan, watch: Watch | None
    ) -> dict[str, Any]:
        """See :func:`kerasseq.app.runs.fit`."""
        return fit(self._task, settings, run, Prepared(plan, self._data), watch)

    def significance(self, run: RunFolder, other: PreparedTask, others: RunFolder) -> float | None:
        """How likely chance alone made the difference of two trained models on validation.

        Args:
            run: of the one, trained on this data.
            other, others: that of the other, and its run.

        Returns:
            See :meth:`kerasseq.app.task.Use.significance`.
        """
        one, two = (load_run(self._task, each.path) for each in (run, others))
        goal = one.settings.training.monitor
        return one.use.significance(goal, self._data, two.use, other._data)


class SweptTask:
    """What :class:`kerasseq.tuning.trials.Subject` says, of a task.

    Args:
        task: the task.
        download: whether to fetch data that is missing.
        trains: whether this process trains; else each process that trains makes its own device
            plan, and this one leaves the GPUs alone.
        corpus: the data, if it is in memory.
    """

    def __init__(self, task: Task, download: bool, trains: bool, corpus: Corpus[Any] | None = None):
        self._task, self._download, self._trains = task, download, trains
        self._corpus = corpus
        self._plan: DevicePlan | None = None
        self._made: dict[str, list[PreparedTask]] = {}

    @property
    def name(self) -> str:
        """Of the task."""
        return self._task.name

    @property
    def goals(self) -> Mapping[str, Goal]:
        """Of the task."""
        return self._task.goals

    @property
    def fixed(self) -> Fixed:
        """Of the task."""
        task = self._task
        return Fixed(task.data_settings, task.vocabulary_settings, task.vocabulary_goals)

    def read(self, settings: TaskSettings) -> None:
        """Reads the corpus, once for all trials."""
        check(self._task, settings)
        if self._trains:
            self._plan = set_up(settings.device)
        else:
            hide_gpus()
        self._corpus = read_corpus(self._task, settings, self._download, self._corpus)

    def trainees(self, settings: TaskSettings, count: int) -> list[PreparedTask]:
        """The data of a trial, encoded, once for all trials that encode it in the same way.

        Args:
            settings: of the trial.
            count: of folds; 0: the corpus as it is cut.

        Returns:
            One, or that of each fold.
        """
        flat = settings.flat()
        heads = self._task.vocabulary_settings
        key = json.dumps({name: flat[name] for name in flat if name.split(".")[0] in heads})
        if key not in self._made:
            self._made[key] = self._make(settings, count)
        return self._made[key]

    def _make(self, settings: TaskSettings, count: int) -> list[PreparedTask]:
        assert self._corpus is not None
        corpora = [self._corpus]
        if count:
            complete = self._task.complete(settings, self._corpus)

            def cut(rest: Corpus[Any], share: float) -> Corpus[Any]:
                return self._task.complete(settings, rest, share)

            try:
                corpora = folds(complete, cut, count, self._task.label_of)
            except UserError as error:
                raise UserError(f"--folds {count}: {error}; fewer may do") from None
        made = [encoded(self._task, settings, corpus) for corpus in corpora]
        for line in data_lines(made[0].report):
            say(f"  {line}")
        return [PreparedTask(self._task, data, self._plan) for data in made]


class Sweep:
    """A sweep that has ended.

    Attributes:
        path: its folder.
        report: its metric, best trial, trials, the importance of settings, versions.
        best: all settings of the best trial.
    """

    def __init__(self, task: Task, path: Path):
        self.path, self._task = path, task
        self.report: dict[str, Any] = json.loads((path / "report.json").read_text("utf-8"))
        tree = yaml.safe_load((path / "best.yaml").read_text("utf-8"))
        self.best: TaskSettings = from_dict(task.settings_class, tree)

    @property
    def task(self) -> str:
        """The name of its task."""
        return self._task.name

    @property
    def changes(self) -> dict[str, Any]:
        """What the best trial has set, by dotted name, as keywords of :func:`kerasseq.train`."""
        return self.trials[0]["changes"]

    @property
    def trials(self) -> list[dict[str, Any]]:
        """A row for each trial, best first; ``pandas.DataFrame(sweep.trials)`` makes a table."""
        return self.report["trials"]

    def _repr_html_(self) -> str:
        metric = self.report["metric"]
        rows = "".join(
            f"<tr><td>{escape(str(t['trial']))}</td><td>{t['status']}</td>"
            f"<td>{'' if t['value'] is None else format(t['value'], '.4f')}</td>"
            f"<td>{escape(str(t['changes']))}</td></tr>"
            for t in self.trials
        )
        head = f"<tr><th>trial</th><th>state</th><th>{escape(metric)}</th><th>changes</th></tr>"
        return f"<table>{head}{rows}</table>"


def tune_run(
    task: Task,
    settings: TaskSettings,
    space: Space,
    path: Path,
    how: SweepOptions,
    *,
    download: bool = False,
    corpus: Corpus[Any] | None = None,
    quiet: bool = False,
) -> Sweep:
    """Searches a space in a sweep's folder, or goes on with what was stopped there.

    Args:
        task, settings: what is trained, as it is without a change.
        space: what is varied.
        path: of the sweep.
        how: what it does.
        download: whether to fetch data that is missing.
        corpus: the data, if it is in memory.
        quiet: whether nothing is said.

    Raises:
        UserError: as :func:`kerasseq.tuning.sweep.sweep`.
    """
    if devices.cluster(os.environ)[0] > 1:
        raise UserError("a sweep's trials train on one machine each: --workers, not TF_CONFIG")
    subject = SweptTask(task, download, trains=how.cluster is None, corpus=corpus)
    with silence(quiet):
        sweep(subject, settings, space, path, how)
    return Sweep(task, path)
