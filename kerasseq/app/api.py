"""What :mod:`kerasseq` offers: every call takes a task by its name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from kerasseq.app.arguments import need_path, need_text, need_whole
from kerasseq.app.cli import merged, settings_of
from kerasseq.app.exporting import ExportedModel, load_version
from kerasseq.app.recipes import find_recipe
from kerasseq.app.registry import find_task
from kerasseq.app.run import Run, run_of, train_run
from kerasseq.data.folders import split_of
from kerasseq.data.memory import MEMORY, is_named
from kerasseq.data.sources import source_of
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
    known = find_recipe(need_text("recipe", recipe), task) if recipe is not None else None
    base = known.changes() if known else {}
    kind, chosen, corpus = _chosen(task, data, settings, base)
    if known:
        known.check_data(chosen.data)
    path = need_path("run", run if run is not None else f"runs/{recipe or task}").absolute()
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
    rules: Mapping[str, Any],
    workers: int,
    enqueue: Sequence[Mapping[str, Any]],
    how: Mapping[str, Any],
    quiet: bool,
    download: bool,
    settings: Mapping[str, Any],
) -> Sweep:
    """See :func:`kerasseq.tune`."""
    from kerasseq.app.sweeps import tune_run
    from kerasseq.tuning.space import changed_space, checked_points
    from kerasseq.tuning.sweep import SweepOptions
    from kerasseq.tuning.trials import Rules
    from kerasseq.tuning.workers import ClusterOptions

    kind, chosen, corpus = _chosen(task, data, settings)
    need_whole("workers", workers, 1)
    need_whole("max_trials", max_trials, 1)
    for name in ("seeds", "folds", "max_parameters"):
        need_whole(name, rules[name], 0)
    need_whole("keep_best", how["keep_best"], 1)
    for name, value in {"prune": rules["prune"], "extend": how["extend"]}.items():
        if not isinstance(value, bool):
            raise UserError(f"{name} must be True or False, got {value!r:.60}")
    hours = how["max_hours"]
    if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float)):
        raise UserError(f"max_hours must be a number, got {hours!r:.60}")
    if not isinstance(space, Mapping):
        raise UserError(f"space must be a mapping of settings to values, got {space!r:.60}")
    cluster = ClusterOptions(workers, "", 0.0) if workers > 1 else None
    points = checked_points(enqueue, chosen, "enqueue")
    options = SweepOptions(tuner, max_trials, Rules(**rules), cluster, chosen=points, **how)
    varied = changed_space(space, kind.search_space, "space")
    path = need_path("run", run if run is not None else f"runs/{task}-sweep").absolute()
    return tune_run(
        kind, chosen, varied, path, options, download=download, corpus=corpus, quiet=quiet
    )


def _chosen(
    task: str, data: Any, settings: Mapping[str, Any], base: Mapping[str, Any] | None = None
) -> tuple[Task, TaskSettings, Corpus[Any] | None]:
    """The task, all of its settings, and the data, if it is in memory.

    Args:
        task, data, settings: as a caller gave them.
        base: settings that those change.
    """
    kind = find_task(need_text("task", task))
    data = _joined(data)
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
    folder = RunFolder(need_path("path", path).absolute())
    kind = find_task(folder.task())
    run = run_of(kind)(kind, folder.path, quiet=quiet)
    assert run.trained  # what is wrong with it is said now
    if data is not None:
        run.use_data(data)
    return run


def load_export(path: str | Path) -> ExportedModel:
    """See :func:`kerasseq.load_export`."""
    return load_version(need_path("path", path))


def _joined(data: Any) -> Any:
    """A mapping of splits to files as the one name that ``--data`` has for it.

    Raises:
        UserError: if some of them are files and others are not.
    """
    if not isinstance(data, Mapping) or not data:
        return data
    files = {
        split_of(name) if isinstance(name, str) else None: part
        for name, part in data.items()
        if isinstance(part, Path) or (isinstance(part, str) and "\n" not in part[:1000])
    }
    if not files:
        return data
    if len(files) < len(data) or None in files:
        raise UserError(
            f"data: {', '.join(map(str, files.values()))} are taken for files, the others are not: "
            "give a file for each split, or rows for each"
        )
    return source_of({str(split): [path] for split, path in files.items()})


def _check_named(data: str) -> None:
    """Raises:
    UserError: if a string looks like a text, and there is no such file.
    """
    if len(data) > 200 or data.count(" ") > 5:
        raise UserError(
            f"data: {data[:40]!r}... is taken for a path, and there is no such file; give a text "
            "of one line as a list: [text]"
        )
