"""kerasseq: recurrent sequence models for text on Keras 3 / TensorFlow.

>>> import kerasseq
>>> run = kerasseq.train("sentiment", data="reviews.csv", run="runs/films")  # doctest: +SKIP
>>> run.predict(["What a film!"])                                            # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kerasseq.errors import UserError

if TYPE_CHECKING:  # tensorflow takes seconds to import
    import keras

    from kerasseq.app.exporting import ExportedModel
    from kerasseq.app.run import Run
    from kerasseq.app.sweeps import Sweep

__version__ = "0.1.0"

__all__ = ["UserError", "list_tasks", "load", "load_export", "train", "tune"]


def train(
    task: str,
    data: Any = None,
    *,
    run: str | Path | None = None,
    recipe: str | None = None,
    quiet: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    download: bool = False,
    **settings: Any,
) -> Run:
    """Trains a model in a run folder, or goes on with what was stopped there.

    The same call gives the finished run back. A folder that holds a run with other settings or
    other data is refused.

    Args:
        task: name of the task; :func:`list_tasks` has them.
        data: a path; ``tfds:NAME``; rows, as a list of tuples (text and label, tokens and tags,
            source and target) or of mappings by column; a tuple of columns, each a list; a
            ``pandas.DataFrame``; a ``tf.data.Dataset``; a string with line ends, for a language
            model; or a mapping of splits to any of these. None: what ``settings`` say, by default
            the corpus inside a package.
        run: the folder, by default ``runs/TASK``, or ``runs/RECIPE``.
        recipe: settings that gave a recorded figure, by name; ``settings`` change them. Its data
            is found in the folder that ``KERASSEQ_DATA`` names, if ``data`` is None.
        quiet: whether nothing is printed.
        callbacks: objects of Keras that are told of epochs, updates and their logs. They observe:
            ``model.stop_training`` is honoured, other changes are no part of what a resumed run
            repeats. Those that set the learning rate are refused.
        download: whether to fetch a ``tfds:NAME`` that is not prepared yet.
        **settings: of the task, as groups (``model={"cell": "gru"}``) or single ones (``seed=2``).

    Returns:
        The finished run.

    Raises:
        ValueError: for anything in these arguments that cannot be (as :class:`UserError`).
    """
    return _api().train(task, data, run, recipe, quiet, callbacks, download, settings)


def tune(
    task: str,
    data: Any = None,
    *,
    run: str | Path | None = None,
    tuner: Literal["random", "bayesian", "hyperband", "grid"] = "random",
    max_trials: int = 10,
    max_hours: float | None = None,
    space: Mapping[str, Any] | None = None,
    enqueue: Sequence[Mapping[str, Any]] = (),
    extend: bool = False,
    seeds: int = 1,
    folds: int = 0,
    keep_best: int = 3,
    max_parameters: int = 0,
    prune: bool = False,
    workers: int = 1,
    quiet: bool = False,
    download: bool = False,
    **settings: Any,
) -> Sweep:
    """Searches a task's space for better settings, or goes on with what was stopped there.

    Args:
        task, data, quiet, download, **settings: as of :func:`train`.
        run: the sweep's folder, by default ``runs/TASK-sweep``.
        tuner: how settings are chosen.
        max_trials: most trials, beside that of the settings as they are.
        max_hours: after which no further trial begins; the same call goes on with more.
        space: what is varied otherwise than by default: settings by dotted name, each with a list
            of values, with ``{"low": ..., "high": ..., "log": True}``, or with None.
        enqueue: points of the space that are tried first: settings by dotted name.
        extend: whether a sweep of another space goes on with this one; trials that are points of
            it are taken over.
        seeds: how often each trial is trained, from as many seeds; its value is their mean.
        folds: how often each trial is trained, each time with another part of train and validation
            as validation; its value is their mean. 0: once, with the data as it is cut.
        keep_best: of how many trials the models are kept, and the settings written.
        max_parameters: trials of larger models fail before they are built; 0 allows any size.
        prune: whether a trial stops that is worse than the median of the others so far.
        workers: trials at once, as Ray tasks if more than 1.

    Returns:
        The sweep: its best settings, its trials, its report.

    Raises:
        ValueError: for anything in these arguments that cannot be, or if no trial was completed.
    """
    rules = {
        "max_parameters": max_parameters, "prune": prune, "seeds": seeds, "folds": folds
    }  # fmt: skip
    how = {"max_hours": max_hours, "keep_best": keep_best, "extend": extend}
    return _api().tune(
        task, data, run, tuner, max_trials, space or {}, rules, workers, enqueue, how, quiet,
        download, settings,
    )  # fmt: skip


def load(run: str | Path, *, data: Any = None, quiet: bool = False) -> Run:
    """A finished run, as :func:`train` gave it.

    Args:
        run: its folder.
        data: what it was trained on, if that was in memory, or lies elsewhere now; its digest is
            checked when a split of it is scored.
        quiet: whether its methods print nothing.

    Raises:
        ValueError: if there is none, or it is not trained to the end.
    """
    return _api().load(run, data, quiet)


def load_export(path: str | Path) -> ExportedModel:
    """An exported version: a SavedModel, LiteRT's or ONNX Runtime's form.

    Args:
        path: ``saved_models/NAME/VERSION``, or without ``VERSION`` the newest one.

    Raises:
        ValueError: if there is none.
    """
    return _api().load_export(path)


def list_tasks() -> dict[str, str]:
    """The names of all tasks that are installed, each with its title."""
    from kerasseq.app.registry import task_names, task_title

    return {name: task_title(name) for name in task_names()}


def _api() -> Any:
    """What needs tensorflow, which is imported without its chatter."""
    from kerasseq.app.options import import_tensorflow

    import_tensorflow()
    from kerasseq.app import api

    return api
