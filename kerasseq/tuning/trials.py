"""One trial of a sweep: a run like any other, whose end is an outcome, whatever happens to it."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from kerasseq.config import replace
from kerasseq.errors import UserError
from kerasseq.runs import Prepared, build, fit
from kerasseq.storage import write_json
from kerasseq.task import Task, TaskSettings
from kerasseq.training import devices
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.trainer import DivergedError, InterruptedRunError, PrunedError

OUTCOME, ATTEMPTS, OUTPUT = "outcome.json", "attempts.json", "output.txt"

MOST_ATTEMPTS = 3
"""How often a trial is begun whose process dies (which is what too little memory looks like)."""

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
    """

    status: Literal["completed", "pruned", "failed"]
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    epochs: float = 0.0
    parameters: int = 0


class Rules(NamedTuple):
    """What a sweep allows its trials.

    Attributes:
        max_parameters: weights of a model; 0 for any number.
        prune: whether a trial stops that is worse than the median of the others.
    """

    max_parameters: int = 0
    prune: bool = False


class Job(NamedTuple):
    """What all trials of a sweep have in common."""

    task: Task
    settings: TaskSettings
    folder: Path
    prepared: Prepared
    rules: Rules


def run_trial(job: Job, number: str, changes: Mapping[str, Any]) -> Outcome:
    """Runs a trial, or continues it, in ``trials/NUMBER`` of the sweep's folder.

    What it prints goes to ``output.txt`` there. It is the training of ``train``, and fails by
    itself: settings that do not fit together, a loss that is no number, too little memory.

    Raises:
        InterruptedRunError: if it was told to stop; it can be continued.
        UserError: for what no other settings would mend, such as a full disk.
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
        outcome = _run(job, run, settings, start)
    write_json(run / OUTCOME, asdict(outcome))
    return outcome


def _run(job: Job, run: RunFolder, settings: TaskSettings, start: float) -> Outcome:
    def ended(status: Any, **more: Any) -> Outcome:
        history = run.history()
        return Outcome(
            status,
            seconds=round(time.perf_counter() - start, 1),
            epochs=history[-1]["epoch"] if history else 0.0,
            **more,
        )

    monitor = settings.training.monitor  # type: ignore[attr-defined]
    watch = median_rule(job, run) if job.rules.prune else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(run.open(job.task.name, settings.to_dict()))
        attempts = (run.read_json(ATTEMPTS) or 0) + 1
        if attempts > MOST_ATTEMPTS:
            died = f"its process died {MOST_ATTEMPTS} times; was there too little memory?"
            return ended("failed", reason=died)
        write_json(run / ATTEMPTS, attempts)
        output = stack.enter_context((run / OUTPUT).open("a", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(output))
        try:
            count = parameters(job.task, settings, job.task.assets(job.prepared.data))
        except UserError as error:
            return ended("failed", reason=str(error))
        devices.apply(job.prepared.plan)  # a cleared session has forgotten the precision
        most = job.rules.max_parameters
        if most and count > most:
            return ended(
                "failed", reason=f"not built: {count:,} parameters of {most:,}", parameters=count
            )
        try:
            summary = fit(job.task, settings, run, job.prepared, watch)
        except PrunedError as error:
            value = error.metrics[monitor]
            return ended(
                "pruned",
                value=value,
                metrics=error.metrics,
                reason=str(error),
                parameters=count,
            )
        except DivergedError as error:
            return ended("failed", reason=str(error), parameters=count)
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            reason = f"too little memory: {str(error).splitlines()[0][:200]}"
            return ended("failed", reason=reason, parameters=count)
        except InterruptedRunError:
            write_json(run / ATTEMPTS, attempts - 1)
            raise
        finally:
            keras.backend.clear_session()
    metrics = summary["validation"]
    return ended("completed", value=metrics[monitor], metrics=metrics, parameters=count)


def parameters(task: Task, settings: TaskSettings, assets: Any) -> int:
    """How many weights a model has, without making them.

    Raises:
        UserError: if the settings do not fit together.
    """
    try:
        with keras.StatelessScope(initialize_variables=False):
            return build(task, settings, assets).count_params()
    finally:
        keras.backend.clear_session()  # or its variables would wait to be given values


def median_rule(job: Job, run: RunFolder) -> Any:
    """Stops a trial whose best value so far is worse than the median of what the completed trials
    had on average up to the same number of validations (Golovin et al., 2017, section 3.2.2,
    [Google Vizier](https://research.google/pubs/pub46180/))."""
    name = f"validation_{job.settings.training.monitor}"  # type: ignore[attr-defined]
    sign = 1 if job.task.goals[name.removeprefix("validation_")] == "max" else -1

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
