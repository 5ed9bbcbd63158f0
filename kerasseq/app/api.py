"""What :mod:`kerasseq` offers: every call takes a task by its name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from kerasseq.app.cli import merged, settings_of
from kerasseq.app.exporting import ExportedModel, load_version
from kerasseq.app.recipes import find_recipe
from kerasseq.app.registry import find_task
from kerasseq.app.run import Run, run_of, train_run
from kerasseq.data.memory import MEMORY, is_named
from kerasseq.errors import UserError
from kerasseq.training.events import check_callbacks
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
    recipe: str | None,
    quiet: bool,
    callbacks: Sequence[keras.callbacks.Callback],
    download: bool,
    settings: Mapping[str, Any],
) -> Run:
    """See :func:`kerasseq.train`."""
    check_callbacks(callbacks)
    known = find_recipe(recipe, task) if recipe is not None else None
    base = known.changes() if known else {}
    kind, chosen, corpus = _chosen(task, data, settings, base)
    if known:
        known.check_data(chosen.data)
    path = path_of(run if run is not None else f"runs/{recipe or task}", "run")
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
    path = path_of(run if run is not None else f"runs/{task}-sweep", "run")
    return tune_run(kind, chosen, varied, path, how, download=download, corpus=corpus, quiet=quiet)


def path_of(given: Any, name: str) -> Path:
    """A path that a caller gave.

    Raises:
        UserError: if it is none.
    """
    if not isinstance(given, str | Path) or given == "":
        raise UserError(f"{name} must be a path, got {given!r:.60}")
    return Path(given).absolute()


def _chosen(
    task: str, data: Any, settings: Mapping[str, Any], base: Mapping[str, Any] | None = None
) -> tuple[Task, TaskSettings, Corpus[Any] | None]:
    """The task, all of its settings, and the data, if it is in memory.

    Args:
        task, data, settings: as a caller gave them.
        base: settings that those change.
    """
    if not isinstance(task, str):
        raise UserError(f"task must be a name, got {task!r:.60}")
    kind = find_task(task)
    named = data is None or is_named(data)
    if isinstance(data, str) and kind.running_text and named and not Path(data).exists():
        _check_named(data)
    changes = merged(base or {}, settings)
    if data is not None:
        changes["data"] = str(data) if named else MEMORY
    chosen = settings_of(kind, changes)
    if named:
        return kind, chosen, None
    return kind, chosen, kind.from_memory(chosen, data)


def load(path: str | Path, data: Any, quiet: bool) -> Run:
    """See :func:`kerasseq.load`."""
    folder = RunFolder(path_of(path, "path"))
    kind = find_task(folder.task())
    run = run_of(kind)(kind, folder.path, quiet=quiet)
    assert run.trained  # what is wrong with it is said now
    if data is not None:
        run.use_data(data)
    return run


def load_export(path: str | Path) -> ExportedModel:
    """See :func:`kerasseq.load_export`."""
    return load_version(path_of(path, "path"))


def _check_named(data: str) -> None:
    """Raises:
    UserError: if a string looks like a text, and there is no such file.
    """
    if len(data) > 200 or data.count(" ") > 5:
        raise UserError(
            f"data: {data[:40]!r}... is taken for a path, and there is no such file; give a text "
            "of one line as a list: [text]"
        )
