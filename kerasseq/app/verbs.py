"""What the verbs do, for any task."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import Namespace
from rich.table import Table

from kerasseq.app.exporting import ExportedModel, export_name
from kerasseq.app.results import Report
from kerasseq.app.run import Run, run_of, train_run
from kerasseq.app.runs import build, recurrent_kernels
from kerasseq.app.task import Task
from kerasseq.config import from_dict
from kerasseq.data.notes import Notes
from kerasseq.data.reading import decoded_lines, text_lines
from kerasseq.data.table_writer import write_table
from kerasseq.data.tables import SUFFIXES, is_table, table_rows
from kerasseq.errors import UserError
from kerasseq.export.versions import read_manifest_of
from kerasseq.training import devices
from kerasseq.training.progress import make_console, note, say
from kerasseq.training.run_folder import SAMPLES, RunFolder

T = TypeVar("T")

EXAMPLES = 3
"""Held-out samples that ``train`` shows predictions for."""

# -- train -----------------------------------------------------------------------------------------


def train(task: Task, options: Namespace, corpus: list[Any]) -> None:
    """Trains, then scores the test split, shows examples, and exports.

    Args:
        task, options: of the command.
        corpus: the data, if it is read already, in a list that gives it away.
    """
    export_name(Path(options.run), options.name)
    run = train_run(task, options.settings, Path(options.run), download=options.download,
                    corpus=corpus.pop())  # fmt: skip
    if options.only_train or not run.folder.writes:
        return
    _show_report(run.evaluate())
    if examples := run.folder.need_json(SAMPLES)[:EXAMPLES]:
        say("\nexamples:")
        _show_all(task, run.rows(examples), as_json=False)
    say()
    run.export(options.saved_models, name=options.name)


# -- evaluate --------------------------------------------------------------------------------------


def evaluate(task: Task, options: Namespace) -> None:
    """Reports on a split of the run's data, or on other labelled data."""
    run = _run_of(task, options.run, options.download)
    reading = {n: getattr(options, n) for n in task.reading_settings}
    reading = {name: value for name, value in reading.items() if value is not None}
    if options.data:
        if options.on:
            raise UserError("--data is for the run's own data, --on for other data: give one")
        run.use_data(options.data)
    given = {"split": options.split, "limit": options.limit, **reading}
    _show_report(run.evaluate(options.on, **given))
    if options.errors:
        path, errors = Path(options.errors), run.errors(options.on, **given)
        if errors:
            say(f"  {write_table(path, errors):,} errors written to {path}")
        else:
            say(f"  no errors, so that {path} is not written")


def _run_of(task: Task, path: str, download: bool = False) -> Run:
    return run_of(task)(task, Path(path), download)


def _show_report(report: Report) -> None:
    say(f"\n{report}")
    if report.path:
        say(f"  written to {report.path} and .png")


# -- compare ---------------------------------------------------------------------------------------


def compare(task: Task, options: Namespace) -> None:
    """Says whether one run is better than another, with significance."""
    first, second = (_run_of(task, path, options.download) for path in options.runs)
    if options.data:
        for run in (first, second):
            run.use_data(options.data)
    report = first.compare(second, options.split)
    say(str(report))
    if report.path:
        say(f"  written to {report.path}")


# -- predict ---------------------------------------------------------------------------------------


def predict(task: Task, options: Namespace) -> None:
    """Predicts for arguments, a file or standard input, as a stream."""
    model: Run | ExportedModel
    if options.saved_model:
        path = Path(options.saved_model)
        read_manifest_of(path, task.name)
        model = ExportedModel(path)
    else:
        model = _run_of(task, options.run)
    if options.file and is_table(Path(options.file)):
        _predict_table(task, model, options)
        return
    if options.output:
        raise UserError(
            f"--output is for a --file that is a table ({', '.join(SUFFIXES)}); without it "
            "results are printed, and --json prints all of them"
        )
    if options.column:
        raise UserError(f"--column is for a --file that is a table ({', '.join(SUFFIXES)})")
    _show_all(task, model.rows(read_texts(options)), options.json)


def _predict_table(task: Task, model: Run | ExportedModel, options: Namespace) -> None:
    """Predicts for a column of a table, and prints the results or writes them beside the rows."""
    if options.texts:
        raise UserError("give texts or --file, not both")
    column = options.column or _text_column(task, model, options.file)
    notes = Notes()
    rows = table_rows(
        Path(options.file), [column], options.encoding, "--column names another", notes=notes
    )
    given, read = itertools.tee(first(rows, options.limit))
    results = model.rows(_text_in(row, column, where) for where, row in read)
    if not options.output:
        _show_all(task, results, options.json)
        return
    labelled = _labelled(task, (row for _, row in given), results)
    count = write_table(Path(options.output), labelled)
    for line in notes.lines():
        note(line)
    note(f"{count:,} rows written to {options.output}")


def _text_column(task: Task, model: Run | ExportedModel, file: str) -> str:
    """The column of the texts that a model was trained on.

    Raises:
        UserError: if it was trained on no column.
    """
    if isinstance(model, ExportedModel):
        settings = model.manifest["settings"]
    else:
        settings = model.settings.to_dict()
    if "text_column" not in settings:
        raise UserError(f"{file} is a table: name the column of the texts with --column")
    return settings["text_column"]


def _text_in(row: Mapping[str, Any], column: str, where: str) -> str:
    text = row[column]
    if not isinstance(text, str):
        raise UserError(f"{where}: column {column!r} holds {text!r:.60}, expected a text")
    return text


def _labelled(
    task: Task, rows: Iterable[Mapping[str, Any]], results: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Rows with what was found beside what they hold; a name that is taken gets a prefix."""
    cut = 0
    for row, result in zip(rows, results, strict=True):
        cut += bool(result.get("cut"))
        found = task.table_fields(result)
        yield {
            **row,
            **{f"predicted_{name}" if name in row else name: v for name, v in found.items()},
        }
    if cut:
        note(f"{cut:,} texts were longer than what is read of one (text.max_length), and cut")


def _show_all(task: Task, rows: Iterable[dict[str, Any]], as_json: bool) -> None:
    for row in rows:
        say(json.dumps(row, ensure_ascii=False) if as_json else task.show_prediction(row))


def read_texts(options: Namespace) -> Iterator[str]:
    """The texts that a verb was given, the first ``--limit`` of them."""
    return first(given_lines(options), options.limit)


def first(items: Iterator[T], limit: int) -> Iterator[T]:
    """The first items of a stream; all of them, if the limit is 0."""
    if limit < 0:
        raise UserError(f"--limit must be 0 or more, got {limit}")
    return itertools.islice(items, limit or None)


def given_lines(options: Namespace) -> Iterator[str]:
    """What a verb was given: as arguments, as a file, or on standard input."""
    if options.texts and options.file:
        raise UserError("give texts or --file, not both")
    if options.texts:
        # a shell's arguments may be bytes of no encoding
        return (t.encode("utf-8", "replace").decode() for t in options.texts)
    if options.file:
        if is_table(Path(options.file)):
            raise UserError(
                f"{options.file} is a table, and this verb reads lines of text: predict --file has "
                "--column"
            )
        return file_lines(Path(options.file), options.encoding)
    if sys.stdin.isatty():
        note("reading texts from standard input, one a line (end: Ctrl-D)")
    return decoded_lines(sys.stdin.buffer, options.encoding, "standard input")


def file_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file, as a stream.

    Raises:
        UserError: if it cannot be read or a line is not in the encoding.
    """
    try:
        yield from text_lines(path, encoding)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


# -- export ----------------------------------------------------------------------------------------


def export(task: Task, options: Namespace) -> None:
    """Writes a finished run in a format and verifies it in a clean process."""
    _run_of(task, options.run).export(options.saved_models, options.format, options.name)


# -- describe --------------------------------------------------------------------------------------


def describe(task: Task, options: Namespace) -> None:
    """Prints the resolved settings, the model's layers, and the device plan."""
    settings = options.settings
    run = RunFolder(options.run or f"runs/{task.name}")
    if options.run:
        settings = from_dict(task.settings_class, run.record(task.name)["settings"])
    if (run / "run.json").exists() and run.record(task.name)["settings"] == settings.to_dict():
        assets, whose = task.assets_class.load(run, settings), f"vocabulary of {run.path}/"
    else:
        assets, whose = task.assets_class.assumed(settings), "vocabulary of an assumed size"
    say("settings:")
    say(yaml.safe_dump(settings.to_dict(), sort_keys=False).rstrip().replace("\n", "\n  ")
        .join(["  ", ""]))  # fmt: skip
    plan = devices.plan(devices.detect(), settings.device)
    devices.apply(plan)
    model = build(task, settings, assets)
    table = Table(title=f"model ({whose})", title_justify="left")
    for column in ("layer", "kind", "output shape"):
        table.add_column(column)
    table.add_column("parameters", justify="right")
    for layer in model.layers:
        shape: Any = getattr(layer, "output", None)
        table.add_row(
            layer.name,
            type(layer).__name__,
            str(tuple(shape.shape)) if hasattr(shape, "shape") else "",
            f"{layer.count_params():,}",
        )
    table.add_row("total", "", "", f"{model.count_params():,}", style="bold")
    make_console().print(table)
    say("device plan:")
    for line in plan.lines():
        say(f"  {line}")
    for name, kernel in recurrent_kernels(model):
        say(f"  {name}: {kernel}")


# -- tune ------------------------------------------------------------------------------------------


def tune(task: Task, options: Namespace) -> None:
    """Searches the task's space; reports, and writes the best settings."""
    from kerasseq.app.sweeps import tune_run
    from kerasseq.tuning.space import read_points, read_space
    from kerasseq.tuning.sweep import SweepOptions
    from kerasseq.tuning.trials import Rules
    from kerasseq.tuning.workers import ClusterOptions

    space = task.search_space
    if options.space:
        space = read_space(Path(options.space), space)
    cluster = None
    if options.workers < 1:
        raise UserError(f"--workers must be 1 or more, got {options.workers}")
    if options.gpus_per_trial and not (options.workers > 1 or options.ray_address):
        raise UserError("--gpus-per-trial is for --workers or --ray-address")
    if options.workers > 1 or options.ray_address:
        cluster = ClusterOptions(options.workers, options.ray_address, options.gpus_per_trial)
    rules = Rules(options.max_parameters, options.prune, options.seeds, options.folds)
    chosen = read_points(Path(options.enqueue), options.settings) if options.enqueue else []
    how = SweepOptions(
        options.tuner, options.max_trials, rules, cluster, options.max_hours, chosen,
        options.keep_best, options.extend,
    )  # fmt: skip
    path = Path(options.run)
    tune_run(task, options.settings, space, path, how, download=options.download)
