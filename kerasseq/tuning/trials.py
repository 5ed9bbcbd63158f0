"""One trial of a sweep: a run like any other, or one for each seed or fold. Its end is an outcome,
whatever happens to it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
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
from kerasseq.training.memory import memory_kills
from kerasseq.training.run_folder import CHECKPOINT, SUMMARY, RunFolder
from kerasseq.training.settings import TaskSettings
from kerasseq.training.trainer import Goal, InterruptedRunError, PrunedError, Watch
from kerasseq.tuning.space import Fixed

OUTCOME, ATTEMPTS, OUTPUT = "outcome.json", "attempts.json", "output.txt"

MOST_ATTEMPTS = 3
"""How often a trial is begun whose process dies of too little memory before it has come any
further."""

FEWEST_OTHERS = 4
"""Completed trials that a median is worth something of."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        status: failed trials have no value.
        value: of the metric that the sweep is for, of the weights that are kept; of several runs
            the mean, as are the metrics and epochs.
        metrics: all validation metrics of these weights.
        reason: why it failed or was pruned.
        seconds: of this process, from the start of the trial.
        epochs: that it was trained for.
        parameters: of the model.
        too_large: whether it was not built, since it has more of them than are allowed.
        values: of several runs, the value of each.
    """

    status: Literal["completed", "pruned", "failed"]
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    epochs: float = 0.0
    parameters: int = 0
    too_large: bool = False
    values: list[float] = field(default_factory=list)

    @property
    def spread(self) -> float | None:
        """The standard deviation of the values of several runs (n - 1 below the line)."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


class Rules(NamedTuple):
    """What a sweep allows its trials.

    Attributes:
        max_parameters: weights of a model; 0 for any number.
        prune: whether a trial stops that is worse than the median of the others.
        seeds: how often a trial is trained, each time from another seed.
        folds: how often it is trained, each time with another part of the data as validation; 0:
            once, with the data as it is cut.
    """

    max_parameters: int = 0
    prune: bool = False
    seeds: int = 1
    folds: int = 0

    @property
    def parts(self) -> list[str]:
        """The names of a trial's runs, if it has several."""
        kind, count = ("fold", self.folds) if self.folds else ("seed", self.seeds)
        return [f"{kind}-{i + 1}" for i in range(count)] if count > 1 else []


class Trainee(Protocol):
    """What a trial trains: a task with encoded data."""

    @property
    def report(self) -> dict[str, Any]:
        """Of the data."""

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

    def significance(self, run: RunFolder, other: Any, others: RunFolder) -> float | None:
        """How likely chance alone made the difference of two trained models on validation; None if
        there is no test of the metric.

        Args:
            run: of the one, trained from this data.
            other, others: the trainee of the other, and its run.
        """


class Subject(Protocol):
    """What a sweep is about, as far as it has to know it: a task with its corpus.

    Attributes:
        name: of the task.
        goals: validation metrics, and which way is better.
        fixed: what a sweep must not vary, or not in any way.
    """

    @property
    def name(self) -> str: ...
    @property
    def goals(self) -> Mapping[str, Goal]: ...
    @property
    def fixed(self) -> Fixed: ...

    def read(self, settings: Any) -> None:
        """Reads the corpus, once for all trials."""

    def trainees(self, settings: Any, count: int) -> Sequence[Trainee]:
        """What a trial trains, encoded once for all trials that encode it in the same way.

        Args:
            settings: of the trial.
            count: of folds; 0: the corpus as it is cut.

        Returns:
            One, or that of each fold.

        Raises:
            UserError: if the corpus cannot be encoded so.
        """


class Job(NamedTuple):
    """What all trials of a sweep have in common."""

    task: str
    goal: Goal
    settings: TaskSettings
    folder: Path
    rules: Rules
    started: str = ""
    """Told apart from other starts of the sweep, where a trial's process may die by itself: one
    that ends with the sweep has done nothing wrong."""


def run_trial(
    job: Job, trainees: Sequence[Trainee], number: str, changes: Mapping[str, Any]
) -> Outcome:
    """Runs a trial, or continues it, in ``trials/NUMBER`` of the sweep's folder; if it has several
    runs, each in a folder there.

    What it prints goes to ``output.txt`` there. It is the training of ``train``, and fails by
    itself: settings that do not fit together, a loss that is no number, too little memory.

    Args:
        job: of the sweep.
        trainees: one, or that of each fold.
        number: of the trial.
        changes: settings by dotted name.

    Raises:
        InterruptedRunError: if it was told to stop; it can be continued.
        StorageError: if it cannot write.
    """
    folder = trial_folder(job.folder, number)
    parts = job.rules.parts
    if not parts:
        return _run_part(job, trainees[0], folder, changes)
    outcomes: list[Outcome] = []
    for i, part in enumerate(parts):
        changed = dict(changes)
        if not job.rules.folds:
            changed["seed"] = job.settings.seed + i
        trainee = trainees[i if job.rules.folds else 0]
        outcomes.append(_run_part(job, trainee, folder / part, changed))
        if outcomes[-1].status != "completed":
            break
    outcome = _together(outcomes, parts)
    write_json(folder / OUTCOME, asdict(outcome))
    return outcome


def trial_folder(sweep: Path, number: str) -> Path:
    """The folder of a trial."""
    return sweep / "trials" / number


def _together(outcomes: Sequence[Outcome], parts: Sequence[str]) -> Outcome:
    """The outcome of a trial with several runs, the last of which may not be completed."""
    last = outcomes[-1]
    valued = [each for each in outcomes if each.value is not None]
    values = [each.value for each in valued if each.value is not None]
    where = parts[len(outcomes) - 1]
    return Outcome(
        last.status,
        None if last.status == "failed" else statistics.fmean(values),
        {name: statistics.fmean(each.metrics[name] for each in valued) for name in last.metrics},
        f"{where}: {last.reason}" if last.reason else "",
        round(sum(each.seconds for each in outcomes), 1),
        round(statistics.fmean(each.epochs for each in outcomes), 3),
        max(each.parameters for each in outcomes),
        last.too_large,
        values,
    )


def _run_part(job: Job, trainee: Trainee, folder: Path, changes: Mapping[str, Any]) -> Outcome:
    """One run of a trial."""
    run = RunFolder(folder)
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
            outcome = _run(job, trainee, run, settings, start)
        except (InterruptedRunError, KeyboardInterrupt):  # no attempt that failed
            attempts = run.read_json(ATTEMPTS) or {"count": 0}
            write_json(run / ATTEMPTS, {**attempts, "count": max(0, attempts["count"] - 1)})
            raise
    write_json(run / OUTCOME, asdict(outcome))
    return outcome


def _run(
    job: Job, trainee: Trainee, run: RunFolder, settings: TaskSettings, start: float
) -> Outcome:
    """Runs a trial whose settings are known."""
    with contextlib.ExitStack() as stack:
        # a trial may go on with other workers, on another machine
        before = (run.read_json("run.json") or {}).get("settings", {})
        recorded = {**settings.to_dict(), **{k: v for k, v in before.items() if k == "device"}}
        stack.enter_context(run.open(job.task, recorded))
        attempts = _count_attempt(run, job.started)
        if attempts > MOST_ATTEMPTS:
            died = f"its process died {MOST_ATTEMPTS} times; was there too little memory?"
            outcome = Outcome("failed", reason=died)
        else:
            output = stack.enter_context((run / OUTPUT).open("a", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(output))
            outcome = _train(job, trainee, run, settings)
    history = run.history()
    return dataclasses.replace(
        outcome,
        seconds=round(time.perf_counter() - start, 1),
        epochs=history[-1]["epoch"] if history else 0.0,
    )


def _train(job: Job, trainee: Trainee, run: RunFolder, settings: TaskSettings) -> Outcome:
    """Trains in the trial's open folder, if the model is not too large."""
    logging.getLogger("tensorflow").addFilter(_no_retracing)
    plan = trainee.set_up(settings.device)  # before the first op
    try:
        count = trainee.parameters(settings)
    except UserError as error:
        return Outcome("failed", reason=str(error))
    apply(plan)  # a cleared session has forgotten the precision
    most = job.rules.max_parameters
    if most and count > most:
        reason = f"not built: {count:,} parameters of {most:,}"
        return Outcome("failed", reason=reason, parameters=count, too_large=True)
    watch = median_rule(job, run) if job.rules.prune else None
    try:
        summary = run.read_json(SUMMARY) or trainee.fit(settings, run, plan, watch)
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


def _no_retracing(record: logging.LogRecord) -> bool:
    """Leaves out TensorFlow's warning of functions that are made again and again: each trial has a
    model of its own."""
    return "triggered tf.function retracing" not in record.getMessage()


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
    """How often the trial was begun since its last checkpoint, as far as its end is its own.

    A trial in a process of its own that died, while the sweep went on, has done it itself. One in
    the sweep's process ends with a sweep that is killed, which is no fault of it: that counts only
    if the machine has killed for memory since.
    """
    path = run / CHECKPOINT
    reached = path.stat().st_mtime if path.exists() else 0.0
    before = run.read_json(ATTEMPTS) or {"count": 0}
    now = {"reached": reached, "started": started}
    same = all(before.get(name, value) == value for name, value in now.items())
    kills, known = memory_kills(), before.get("kills")
    for_memory = bool(kills and known and kills[0] == known[0] and kills != known)
    count = before["count"] if same else 0
    if not count or started or for_memory:
        count += 1
    write_json(run / ATTEMPTS, {"count": count, **now, "kills": kills})
    return count


def median_rule(job: Job, run: RunFolder) -> Any:
    """Stops a trial whose best value so far is worse than the median of what the completed trials
    had on average up to the same number of validations (Golovin et al., 2017, section 3.2.2,
    [Google Vizier](https://research.google/pubs/pub46180/))."""
    monitor = job.settings.training.monitor
    name = f"validation_{monitor}"
    sign = 1 if job.goal == "max" else -1
    place = run.path.relative_to(job.folder / "trials").parts[1:]

    def watch(history: Sequence[Mapping[str, Any]]) -> str | None:
        count = len(history)
        others = []
        for path in sorted((job.folder / "trials").iterdir()):
            other = RunFolder(path.joinpath(*place))
            if (
                other.path == run.path
                or (other.read_json(OUTCOME) or {}).get("status") != "completed"
            ):
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
