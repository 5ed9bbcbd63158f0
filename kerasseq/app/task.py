"""What a task declares; what every task can do with that is in the other modules of this room."""

# No `from __future__ import annotations` here: jsonargparse would resolve the names below
# TYPE_CHECKING to read the settings' types, and import tensorflow for every --help.
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from kerasseq.errors import UserError
from kerasseq.training.settings import FORM, TaskSettings

if TYPE_CHECKING:  # tensorflow takes seconds to import, and --help needs none of it
    import argparse

    import keras

    from kerasseq.data.corpus import Corpus
    from kerasseq.evaluation.paired import Outcome
    from kerasseq.export.elementary import Elementary
    from kerasseq.export.serving import Serving
    from kerasseq.training.run_folder import RunFolder
    from kerasseq.training.trainer import Batches, Loss


class Assets(Protocol):
    """What a model needs beside its weights, such as vocabulary and class names."""

    def save(self, run: "RunFolder") -> None:
        """Writes them to a run folder."""

    @classmethod
    def load(cls, run: "RunFolder", settings: Any) -> Any:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: if a file is missing or damaged.
        """

    @classmethod
    def assumed(cls, settings: Any) -> Any:
        """Made-up ones, of the largest size that the settings allow where they bound it, for
        ``describe`` before training."""


S = TypeVar("S", bound=TaskSettings)
A = TypeVar("A", bound=Assets)
P = TypeVar("P")


@dataclass(frozen=True)
class Data(Generic[P, A]):
    """Encoded data.

    Attributes:
        splits: the encoded examples by split; other data than the run's own is ``test``.
        assets: what a model for it needs beside its weights.
        report: where it came from and what it holds, as the run folder's ``data.json``.
        samples: some held-out texts, to verify exports with and to show; none of other data.
        vectors: word vectors that the user gave, by token; only what training starts from.
    """

    splits: Mapping[str, P]
    assets: A
    report: dict[str, Any]
    samples: Sequence[str] = ()
    vectors: Mapping[str, Any] = field(default_factory=dict)


D = TypeVar("D", bound=Data)


class Use(ABC, Generic[D]):
    """A model in use: what every task can do with one.

    Attributes:
        model: whose weights at the time of a call are used.
    """

    model: "keras.Model"

    @abstractmethod
    def validate(self, data: D) -> dict[str, float]:
        """The metrics of :attr:`Task.goals` on the validation split."""

    @abstractmethod
    def evaluate(self, data: D, split: str) -> dict[str, Any]:
        """The full report on one split, as JSON values."""

    @abstractmethod
    def predict(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Results for texts, in order, in constant memory."""

    def errors(self, data: D, split: str) -> Iterator[dict[str, Any]]:
        """What the model got wrong on a split, the most confident error first, as rows of a table.

        Raises:
            UserError: if the task has no such list.
        """
        raise UserError("this task lists no errors")

    def outcome(self, data: D, split: str) -> "Outcome":
        """What the model did on each unit of a split, to be compared with another model's.

        Raises:
            UserError: if runs of the task cannot be compared.
        """
        raise UserError("runs of this task cannot be compared")

    def significance(self, goal: str, data: D, other: "Use[D]", others: D) -> float | None:
        """How likely chance alone made a difference on the validation split as large as that of two
        models: the ``p`` of a paired test.

        Args:
            goal: the metric; see :attr:`Task.goals`.
            data: of this model.
            other, others: the other model and its data, which is encoded in another way perhaps.

        Returns:
            ``p``, or None if there is no test of this metric.
        """
        from kerasseq.evaluation.paired import bootstrap

        pair = (self.outcome(data, "validation"), other.outcome(others, "validation"))
        first, second = (outcome.of(goal) for outcome in pair)
        return bootstrap(first, second)["p"] if first and second else None

    @abstractmethod
    def serving(self, samples: Sequence[str]) -> "Serving":
        """The exported form of a model built with ``portable=True``.

        Args:
            samples: texts to verify it with, beside awkward ones.
        """

    @abstractmethod
    def elementary(self) -> "Elementary":
        """What is exported for runtimes without strings, of a model built with ``portable=True``
        that is used for nothing else."""


@dataclass(frozen=True)
class Verb:
    """A sub-command.

    Attributes:
        name, help: as the command line shows them.
        run: called with the task and the parsed options.
        options: adds the verb's own options to its parser; called with that and the task.
        arguments: what stands behind the options in the usage line.
        settings: whether the verb takes the task's settings (else it reads them from a run).
    """

    name: str
    help: str
    run: Callable[["Task", Any], None]
    options: Callable[["argparse.ArgumentParser", "Task"], None] = field(
        default=lambda parser, task: None
    )
    arguments: str = ""
    settings: bool = False


class Task(ABC, Generic[S, D, A]):
    """A task: its settings, data, model, use, search space and report.

    Type parameters: the settings, the encoded data, and the assets.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    label: ClassVar[str]
    """A word or two, for the tab of a page."""
    settings_class: type[S]
    assets_class: type[A]
    prediction_class: ClassVar[type]
    """A dataclass for a result of :meth:`Use.predict`: a field for each of its keys."""
    run_class: ClassVar[str] = "kerasseq.app.run:Run"
    """What a finished run is in Python, ``MODULE:CLASS``: a task with verbs of its own has its own,
    in a module that may import tensorflow."""
    goals: ClassVar[Mapping[str, Literal["max", "min"]]]
    """Validation metrics, and which way is better."""
    search_space: ClassVar[Mapping[str, Any]] = {}
    """Settings to tune, by dotted name; see :mod:`kerasseq.tuning.space`."""
    data_settings: ClassVar[tuple[str, ...]] = ("data", *FORM, "limit", "seed", "device")
    """Settings, and groups of them, by which a corpus is read and cut, and the machine's: they are
    the same in all trials of a sweep, which reads the data once."""
    vocabulary_settings: ClassVar[tuple[str, ...]] = ()
    """Groups of settings by which a corpus that was read is encoded: a sweep that varies some of
    them prepares the data once for each of their values."""
    vocabulary_goals: ClassVar[tuple[str, ...]] = ()
    """Those of :attr:`goals` that say nothing of models with different vocabularies."""
    reading_settings: ClassVar[tuple[str, ...]] = FORM
    """Those of them by which other labelled data may be read in its own way: its encoding, its
    form, its columns."""
    running_text: ClassVar[bool] = False
    """Whether a corpus is text whose examples, its lines, follow each other."""
    verbs: ClassVar[tuple[Verb, ...]] = ()
    """Beside those that every task has."""

    # -- data ------------------------------------------------------------------------------------

    def check(self, settings: S) -> None:
        """Checks, before training reads its data, what only training needs.

        Raises:
            UserError: if something that the settings name is not there.
        """

    @abstractmethod
    def read(
        self, settings: S, source: str, download: bool, assets: A | None = None
    ) -> "Corpus[Any]":
        """Reads a corpus, as it is.

        Args:
            settings: of the run.
            source: as ``--data`` takes it.
            download: whether to fetch what is missing.
            assets: of the run, if the corpus is not its own.
        """

    def is_there(self, source: str) -> bool:
        """Whether the path that is a source exists, or what the task takes for one."""
        return Path(source).exists()

    def from_memory(self, settings: S, data: Any, assets: A | None = None) -> "Corpus[Any]":
        """A corpus of data that is in memory already; see :mod:`kerasseq.data.memory`.

        Args:
            settings: of the run.
            data: as a caller of :func:`kerasseq.train` gave it.
            assets: of the run, if the corpus is not its own.

        Raises:
            UserError: if it is not what the task can read.
        """
        raise UserError(f"{self.name} reads files: give data as a path")

    @abstractmethod
    def complete(
        self, settings: S, corpus: "Corpus[Any]", share: float | None = None
    ) -> "Corpus[Any]":
        """Cleans a corpus and cuts what it lacks of train, validation and test.

        Args:
            settings: of the run.
            corpus: as it was read; a complete one stays what it is.
            share: of what is cut for validation, if not that of the settings.
        """

    def label_of(self, example: Any) -> str | None:
        """The label of an example, if one in validation must occur in train."""
        return None

    @abstractmethod
    def prepare(self, settings: S, corpus: "Corpus[Any]", assets: A | None = None) -> D:
        """Completes and encodes the corpus of a run.

        Args:
            settings: of the run.
            corpus: as it was read.
            assets: of the run; if it has none yet, they are learned from the train split.
        """

    def as_trained(
        self, settings: S, reading: S, corpus: "Corpus[Any]", assets: A
    ) -> "Corpus[Any]":
        """Other labelled data, as the run names things.

        Args:
            settings: of the run.
            reading: those that the corpus was read by.
            corpus: as it was read.
            assets: of the run.

        Raises:
            UserError: if it is not what the run is about.
        """
        return corpus

    @abstractmethod
    def encode(self, settings: S, corpus: "Corpus[Any]", split: str, assets: A) -> D:
        """Encodes one split of other labelled data for a trained model, as ``test``."""

    # -- model and training ----------------------------------------------------------------------

    @abstractmethod
    def build_model(self, settings: S, assets: A, portable: bool = False) -> "keras.Model":
        """The untrained model; ``portable`` keeps kernels out of it that need a GPU."""

    def adapt(self, model: "keras.Model", settings: S, data: D) -> list[str]:
        """Sets what layers take from the training data before training; says what it did."""
        return []

    def settle(self, model: "keras.Model", settings: S, data: D) -> A | None:
        """What the validation split decides after training, as assets; None, if nothing is."""
        return None

    @abstractmethod
    def loss(self, model: "keras.Model", settings: S, parts: int = 1) -> "Loss":
        """The training loss; each update takes ``parts`` batches.

        Raises:
            UserError: if it would not be right for more than one.
        """

    @abstractmethod
    def batches(self, settings: S, data: D, parts: int = 1) -> "Batches":
        """The training batches; each update takes ``parts`` of them, one after the other."""

    # -- use -------------------------------------------------------------------------------------

    @abstractmethod
    def use(self, model: "keras.Model", settings: S, assets: A) -> Use[D]:
        """The model in use."""

    @abstractmethod
    def show_report(self, report: dict[str, Any], name: str, folder: Path | None) -> list[str]:
        """Lines to print for what :meth:`Use.evaluate` gave; also draws its pictures into a
        folder, if there is one to draw into."""

    @abstractmethod
    def show_prediction(self, result: dict[str, Any]) -> str:
        """One result of :meth:`Use.predict` as a line for people."""

    def table_fields(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """What one result of :meth:`Use.predict` adds to a row of a table (not ``cut``, which is
        said for all rows together)."""
        hidden = ("text", "cut")
        return {
            name: value
            for name, value in result.items()
            if name not in hidden and not isinstance(value, Mapping)
        }

    @abstractmethod
    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What :meth:`Use.predict` gives for a text, from the exported model's outputs."""

    def identity(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """What versions of one exported model have in common, beside the task, as the manifest of
        one tells it: a tagger's column, the languages of a translation."""
        return {}
