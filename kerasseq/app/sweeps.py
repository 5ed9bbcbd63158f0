"""A task as a sweep trains it: its data is prepared once for all trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from kerasseq.app.runs import Prepared, build, fit, prepare, set_up
from kerasseq.app.task import Task, TaskSettings
from kerasseq.training.devices import DevicePlan, DeviceSettings
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.trainer import Goal, Watch


class SweptTask:
    """What :class:`kerasseq.tuning.trials.Subject` says, of a task.

    Args:
        task: the task.
        download: whether to fetch data that is missing.
        trains: whether this process trains; else each process that trains makes its own device
            plan.
    """

    def __init__(self, task: Task, download: bool, trains: bool):
        self._task, self._download, self._trains = task, download, trains
        self._prepared: Prepared | None = None

    @property
    def name(self) -> str:
        """Of the task."""
        return self._task.name

    @property
    def goals(self) -> Mapping[str, Goal]:
        """Of the task."""
        return self._task.goals

    @property
    def data_settings(self) -> tuple[str, ...]:
        """Of the task."""
        return self._task.data_settings

    def prepare(self, settings: TaskSettings) -> dict[str, Any]:
        """Reads the data, once for all trials; its report."""
        self._prepared = prepare(self._task, settings, self._download, self._trains)
        return self._prepared.data.report

    def set_up(self, settings: DeviceSettings) -> DevicePlan:
        """The device plan of this process, made if there is none yet."""
        return self._ready().plan or set_up(settings)

    def parameters(self, settings: TaskSettings) -> int:
        """How many weights a model has, without making them.

        Raises:
            UserError: if the settings do not fit together.
        """
        try:
            with keras.StatelessScope(initialize_variables=False):
                return build(self._task, settings, self._ready().data.assets).count_params()
        finally:
            keras.backend.clear_session()  # or its variables would wait to be given values

    def fit(
        self, settings: TaskSettings, run: RunFolder, plan: DevicePlan, watch: Watch | None
    ) -> dict[str, Any]:
        """See :func:`kerasseq.app.runs.fit`."""
        return fit(self._task, settings, run, Prepared(plan, self._ready().data), watch)

    def _ready(self) -> Prepared:
        assert self._prepared is not None
        return self._prepared
