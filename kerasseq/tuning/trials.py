"""One trial of a sweep: a run like any other, whose end is an outcome, whatever happens to it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import keras
import tensorflow as tf

from kerasseq.config import replace
from kerasseq.errors import StorageError, UserError
from kerasseq.storage import write_json
from kerasseq.training.devices import DevicePlan, apply
from kerasseq.training.run_folder import CHECKPOINT, SUMMARY, RunFolder
from kerasseq.training.settings import TaskSettings
from kerasseq.training.trainer import Goal, InterruptedRunError, PrunedError, Watch

OUTCOME, ATTEMPTS, OUTPUT = "outcome.json", "attempts.json", "output.txt"

MOST_ATTEMPTS = 3
"""How often a trial is begun whose process dies before it has come any further (which is what too
little memory looks like)."""

FEWEST_OTHERS = 4
"""Completed trials that a median is worth something of."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        status: failed trials have no value.
        value: of the metric that the sweep is for, of the weights that are kept.
        metrics: all validation metrics of these weights.
        reason: why it failed or was pruned.
        seconds: of this process, from the start of the trial.
        epochs: that it was trained for.
        parameters: of the model.
        too_large: whether it was not built, since it has more of them than are allowed.
    """

    status: Literal["completed", "pruned", "failed"]
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    epochs: float = 0.0
    parameters: int = 0
    too_large: bool = False


class Rules(NamedTuple):
    """What a sweep allows its trials.

    Attributes:
        max_parameters: weights of a model; 0 for any number.
        prune: whether a trial stops that is worse than the median of the others.
    """

    max_parameters: int = 0
    prune: bool = False


class Subject(Protocol):
    """What a sweep trains, as far as its trials have to know it: a task with its data.

    Attributes:
        name: of the task.
        goals: validation metrics, and which way is better.
        data_settings: settings, and groups of them, that are the same in all trials.
    """

    @property
    def name(self) -> str: ...
    @property
    def goals(self) -> Mapping[str, Goal]: ...
    @property
    def data_settings(self) -> tuple[str, ...]: ...

    def prepare(self, settings: Any) -> dict[str, Any]:
        """Reads the data, once for all trials; its report."""

    def set_up(self, settings: Any) -> DevicePlan:
        """The device plan of this process, made if there is none yet."""

    def parameters(self, settings: Any) -> int:
        """How many weights a model has, without making them.

        Raises:
            UserError: if the settings do not fit together.
        """

    def fit(
        self, settings: Any, run: RunFolder, plan: DevicePlan, watch: Watch | None
    ) -> dict[str, Any]:
        """Trains in an open run folder; the summary, as ``training.json`` holds it."""


class Job(NamedTuple):
    """What all trials of a sweep have in common."""

    subject: Subject
    settings: TaskSettings
    folder: Path
    rules: Rules
    started: str = ""
    """Told apart from other starts of the sweep, where a trial's process may die by itself: one
    that ends with the sweep has done nothing wrong."""


def run_trial(job: Job, number: str, changes: Mapping[str, Any]) -> Outcome:
    """Runs a trial, or continues it, in ``trials/NUMBER`` of the sweep's folder.

    What it prints goes to ``output.txt`` there. It is the training of ``train``, and fails by
    itself: settings that do not fit together, a loss that is no number, too little memory.

    Raises:
        InterruptedRunError: if it was told to stop; it can be continued.
        StorageError: if it cannot write.
    """
    run = RunFolder(job.folder / "trials" / number)
    found = run.read_json(OUTCOME)
    if found is not None:
        return Outcome(**found)
    run.path.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        settings = replace(job.settings, changes)
    except UserError as error:
        outcome = Outcome("failed", reason=str(error))
    else:
        try:
            outcome = _run(job, run, settings, start)
        except (InterruptedRunError, KeyboardInterrupt):  # no attempt that failed
            attempts = run.read_json(ATTEMPTS) or {"count": 0}
            write_json(run / ATTEMPTS, {**attempts, "count": max(0, attempts["count"] - 1)})
            raise
    write_json(run / OUTCOME, asdict(outcome))
    return outcome


def _run(job: Job, run: RunFolder, settings: TaskSettings, start: float) -> Outcome:
    """Runs a trial whose settings are known."""
    with contextlib.ExitStack() as stack:
        # a trial may go on with other workers, on another machine
        before = (run.read_json("run.json") or {}).get("settings", {})
        recorded = {**settings.to_dict(), **{k: v for k, v in before.items() if k == "device"}}
        stack.enter_context(run.open(job.subject.name, recorded))
        attempts = _count_attempt(run, job.started)
        if attempts > MOST_ATTEMPTS:
            died = f"its process died {MOST_ATTEMPTS} times; was there too little memory?"
            outcome = Outcome("failed", reason=died)
        else:
            output = stack.enter_context((run / OUTPUT).open("a", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(output))
            outcome = _train(job, run, settings)
    history = run.history()
    return dataclasses.replace(
        outcome,
        seconds=round(time.perf_counter() - start, 1),
        epochs=history[-1]["epoch"] if history else 0.0,
    )


def _train(job: Job, run: RunFolder, settings: TaskSettings) -> Outcome:
    """Trains in the trial's open folder, if the model is not too large."""
    plan = job.subject.set_up(settings.device)  # before the first op
    try:
        count = job.subject.parameters(settings)
    except UserError as error:
        return Outcome("failed", reason=str(error))
    apply(plan)  # a cleared session has forgotten the precision
    most = job.rules.max_parameters
    if most and count > most:
        reason = f"not built: {count:,} parameters of {most:,}"
        return Outcome("failed", reason=reason, parameters=count, too_large=True)
    watch = median_rule(job, run) if job.rules.prune else None
    try:
        summary = run.read_json(SUMMARY) or job.subject.fit(settings, run, plan, watch)
        outcome = Outcome("completed", metrics=summary["validation"])
    except PrunedError as error:
        outcome = Outcome("pruned", metrics=error.metrics, reason=str(error))
    except (InterruptedRunError, StorageError):
        raise
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        outcome = Outcome("failed", reason=f"too little memory: {_first_line(error)}")
    except UserError as error:
        outcome = Outcome("failed", reason=str(error))
    except Exception as error:  # whatever these settings bring about, the others may do
        traceback.print_exc(file=sys.stdout)
        outcome = Outcome("failed", reason=f"{type(error).__name__}: {_first_line(error)}")
    finally:
        keras.backend.clear_session()
    return _judged(dataclasses.replace(outcome, parameters=count), settings.training.monitor)


def _judged(outcome: Outcome, monitor: str) -> Outcome:
    """An outcome with the value of the metric that counts; failed, if that is no number."""
    if outcome.status == "failed":
        return outcome
    value = outcome.metrics[monitor]
    if math.isfinite(value):
        return dataclasses.replace(outcome, value=value)
    return Outcome("failed", reason=f"{monitor} is {value}", parameters=outcome.parameters)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0][:200]


def _count_attempt(run: RunFolder, started: str = "") -> int:
    """How often the trial was begun since its last checkpoint, in this start of the sweep."""
    path = run / CHECKPOINT
    reached = path.stat().st_mtime if path.exists() else 0.0
    before = run.read_json(ATTEMPTS) or {"count": 0}
    now = {"reached": reached, "started": started}
    same = all(before.get(name, value) == value for name, value in now.items())
    count = 1 + (before["count"] if same else 0)
    write_json(run / ATTEMPTS, {"count": count, **now})
    return count


def median_rule(job: Job, run: RunFolder) -> Any:
    """Stops a trial whose best value so far is worse than the median of what the completed trials
    had on average up to the same number of validations (Golovin et al., 2017, section 3.2.2,
    [Google Vizier](https://research.google/pubs/pub46180/))."""
    monitor = job.settings.training.monitor
    name = f"validation_{monitor}"
    sign = 1 if job.subject.goals[monitor] == "max" else -1

    def watch(history: Sequence[Mapping[str, Any]]) -> str | None:
        count = len(history)
        others = []
        for path in sorted(run.path.parent.iterdir()):
            other = RunFolder(path)
            if path == run.path or (other.read_json(OUTCOME) or {}).get("status") != "completed":
                continue
            values = [record[name] for record in other.history()[:count]]
            if len(values) == count:
                others.append(sign * statistics.fmean(values))
        if len(others) < FEWEST_OTHERS:
            return None
        best = max(sign * record[name] for record in history)
        median = statistics.median(others)
        if best >= median:
            return None
        return f"{sign * best:.4f} after {count} validations, the median is {sign * median:.4f}"

    return watch
