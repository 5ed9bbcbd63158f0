"""What a task declares. The verbs that every task has are in :mod:`kerasseq.app.verbs`."""

# No `from __future__ import annotations` here: jsonargparse would resolve the names below
# TYPE_CHECKING to read the settings' types, and import tensorflow for every --help.
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from kerasseq.config import Settings, group, setting
from kerasseq.export.serving import Serving
from kerasseq.training.devices import DeviceSettings

if TYPE_CHECKING:  # tensorflow takes seconds to import, and --help needs none of it
    import argparse

    import keras

    from kerasseq.export.elementary import Elementary
    from kerasseq.training.run_folder import RunFolder
    from kerasseq.training.trainer import Batches, Loss


@dataclass(frozen=True)
class TaskSettings(Settings):
    """What every task's settings have."""

    data: str = "embedded"
    """Where the data is: embedded (a corpus inside a Python package), a path, or tfds:NAME."""
    encoding: str = "utf-8"
    """Encoding of text files."""
    seed: int = setting(1, ge=0, le=2**32 - 1)
    """The one seed: of splits, initial weights, order of batches and dropout."""
    device: DeviceSettings = group(DeviceSettings)


T = TypeVar("T", bound=TaskSettings)
D = TypeVar("D")
A = TypeVar("A")


@dataclass(frozen=True)
class Verb:
    """A sub-command.

    Attributes:
        name, help: as the command line shows them.
        run: called with the task and the parsed options.
        options: adds the verb's own options to its parser.
        settings: whether the verb takes the task's settings (else it reads them from a run).
    """

    name: str
    help: str
    run: Callable[["Task", Any], None]
    options: Callable[["argparse.ArgumentParser"], None] = field(default=lambda parser: None)
    settings: bool = False


class Task(ABC, Generic[T, D, A]):
    """A task: its settings, data, model, metrics, search space, serving signature and report.

    Type parameters: the settings, the loaded data, and the assets. Assets are what a model needs
    beside its weights (vocabulary, class names); they are saved in the run folder.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    settings_class: type[T]
    goals: ClassVar[Mapping[str, Literal["max", "min"]]]
    """Validation metrics, and which way is better."""
    search_space: ClassVar[Mapping[str, Any]] = {}
    """Settings to tune, by dotted name; see :mod:`kerasseq.tuning.space`."""
    data_settings: ClassVar[tuple[str, ...]] = ("data", "encoding", "seed", "device")
    """Settings, and groups of them, that :meth:`load_data` reads and the machine's: they are the
    same in all trials of a sweep, which prepares the data once."""
    extra_verbs: ClassVar[tuple[Verb, ...]] = ()

    # -- data ------------------------------------------------------------------------------------

    def check(self, settings: T) -> None:
        """Checks, before training reads its data, what only training needs.

        Raises:
            UserError: if something that the settings name is not there.
        """

    @abstractmethod
    def load_data(self, settings: T, download: bool) -> D:
        """Reads, splits and encodes the data."""

    @abstractmethod
    def data_report(self, data: D) -> dict[str, Any]:
        """What was read: source, notes, counts of every split."""

    @abstractmethod
    def samples(self, data: D) -> list[str]:
        """A few held-out texts, to verify exports with."""

    @abstractmethod
    def assets(self, data: D) -> A:
        """What a model for this data needs beside its weights."""

    @abstractmethod
    def save_assets(self, assets: A, run: "RunFolder") -> None:
        """Writes the assets to a run folder."""

    @abstractmethod
    def load_assets(self, run: "RunFolder") -> A:
        """Reads what :meth:`save_assets` wrote."""

    @abstractmethod
    def assumed_assets(self, settings: T) -> A:
        """Made-up assets, of the largest size that the settings allow where they bound it, for
        ``describe`` before training."""

    # -- model and training ----------------------------------------------------------------------

    @abstractmethod
    def build_model(self, settings: T, assets: A, portable: bool = False) -> "keras.Model":
        """The untrained model; ``portable`` keeps kernels out of it that need a GPU."""

    def adapt(self, model: "keras.Model", settings: T, data: D) -> list[str]:
        """Sets what layers take from the training data before training; says what it did."""
        return []

    @abstractmethod
    def loss(self, model: "keras.Model", settings: T, parts: int = 1) -> "Loss":
        """The training loss; each update takes ``parts`` batches.

        Raises:
            UserError: if it would not be right for more than one.
        """

    @abstractmethod
    def batches(self, settings: T, data: D, parts: int = 1) -> "Batches":
        """The training batches; each update takes ``parts`` of them, one after the other."""

    @abstractmethod
    def validator(
        self, model: "keras.Model", settings: T, data: D
    ) -> Callable[[], dict[str, float]]:
        """A function that gives the metrics of :attr:`goals` on the validation split."""

    # -- use -------------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, model: "keras.Model", settings: T, data: D, split: str) -> dict[str, Any]:
        """The full report on one split, as JSON values."""

    @abstractmethod
    def labelled_file(
        self, settings: T, assets: A, source: str, split: str | None, download: bool
    ) -> D:
        """A split of other labelled data than the run's own, as a split named ``test``."""

    @abstractmethod
    def show_report(self, report: dict[str, Any], name: str, folder: Path) -> list[str]:
        """Lines to print for a report; also draws its pictures into a folder."""

    @abstractmethod
    def predict(
        self, model: "keras.Model", settings: T, assets: A, texts: Iterable[str]
    ) -> Iterator[dict[str, Any]]:
        """Results for texts, in order, in constant memory."""

    @abstractmethod
    def show_prediction(self, result: dict[str, Any]) -> str:
        """One result as a line for people."""

    def examples(self, run: "RunFolder") -> Sequence[str]:
        """Inputs that ``train`` shows predictions for."""
        return ()

    @abstractmethod
    def serving(self, model: "keras.Model", settings: T, assets: A, run: "RunFolder") -> Serving:
        """The exported form of a model built with ``portable=True``."""

    @abstractmethod
    def elementary(self, model: "keras.Model", settings: T, assets: A) -> "Elementary":
        """What is exported for runtimes without strings, of a model built with ``portable=True``
        that is used for nothing else."""

    @abstractmethod
    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What :meth:`predict` gives for a text, from the exported model's outputs."""
