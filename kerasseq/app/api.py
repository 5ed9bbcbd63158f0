"""What :mod:`kerasseq` offers: every call takes a task by its name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from kerasseq.app.cli import settings_of
from kerasseq.app.exporting import ExportedModel, load_version
from kerasseq.app.registry import find_task
from kerasseq.app.run import Run, run_of, train_run
from kerasseq.data.corpus import WHOLE
from kerasseq.data.memory import MEMORY, is_named
from kerasseq.errors import UserError
from kerasseq.training.run_folder import RunFolder

# each run makes its graphs anew, which TensorFlow takes for the same function traced too often
logging.getLogger("tensorflow").addFilter(
    lambda record: "triggered tf.function retracing" not in record.getMessage()
)

if TYPE_CHECKING:
    from kerasseq.app.sweeps import Sweep
    from kerasseq.app.task import Task
    from kerasseq.data.corpus import Corpus
    from kerasseq.training.settings import TaskSettings


def train(
    task: str,
    data: Any,
    run: str | Path | None,
    quiet: bool,
    callbacks: Sequence[keras.callbacks.Callback],
    download: bool,
    settings: Mapping[str, Any],
) -> Run:
    """See :func:`kerasseq.train`."""
    if not all(isinstance(one, keras.callbacks.Callback) for one in callbacks):
        raise UserError(f"callbacks must be objects of keras.callbacks.Callback, got {callbacks!r}")
    kind, chosen, corpus = _chosen(task, data, settings)
    path = Path(run if run is not None else f"runs/{task}").absolute()
    return train_run(
        kind, chosen, path, download=download, corpus=corpus, callbacks=callbacks, quiet=quiet
    )


def tune(
    task: str,
    data: Any,
    run: str | Path | None,
    tuner: Any,
    max_trials: int,
    space: Mapping[str, Any],
    rules: tuple[int, bool],
    workers: int,
    quiet: bool,
    download: bool,
    settings: Mapping[str, Any],
) -> Sweep:
    """See :func:`kerasseq.tune`."""
    from kerasseq.app.sweeps import tune_run
    from kerasseq.tuning.space import changed_space
    from kerasseq.tuning.sweep import SweepOptions
    from kerasseq.tuning.trials import Rules
    from kerasseq.tuning.workers import ClusterOptions

    kind, chosen, corpus = _chosen(task, data, settings)
    if workers < 1:
        raise UserError(f"workers must be 1 or more, got {workers}")
    cluster = ClusterOptions(workers, "", 0.0) if workers > 1 else None
    how = SweepOptions(tuner, max_trials, Rules(*rules), cluster)
    varied = changed_space(space, kind.search_space, "space")
    path = Path(run if run is not None else f"runs/{task}-sweep").absolute()
    return tune_run(kind, chosen, varied, path, how, download=download, corpus=corpus, quiet=quiet)


def _chosen(
    task: str, data: Any, settings: Mapping[str, Any]
) -> tuple[Task, TaskSettings, Corpus[Any] | None]:
    """The task, all of its settings, and the data, if it is in memory."""
    kind = find_task(task)
    named = data is None or is_named(data)
    changes = dict(settings)
    if data is not None:
        changes["data"] = str(data) if named else MEMORY
    chosen = settings_of(kind, changes)
    if named:
        return kind, chosen, None
    corpus = kind.from_memory(chosen, data)
    if not {"train", WHOLE} & set(corpus.splits):
        raise UserError(f"data has no train split; it has {', '.join(corpus.splits)}")
    return kind, chosen, corpus


def load(path: str | Path, data: Any, quiet: bool) -> Run:
    """See :func:`kerasseq.load`."""
    folder = RunFolder(Path(path).absolute())
    kind = find_task(folder.task())
    run = run_of(kind)(kind, folder.path, quiet=quiet)
    assert run.trained  # what is wrong with it is said now
    if data is not None:
        run.use_data(data)
    return run


def load_export(path: str | Path) -> ExportedModel:
    """See :func:`kerasseq.load_export`."""
    return load_version(Path(path))
