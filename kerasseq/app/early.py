"""What is wrong with a command, found before tensorflow is imported, which takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from kerasseq.app.task import Task
from kerasseq.config import differences
from kerasseq.data.sources import TFDS, paths_of
from kerasseq.data.table_writer import check_table
from kerasseq.errors import UserError
from kerasseq.training.run_folder import SUMMARY, RunFolder


def train(task: Task, options: Namespace) -> list[Any]:
    """Reads the data of a run that is not finished, if no other package is needed for that.

    Returns:
        The corpus, in a list that gives it away: nobody keeps it while the model is trained.
    """
    settings, run = options.settings, RunFolder(options.run)
    task.check(settings)
    run.check(task.name, settings.to_dict())
    if settings.data.startswith(TFDS) or run.read_json(SUMMARY) is not None:
        return [None]
    return [task.read(settings, settings.data, options.download)]


def tune(task: Task, options: Namespace) -> None:
    """The data is there."""
    task.check(options.settings)
    _check_source(options.settings.data)


def evaluate(task: Task, options: Namespace) -> None:
    """The run is there, and the data, and the list of errors can be written."""
    own = RunFolder(options.run).record(task.name)["settings"]["data"]
    given = [source for source in (options.on, options.data) if source]
    for source in given:
        _check_source(source)
    if options.errors:
        check_table(Path(options.errors), [*given, own])


def predict(task: Task, options: Namespace) -> None:
    """The run is there, and the file, and the table can be written."""
    if options.file and not Path(options.file).is_file():
        what = "is a folder" if Path(options.file).is_dir() else "does not exist"
        raise UserError(f"{options.file} {what}")
    if options.output:
        check_table(Path(options.output), [options.file] if options.file else [])
    if not options.saved_model:
        RunFolder(options.run).record(task.name)


def run(task: Task, options: Namespace) -> None:
    """The run is there."""
    RunFolder(options.run).record(task.name)


def describe(task: Task, options: Namespace) -> None:
    """The run is there, if one is named, and no settings beside it."""
    if options.run is None:
        return
    settings = RunFolder(options.run).record(task.name)["settings"]
    given = differences(task.settings_class().to_dict(), options.settings.to_dict())
    if given and differences(settings, options.settings.to_dict()):
        raise UserError(
            f"--run describes {options.run} with its own settings: leave these out "
            f"({'; '.join(given)})"
        )


def runs(task: Task, options: Namespace) -> None:
    """The two runs are there."""
    if len(options.runs) != 2:
        raise UserError(f"compare takes two runs, got {len(options.runs)}: compare RUN RUN")
    for path in options.runs:
        RunFolder(path).record(task.name)


def _check_source(source: str) -> None:
    """Raises:
    UserError: if it is a path at which nothing is.
    """
    for path in paths_of(source):
        if not Path(path).exists():
            raise UserError(f"{path} does not exist")
