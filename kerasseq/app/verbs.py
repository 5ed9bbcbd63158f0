"""What the verbs do, for any task."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import tensorflow as tf
import yaml
from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from kerasseq.app.runs import (
    Trained,
    build,
    data_lines,
    fit,
    load_run,
    prepare,
    recurrent_kernels,
    split_data,
)
from kerasseq.app.task import Task
from kerasseq.config import replace
from kerasseq.data.corpus import chosen_split
from kerasseq.data.cutting import limited
from kerasseq.data.reading import decoded_lines, text_lines
from kerasseq.errors import UserError
from kerasseq.export import formats, saved_model
from kerasseq.export.serving import collate_texts
from kerasseq.export.versions import read_manifest_of
from kerasseq.storage import write_json
from kerasseq.training import devices
from kerasseq.training.progress import say
from kerasseq.training.run_folder import DATA, SAMPLES, SUMMARY, RunFolder, versions

T = TypeVar("T")

EXAMPLES = 3
"""Held-out samples that ``train`` shows predictions for."""

# -- train -----------------------------------------------------------------------------------------


def train(task: Task, options: Namespace) -> None:
    """Trains, then scores the test split, shows examples, and exports."""
    settings = options.settings
    workers, worker = devices.cluster(os.environ)
    run = RunFolder(options.run, writes=worker == 0)
    existed = run.check(task.name, settings.to_dict()) if run.writes else run.path.exists()
    prepared = None
    if not existed or run.read_json(SUMMARY) is None:
        say(f"{task.title}: {'continuing' if existed else 'training'} in {run.path}/")
        prepared = prepare(task, settings, options.download)
    with run.open(task.name, settings.to_dict()):
        if prepared and run.read_json(SUMMARY) is None:
            fit(task, settings, run, prepared)
        else:
            say(f"{run.path}/ is trained already")
        if not run.writes:
            say(f"worker {worker} of {workers} is done; the first one wrote the run")
        if options.only_train or not run.writes:
            return
        trained = load_run(task, run.path)
        data = prepared.data if prepared else None
        _evaluate_split(task, trained, _reported(run), options.download, data)
        if examples := run.need_json(SAMPLES)[:EXAMPLES]:
            say("\nexamples:")
            _predict_and_show(task, trained, iter(examples), as_json=False)
        say()
        _export(task, trained, Path(options.saved_models))


# -- evaluate --------------------------------------------------------------------------------------


def evaluate(task: Task, options: Namespace) -> None:
    """Reports on a split of the run's data, or on other labelled data."""
    trained = load_run(task, Path(options.run))
    if options.limit < 0:
        raise UserError(f"--limit must be 0 or more, got {options.limit}")
    if options.on is None:
        if options.limit:
            raise UserError(
                "--limit is for --on; a run's own splits are scored as it was trained on them "
                "(train --limit)"
            )
        split = options.split or _reported(trained.run)
        _evaluate_split(task, trained, split, options.download)
        return
    settings = trained.settings
    if options.encoding:
        settings = replace(settings, {"encoding": options.encoding})
    corpus = task.read(settings, options.on, options.download, trained.assets)
    corpus = limited(corpus, options.limit, settings.seed, task.running_text)
    split = chosen_split(corpus, options.split)
    data = task.encode(settings, corpus, split, trained.assets)
    for line in data_lines(data.report):
        say(f"  {line}")
    report = trained.use.evaluate(data, "test")
    name = "other-" + "".join(c if c.isalnum() else "-" for c in options.on)[-60:]
    if options.limit:
        name += f"-limit-{options.limit}"
    _keep_report(task, trained.run, {"data": options.on, **report}, name, options.on)


def _reported(run: RunFolder) -> str:
    """The split that stands for a run: test, or validation where the data has no test split."""
    return "test" if "test" in run.need_json(DATA)["splits"] else "validation"


def _evaluate_split(
    task: Task, trained: Trained, split: str, download: bool, data: Any = None
) -> None:
    """Scores a split once; the run keeps the report, and later calls show it."""
    report = trained.run.read_json(f"evaluation/{split}.json")
    if report is None:
        if data is None:
            data = split_data(task, trained, split, download)
        report = trained.use.evaluate(data, split)
    _keep_report(task, trained.run, report, split, f"{split} split")


def _keep_report(task: Task, run: RunFolder, report: dict[str, Any], name: str, title: str) -> None:
    folder = run / "evaluation"
    folder.mkdir(exist_ok=True)
    write_json(folder / f"{name}.json", report)
    say(f"\n{title}:")
    for line in task.show_report(report, name, folder):
        say(f"  {line}")
    say(f"  written to {folder / name}.json and .png")


# -- predict ---------------------------------------------------------------------------------------


def predict(task: Task, options: Namespace) -> None:
    """Predicts for arguments, a file or standard input, as a stream."""
    texts = read_texts(options)
    if options.saved_model:
        path = Path(options.saved_model)
        manifest = read_manifest_of(path, task.name)
        for text, outputs in saved_model.run(path, texts, "serving_default", collate_texts):
            _show(task, task.served_result(text, outputs, manifest), options.json)
        return
    _predict_and_show(task, load_run(task, Path(options.run)), texts, options.json)


def _predict_and_show(task: Task, trained: Trained, texts: Iterator[str], as_json: bool) -> None:
    for result in trained.use.predict(texts):
        _show(task, result, as_json)


def _show(task: Task, result: dict[str, Any], as_json: bool) -> None:
    say(json.dumps(result, ensure_ascii=False) if as_json else task.show_prediction(result))


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
        return file_lines(Path(options.file), options.encoding)
    if sys.stdin.isatty():
        print("reading texts from standard input, one a line (end: Ctrl-D)", file=sys.stderr)
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
    if options.format != "saved_model":
        formats.check_packages(options.format)
    trained = load_run(task, Path(options.run))
    _export(task, trained, Path(options.saved_models), options.format)


def _export(task: Task, trained: Trained, folder: Path, kind: Any = "saved_model") -> None:
    say("exporting: building a model without GPU kernels, saving, verifying in a clean process")
    settings, assets, samples = trained.settings, trained.assets, trained.run.need_json(SAMPLES)
    # as it will be served: on a CPU; in float32 it is already
    with tf.device("/CPU:0"):
        portable = build(task, settings, assets, portable=True)
        portable.set_weights(trained.use.model.get_weights())
        use = task.use(portable, settings, assets)
        if kind == "saved_model":
            place = folder / task.name
            serving = use.serving(samples)
            path, outcome = saved_model.export(serving, place, _manifest(task, trained))
        else:
            place = folder / f"{task.name}-{kind}"
            elementary = use.elementary()
            reference = task.use(trained.use.model, elementary.settings, assets)

            def predict(texts: list[str]) -> list[dict[str, Any]]:
                with contextlib.redirect_stderr(io.StringIO()):  # what is cut is no news here
                    return list(reference.predict(texts))

            made = kind, elementary, samples, predict
            path, outcome = formats.export(*made, place, _manifest(task, trained))
    say(f"  {outcome}")
    say(f"exported to {path}/")


def _manifest(task: Task, trained: Trained) -> dict[str, Any]:
    """What an export says of the run that it is of."""
    run = trained.run
    return {
        "task": task.name,
        "label": task.label,
        "settings": trained.settings.to_dict(),
        "data": run.read_json(DATA),
        "training": trained.summary,
        "evaluation": run.read_json(f"evaluation/{_reported(run)}.json"),
        "versions": versions(),
    }


# -- describe --------------------------------------------------------------------------------------


def describe(task: Task, options: Namespace) -> None:
    """Prints the resolved settings, the model's layers, and the device plan."""
    settings = options.settings
    run = RunFolder(options.run)
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
    Console(soft_wrap=True).print(table)
    say("device plan:")
    for line in plan.lines():
        say(f"  {line}")
    for name, kernel in recurrent_kernels(model):
        say(f"  {name}: {kernel}")


# -- tune ------------------------------------------------------------------------------------------


def tune(task: Task, options: Namespace) -> None:
    """Searches the task's space; reports, and writes the best settings."""
    if devices.cluster(os.environ)[0] > 1:
        raise UserError("a sweep's trials train on one machine each: --workers, not TF_CONFIG")
    from kerasseq.app.sweeps import SweptTask
    from kerasseq.tuning.space import read_space
    from kerasseq.tuning.sweep import SweepOptions, sweep
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
    rules = Rules(options.max_parameters, options.prune)
    how = SweepOptions(options.tuner, options.max_trials, rules, cluster)
    subject = SweptTask(task, options.download, trains=cluster is None)
    sweep(subject, options.settings, space, Path(options.run), how)
