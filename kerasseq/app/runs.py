"""One run of any task: its data prepared, trained in its folder, and read back from it."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import yaml

from kerasseq import compat, plots
from kerasseq.app.task import Data, Task, TaskSettings, Use
from kerasseq.config import from_dict
from kerasseq.data.corpus import WHOLE, Corpus
from kerasseq.data.cutting import limited
from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.training import devices
from kerasseq.training.memory import peak_memory_mib
from kerasseq.training.progress import clock, say
from kerasseq.training.replicas import Replicas
from kerasseq.training.run_folder import (
    CHECKPOINT,
    DATA,
    MODEL,
    SAMPLES,
    SUMMARY,
    RunFolder,
    versions,
)
from kerasseq.training.trainer import FitResult, Trainer, Watch

SHOWN = 25
"""Most labels in a data report for people."""


class Trained(NamedTuple):
    """A finished run.

    Attributes:
        run: its folder.
        settings, assets: of the task.
        use: of its model.
        summary: of its training, as ``training.json`` holds it.
    """

    run: RunFolder
    settings: Any
    assets: Any
    use: Any
    summary: dict[str, Any]


def load_run(task: Task, path: Path) -> Trained:
    """Reads a finished run. Its model computes in float32, as an export does, whatever it was
    trained in.

    Raises:
        UserError: if there is none at ``path``, or it is another task's, or not finished.
    """
    run = RunFolder(path)
    record = run.record(task.name)
    settings = from_dict(task.settings_class, record["settings"])
    devices.apply(devices.plan_alone(devices.detect(), settings.device))
    summary = run.read_json(SUMMARY)
    if summary is None:
        raise UserError(f"{path} is not trained to the end: the train command continues it")
    assets = task.assets_class.load(run, settings)
    keras.mixed_precision.set_dtype_policy("float32")
    model = build(task, settings, assets)
    try:
        model.load_weights(run / MODEL)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{run / MODEL} cannot be loaded: {error}") from None
    return Trained(run, settings, assets, task.use(model, settings, assets), summary)


def read_corpus(
    task: Task, settings: TaskSettings, download: bool, corpus: Corpus[Any] | None = None
) -> Corpus[Any]:
    """The corpus of a run, as it is, or as much of it as ``limit`` says.

    Args:
        task, settings: of the run.
        download: whether to fetch what is missing.
        corpus: the data, if it is in memory.
    """
    if corpus is None:
        corpus = task.read(settings, settings.data, download)
    if not {"train", WHOLE} & set(corpus.splits):
        raise UserError(
            f"{corpus.source} has no train split; it has {', '.join(corpus.splits)} "
            "(evaluate --on scores it)"
        )
    return limited(corpus, settings.limit, settings.seed, task.running_text)


def encoded(task: Task, settings: TaskSettings, corpus: Corpus[Any], assets: Any = None) -> Data:
    """The data of a run, encoded; see :meth:`kerasseq.app.task.Task.prepare`.

    Args:
        task, settings: of the run.
        corpus: from :func:`read_corpus`.
        assets: of the run; if it has none yet, they are learned.
    """
    try:
        return task.prepare(settings, corpus, assets)
    except UserError as error:
        if settings.limit:
            raise UserError(f"{error} (limit is {settings.limit:,})") from None
        raise


def read_data(
    task: Task,
    settings: TaskSettings,
    download: bool,
    assets: Any = None,
    corpus: Corpus[Any] | None = None,
) -> Data:
    """The data of a run, read and encoded: :func:`read_corpus`, then :func:`encoded`."""
    return encoded(task, settings, read_corpus(task, settings, download, corpus), assets)


def reported_split(run: RunFolder) -> str:
    """The split that stands for a run: test, or validation where the data has no test split."""
    return "test" if "test" in run.need_json(DATA)["splits"] else "validation"


def split_data(
    task: Task, trained: Trained, split: str, download: bool, corpus: Corpus[Any] | None = None
) -> Data:
    """The data of a run, read anew for one of its splits.

    Raises:
        UserError: if there is no such split, or the data has changed since.
    """
    splits = trained.run.need_json(DATA)["splits"]
    if split not in splits:
        raise UserError(f"the run's data has no {split} split; it has {', '.join(splits)}")
    data = read_data(task, trained.settings, download, trained.assets, corpus)
    trained.run.check_data(data.report)
    return data


def build(task: Task, settings: TaskSettings, assets: Any, portable: bool = False) -> keras.Model:
    """The task's model.

    Raises:
        UserError: if the settings do not fit together.
    """
    try:
        return task.build_model(settings, assets, portable)
    except ValueError as error:
        raise UserError(str(error)) from None


class Prepared(NamedTuple):
    """What training starts from.

    Attributes:
        plan: of the devices.
        data: of the task.
    """

    plan: devices.DevicePlan
    data: Data


def prepare(
    task: Task,
    settings: TaskSettings,
    download: bool,
    corpus: Corpus[Any] | None = None,
) -> Prepared:
    """Sets up the devices and reads the data; says both. Nothing is written yet.

    Args:
        task, settings: what is to be trained.
        download: whether to fetch what is missing.
        corpus: the data, if it is in memory.
    """
    check(task, settings)
    plan = set_up(settings.device)
    data = read_data(task, settings, download, corpus=corpus)
    for line in data_lines(data.report):
        say(f"  {line}")
    return Prepared(plan, data)


def check(task: Task, settings: TaskSettings) -> None:
    """Raises:
    UserError: if what training needs is not there.
    """
    monitor = settings.training.monitor
    if monitor not in task.goals:
        raise UserError(
            f"training.monitor: no metric {monitor!r}; there are {', '.join(task.goals)}"
        )
    task.check(settings)


def set_up(settings: devices.DeviceSettings) -> devices.DevicePlan:
    """Plans for the devices of this process, puts it into effect, and says it."""
    plan = devices.plan(devices.detect(), settings)
    devices.apply(plan)
    Replicas.of(plan.strategy, plan.replicas)  # several workers must meet before any op
    for line in plan.lines():
        say(f"  {line}")
    return plan


def fit(
    task: Task,
    settings: TaskSettings,
    run: RunFolder,
    prepared: Prepared,
    watch: Watch | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains in an open run folder and writes the final model.

    Args:
        task, settings: what is trained.
        run: open.
        prepared: from :func:`prepare`, with a plan.
        watch: may stop it after any validation.
        callbacks: of Keras; they observe.

    Returns:
        The summary, as ``training.json`` holds it; of a worker that is not the chief, nothing.
    """
    plan, data = prepared
    replicas = Replicas.of(plan.strategy, plan.replicas)
    replicas.check_same("settings or data", [settings.to_dict(), data.report])
    if (run / CHECKPOINT).exists():
        run.check_data(data.report)
    _write_start(run, settings, plan, data)
    trainer = _make_trainer(task, settings, run, data, replicas, watch, callbacks)
    for line in trainer.lines():
        say(f"  {line}")
    result = trainer.fit()
    if not run.writes:
        return {}
    model = trainer.model
    model.save(run / MODEL)
    if settled := task.settle(model, settings, data):
        settled.save(run)
    curves = plots.learning_curves(run.history(), result.best_step, task.title)
    plots.save(curves, run / "curves.png")
    summary = _summary(result, model, [*plan.lines(), *trainer.lines()])
    write_json(run / SUMMARY, summary)
    for path in (run / CHECKPOINT, *run.path.glob("best-*.npz")):
        path.unlink(missing_ok=True)
    say(
        f"trained {result.steps} steps in {clock(result.seconds)}; kept step {result.best_step}: "
        + ", ".join(f"validation {name} {value:.4f}" for name, value in result.metrics.items())
    )
    return summary


def _write_start(
    run: RunFolder, settings: TaskSettings, plan: devices.DevicePlan, data: Data
) -> None:
    """Writes what there is before training."""
    run.write_text("settings.yaml", yaml.safe_dump(settings.to_dict(), sort_keys=False))
    if run.writes:
        write_json(run / DATA, data.report)
        write_json(run / SAMPLES, data.samples)
        write_json(run / "devices.json", plan.lines())
        data.assets.save(run)


def _make_trainer(
    task: Task,
    settings: TaskSettings,
    run: RunFolder,
    data: Data,
    replicas: Replicas,
    watch: Watch | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Trainer:
    """The trainer of a model that is made here; says what it is made of."""
    parts = replicas.count * settings.training.accumulate
    keras.utils.set_random_seed(settings.seed)
    with replicas.scope():
        model = build(task, settings, data.assets)
        adapted = task.adapt(model, settings, data)
        loss = task.loss(model, settings, parts)
    for line in adapted:
        say(f"  {line}")
    for name, kernel in recurrent_kernels(model):
        say(f"  {name}: {kernel}")
    say(f"  parameters: {model.count_params():,}")
    batches = task.batches(settings, data, parts)
    use: Use = task.use(model, settings, data.assets)
    return Trainer(
        model,
        loss,
        batches,
        lambda: use.validate(data),
        task.goals,
        settings.training,
        run,
        watch,
        replicas,
        callbacks,
    )


def _summary(result: FitResult, model: keras.Model, lines: list[str]) -> dict[str, Any]:
    return {
        "validation": result.metrics,
        "best_step": result.best_step,
        "steps": result.steps,
        "seconds": result.seconds,
        "tokens_per_second": result.tokens_per_second,
        "peak_memory_mib": peak_memory_mib(),
        "parameters": model.count_params(),
        "devices": lines,
        "kernels": [f"{name}: {kernel}" for name, kernel in recurrent_kernels(model)],
        "versions": versions(),
    }


def recurrent_kernels(model: keras.Model) -> list[tuple[str, Any]]:
    """The recurrent layers of a model and the kernel each runs on."""
    found = [layer for layer in compat.all_layers(model) if hasattr(layer, "kernel_plan")]
    parts = {id(part) for layer in found for part in compat.all_layers(layer, include_self=False)}
    return [
        (f"kernel of {layer.name}", layer.kernel_plan())
        for layer in found
        if id(layer) not in parts  # of a layer that says how it runs them
    ]


def data_lines(report: dict[str, Any]) -> list[str]:
    """A data report for people."""
    lines = [f"data: {report['source']}", *(f"  {note}" for note in report["notes"])]
    for name, split in report["splits"].items():
        counts = [f"{label} {count:,}" for label, count in split["labels"].items()]
        more = [f"{len(counts) - SHOWN} more"] if len(counts) > SHOWN else []
        labels = f" ({', '.join(counts[:SHOWN] + more)})" if counts else ""
        cut = f"cut {split['cut_share']:.1%}, " if "cut_share" in split else ""
        spread = " ".join(f"{p} {n}" for p, n in split["length_percentiles"].items())
        lines.append(
            f"  {name}: {split['examples']:,}{labels}, {split['tokens']:,} tokens; lengths "
            f"{spread}; {cut}unknown {split['unknown_share']:.1%}"
        )
    for name, value in report.get("batches", {}).items():
        lines.append(f"  {name}: {value}")
    lines.append(f"  vocabulary: {report['vocabulary']:,}")
    return lines
