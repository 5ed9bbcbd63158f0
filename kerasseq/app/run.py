"""One run in use: what ``train`` and ``load`` give, and what the verbs of the command line call."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasseq import plots
from kerasseq.app.arguments import need_path, need_text, need_whole
from kerasseq.app.exporting import Format, check_format, export_name, export_run
from kerasseq.app.results import Report, html_table, predictions, texts_of
from kerasseq.app.runs import (
    Trained,
    data_lines,
    fit,
    load_run,
    prepare,
    read_data,
    reported_split,
    split_data,
)
from kerasseq.app.task import Data, Task, TaskSettings
from kerasseq.config import replace
from kerasseq.data.corpus import Corpus, chosen_split
from kerasseq.data.cutting import limited
from kerasseq.data.memory import MEMORY, is_named
from kerasseq.data.sources import is_path
from kerasseq.errors import StorageError, UserError
from kerasseq.evaluation.paired import compared, compared_lines
from kerasseq.storage import write_json
from kerasseq.training import devices
from kerasseq.training.progress import note, say, silence
from kerasseq.training.run_folder import DATA, SUMMARY, RunFolder
from kerasseq.training.settings import FORM

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure


class Run:
    """A finished run of a task.

    Its model is read when it is first used.

    Args:
        task: whose run it is.
        path: its folder.
        download: whether to fetch data that is missing.
        corpus: what it was trained on, if that was in memory.
        quiet: whether its methods say nothing.

    Attributes:
        folder: its files.
        quiet: as given.
    """

    def __init__(
        self,
        task: Task,
        path: Path,
        download: bool = False,
        corpus: Corpus[Any] | None = None,
        quiet: bool = False,
    ):
        self.folder = RunFolder(path)
        self.quiet = quiet
        self._task, self._download, self._corpus = task, download, corpus
        self._data: Data | None = None
        self._other: tuple[Any, Data] | None = None

    # -- what it is ------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    @property
    def task(self) -> str:
        """The name of its task."""
        return self._task.name

    @cached_property
    def trained(self) -> Trained:
        """Settings, vocabulary, model and summary, as they were read from its folder."""
        return load_run(self._task, self.path)

    @property
    def settings(self) -> TaskSettings:
        """All of its settings."""
        return self.trained.settings

    @property
    def model(self) -> keras.Model:
        """The Keras model, with the weights that were kept."""
        return self.trained.use.model

    @property
    def summary(self) -> dict[str, Any]:
        """How the training ended: metrics, steps, seconds, devices, versions."""
        return self.trained.summary

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row for each validation; ``pandas.DataFrame(run.history)`` makes a table of it."""
        return self.folder.history()

    # -- what it does ----------------------------------------------------------------------------

    def rows(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Results for texts, in order, one by one, in constant memory, as mappings."""
        return self.trained.use.predict(texts)

    def predict(self, texts: Iterable[str]) -> list[Any]:
        """Results for texts, in order, as the task's dataclass.

        Raises:
            ValueError: if what is given is one string.
        """
        given = texts_of(texts, "predict")
        with silence(self.quiet):
            return predictions(self._task, self.rows(given))

    def evaluate(
        self,
        data: Any = None,
        /,
        *,
        split: str | None = None,
        limit: int = 0,
        **reading: Any,
    ) -> Report:
        """How good the model is on a split of the run's own data, or on other labelled data.

        A split of the run's own is scored once; its report is kept, and given again.

        Args:
            data: other data, as :func:`kerasseq.train` takes it.
            split: of the data; by default ``test``, or ``validation`` where there is no test split.
            limit: examples of other data, at most, drawn by seed; 0 takes all.
            **reading: settings by which other data is read where they differ from the run's:
                ``encoding``, and the task's own, such as ``text_column``.

        Raises:
            ValueError: if there is no such split, or the data has changed since the training.
        """
        with silence(self.quiet):
            if data is not None:
                return self._evaluate_other(self.other_data(data, split, limit, **reading), data)
            self._check_reading(reading)
            if limit or reading:
                names = ", ".join([*["limit"] * bool(limit), *reading])
                raise UserError(
                    f"{names}: for other data only; a run's own splits are scored as it was "
                    "trained on them"
                )
            trained = self.trained  # what is wrong with the run comes first
            split = split or reported_split(self.folder)
            figures = self.folder.read_json(f"evaluation/{split}.json")
            named = self._corpus is not None and self._data is None
            if figures is None or named:  # what was named must be what it is said to be
                own = self.own_data(split)
                figures = figures or trained.use.evaluate(own, split)
            return self._kept(figures, split, f"{split} split")

    def errors(
        self, data: Any = None, /, *, split: str | None = None, limit: int = 0, **reading: Any
    ) -> list[dict[str, Any]]:
        """What the model gets wrong, the most confident errors first;
        ``pandas.DataFrame(run.errors())`` makes a table of them.

        Args:
            data, split, limit, **reading: as of :meth:`evaluate`.

        Raises:
            ValueError: as :meth:`evaluate`, and if the task lists no errors.
        """
        with silence(self.quiet):
            if data is not None:
                other = self.other_data(data, split, limit, **reading)
                return list(self.trained.use.errors(other, "test"))
            split = split or reported_split(self.folder)
            return list(self.trained.use.errors(self.own_data(split), split))

    def compare(self, other: Run | str | Path, split: str | None = None) -> Report:
        """Whether this run or another one is better on the same split, example by example.

        The comparison is written beside this run's reports.

        Args:
            other: a run of the same task whose data has the same split, or its folder.
            split: of both; by default ``test``, or ``validation`` where there is no test split.

        Raises:
            ValueError: if the two are the same, or their splits differ.
        """
        other = self.to_compare(other)
        split = self.check_comparable(other, split)
        with silence(self.quiet):
            first, second = (
                run.trained.use.outcome(run.own_data(split), split) for run in (self, other)
            )
            found = compared(first, second, self.settings.seed)
            lines = compared_lines(found, *names_of(self, other))
            return self.keep_comparison(other, split, found, lines)

    def to_compare(self, other: Run | str | Path) -> Run:
        """A run that was given as one, or by its folder."""
        if isinstance(other, Run):
            return other
        return type(self)(self._task, need_path("other", other), self._download, quiet=self.quiet)

    def check_comparable(self, other: Run, split: str | None) -> str:
        """The split that two runs are compared on.

        Raises:
            UserError: if they are one run, or of two tasks, or do not have the same split.
        """
        if self.path.resolve() == other.path.resolve():
            raise UserError(f"{self.path} and {other.path} are the same run")
        if other.task != self.task:
            raise UserError(
                f"{self.path} is a run of {self.task}, {other.path} one of {other.task}"
            )
        for run in (self, other):
            run.folder.record(self.task)
        split = split or reported_split(self.folder)
        digests = [
            run.folder.need_json(DATA)["splits"].get(split, {}).get("sha256")
            for run in (self, other)
        ]
        if None in digests:
            lacks = self if digests[0] is None else other
            raise UserError(f"the data of {lacks.path} has no {split} split")
        if digests[0] != digests[1]:
            raise UserError(f"the {split} splits of the two runs differ")
        return split

    def keep_comparison(
        self, other: Run, split: str, found: dict[str, Any], lines: Sequence[str]
    ) -> Report:
        """Writes a comparison beside this run's reports."""
        found = {"first": str(self.path), "second": str(other.path), "split": split, **found}
        title = f"{self.path} and {other.path}, {split} split"
        name = f"{split}-against-{other.path.resolve().name}"
        return Report(title, found, tuple(lines), self._written(name, found))

    def own_data(self, split: str) -> Data:
        """The data that the run was trained on, encoded, made sure to be that."""
        if self._data is None:
            corpus = self._corpus
            if corpus is None and self.settings.data == MEMORY:
                raise UserError(
                    f"{self.path} was trained on data in memory: name a file that holds the same "
                    "with --data, or give it to kerasseq.load(run, data=...)"
                )
            source = self.settings.data
            if corpus is None and is_path(source) and not self._task.is_there(source):
                raise UserError(
                    f"{source} does not exist; if it has moved, say where it lies now: --data, or "
                    "kerasseq.load(run, data=...)"
                )
            self._data = split_data(self._task, self.trained, split, self._download, corpus)
        if split not in self._data.splits:
            raise UserError(
                f"the run's data has no {split} split; it has {', '.join(self._data.splits)}"
            )
        return self._data

    def use_data(self, data: Any) -> None:
        """Says what the run was trained on: data in memory, or a path where it lies now."""
        self._corpus = self._read(self.settings, data)

    def _read(self, settings: TaskSettings, data: Any, assets: Any = None) -> Corpus[Any]:
        """A corpus of a source that is named, or of data in memory."""
        if is_named(data):
            return self._task.read(settings, str(data), self._download, assets)
        return self._task.from_memory(settings, data, assets)

    def other_data(self, source: Any, split: str | None, limit: int, /, **reading: Any) -> Data:
        """A split of other labelled data, encoded for this run as ``test``; says what it holds."""
        need_whole("limit", limit, 0)
        self._check_reading(reading)
        key = (str(source), split, limit, *sorted(reading.items())) if is_named(source) else None
        if key and self._other and self._other[0] == key:
            return self._other[1]
        settings, assets = self.settings, self.trained.assets
        if not is_named(source) and (of_files := sorted(set(reading) & set(FORM))):
            raise UserError(f"{', '.join(of_files)}: for files, and the data is in memory")
        by = replace(settings, reading)
        own = set(reading) - set(FORM)
        corpus = self._read(by, source, None if own else assets)
        corpus = self._task.as_trained(settings, by, corpus, assets)
        corpus = limited(corpus, limit, settings.seed, self._task.running_text)
        split = chosen_split(corpus, split)
        data = self._task.encode(settings, corpus, split, assets)
        for line in data_lines(data.report):
            say(f"  {line}")
        self._other = (key, data)
        return data

    def _check_reading(self, reading: Mapping[str, Any]) -> None:
        known = self._task.reading_settings
        for name, value in reading.items():
            if name not in known:
                raise UserError(
                    f"no setting {name!r} to read data by; there are {', '.join(known)}"
                )
            need_text(name, value)

    def _evaluate_other(self, data: Data, source: Any) -> Report:
        """A report of other data, under a name of its own: that of the data, of its split, and the
        beginning of its digest."""
        title = str(source) if is_named(source) else MEMORY
        ((split, summary),) = data.report["splits"].items()
        figures = {"data": title, "split": split, **self.trained.use.evaluate(data, "test")}
        stem = "".join(c if c.isalnum() else "-" for c in title)[-50:].strip("-")
        return self._kept(figures, f"other-{stem}-{split}-{summary['sha256'][:8]}", title)

    def _kept(self, figures: dict[str, Any], name: str, title: str) -> Report:
        path = self._written(name, figures)
        drawn = path.parent if path and os.access(path.parent, os.W_OK) else None
        lines = self._task.show_report(figures, name, drawn)
        return Report(title, figures, tuple(lines), path)

    def _written(self, name: str, figures: dict[str, Any]) -> Path | None:
        """The file of a report; None, which is said, where the run's folder cannot be written."""
        path = self.folder / f"evaluation/{name}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            if self.folder.read_json(f"evaluation/{name}.json") != figures:
                write_json(path, figures)
        except (OSError, StorageError) as error:
            note(f"the report is not kept: {error}")
            return None
        return path

    def export(
        self,
        folder: Path | str = "saved_models",
        format: Format = "saved_model",
        name: str = "",
    ) -> Path:
        """Writes an exported version, and verifies it in a clean process.

        Args:
            folder: the version lands in ``folder/NAME/VERSION/``.
            format: ``saved_model``, ``litert`` or ``onnx``.
            name: of the exported model, by default that of the run's folder.

        Returns:
            The version's folder.

        Raises:
            ValueError: if the name cannot be a model's, or versions of another model have it.
        """
        need_path("folder", folder)
        check_format(format)  # before anything is loaded
        name = export_name(self.path, name)
        with silence(self.quiet):
            return export_run(self._task, self.trained, Path(folder), format, name)

    def plot(self) -> Figure:
        """The learning curves."""
        best = self.summary["best_step"]
        return plots.learning_curves(self.history, best, self._task.title)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.task} in {self.path}>"

    def _repr_html_(self) -> str:
        shown = {"task": self.task, "run": str(self.path), "steps": self.summary["steps"]}
        shown |= {f"validation {k}": f"{v:.4f}" for k, v in self.summary["validation"].items()}
        return html_table(shown)


def names_of(first: Run, second: Run) -> list[str]:
    """The folders' names of two runs, or their paths where these are the same."""
    names = [first.path.name, second.path.name]
    return names if names[0] != names[1] else [str(first.path), str(second.path)]


def run_of(task: Task) -> type[Run]:
    """What a finished run of a task is in Python."""
    module, _, name = task.run_class.partition(":")
    return getattr(importlib.import_module(module), name)


def train_run(
    task: Task,
    settings: TaskSettings,
    path: Path,
    *,
    download: bool = False,
    corpus: Corpus[Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    quiet: bool = False,
) -> Run:
    """Trains in a run folder, or goes on with what was stopped there.

    Args:
        task, settings: what is trained.
        path: of the run.
        download: whether to fetch data that is missing.
        corpus: the data, if it is in memory.
        callbacks: of Keras; they observe.
        quiet: whether nothing is said.

    Raises:
        UserError: if the folder holds another run, or the data is not what it was.
    """
    workers, worker = devices.cluster(os.environ)
    run = run_of(task)(task, path, download, corpus, quiet)
    run.folder.writes = worker == 0
    folder = run.folder
    with silence(quiet):
        writes = folder.writes
        existed = folder.check(task.name, settings.to_dict()) if writes else folder.path.exists()
        prepared = None
        if not existed or folder.read_json(SUMMARY) is None:
            say(f"{task.title}: {'continuing' if existed else 'training'} in {folder.path}/")
            prepared = prepare(task, settings, download, corpus=corpus)
            if settings.data != MEMORY:  # it can be read again: not kept while training
                corpus = run._corpus = None
        elif corpus is not None:
            folder.check_data(
                read_data(task, settings, download, run.trained.assets, corpus).report
            )
        with folder.open(task.name, settings.to_dict()):
            if prepared and folder.read_json(SUMMARY) is None:
                fit(task, settings, folder, prepared, callbacks=callbacks)
            else:
                say(f"{folder.path}/ is trained already")
            if not writes:
                say(f"worker {worker} of {workers} is done; the first one wrote the run")
    if prepared:
        run._data = prepared.data
    return run
