"""The settings that all tasks have: of their data, of optimisation, of devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kerasseq.config import Settings, group, setting
from kerasseq.data.delimited import TableFormat
from kerasseq.errors import UserError
from kerasseq.training.devices import DeviceSettings
from kerasseq.training.schedule import Decay


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """Optimisation."""

    epochs: int = setting(2, ge=0)
    """Passes over the training data, at most; 0: 2, but up to 10 of small data, until there are
    300 updates, unless 3 evaluations bring no improvement."""
    max_steps: int = setting(0, ge=0)
    """Updates, at most; 0 sets no bound. The learning rate falls to 0 by the last of them."""
    accumulate: int = setting(1, ge=1)
    """Batches whose gradients make one update, as one batch of their size would."""
    optimizer: Literal["adam", "lazy_adam", "adamw", "rmsprop", "sgd"] = "lazy_adam"
    """Update rule; lazy_adam updates only the embedding rows that a batch uses."""
    momentum: float = setting(0.9, ge=0, lt=1)
    """Nesterov momentum of sgd, beta_1 of adam, lazy_adam and adamw; rmsprop has none."""
    learning_rate: float = setting(3e-3, gt=0)
    """Highest learning rate, of a batch of the usual length."""
    replica_rate: Literal["auto", "none", "sqrt", "linear"] = "auto"
    """How the learning rate grows with the replicas, whose batches add up to a larger one: linear
    (Goyal et al., 2017), with their square root (Krizhevsky, 2014), or not; auto is linear for sgd
    and sqrt for the others."""
    warmup: float = setting(0.05, ge=0, lt=1)
    """Share of all steps during which the learning rate rises linearly."""
    decay: Decay = "linear"
    """How the learning rate falls to 0 after the warm-up."""
    weight_decay: float = setting(0.0, ge=0)
    """Decoupled weight decay."""
    clip_norm: float = setting(1.0, gt=0)
    """Largest global norm of the gradients."""
    average: float = setting(0.99, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is what is evaluated and kept;
    0 turns it off."""
    monitor: str = "accuracy"
    """Validation metric that chooses the weights to keep and that early stopping watches."""
    patience: int = setting(0, ge=0)
    """Evaluations without improvement after which training stops; 0 trains to the end."""
    evaluate_every: int = setting(0, ge=0)
    """Steps between evaluations; 0 evaluates after every epoch."""
    checkpoint_every: int = setting(200, ge=1)
    """Steps between checkpoints; a killed run loses at most these."""


FORM = ("encoding", "delimiter", "quoting", "header")
"""Settings of how files are written."""


@dataclass(frozen=True)
class TaskSettings(Settings):
    """What every task's settings have."""

    data: str = "embedded"
    """Where the data is: embedded (a corpus inside a Python package), a path, or tfds:NAME."""
    encoding: str = "utf-8"
    """Encoding of text files."""
    delimiter: str = ""
    """Between the fields of a table; empty: a comma, of a .tsv a tab, or what the header shows."""
    quoting: Literal["auto", "double", "none"] = "auto"
    """Whether fields may stand in double quotes; auto: yes, but between tabs as the file shows."""
    header: Literal["auto", "first", "none"] = "auto"
    """Whether the first row of a table names the columns; none: they are numbers, from 1; auto: it
    does, if a column is asked for by name."""
    limit: int = setting(0, ge=0)
    """Examples of each split that the data has, at most, drawn by the seed, to try something out;
    of running text its first lines. A split that is missing is cut from them. 0 takes all."""
    seed: int = setting(1, ge=0, le=2**32 - 1)
    """The one seed: of splits, initial weights, order of batches and dropout."""
    device: DeviceSettings = group(DeviceSettings)
    training: TrainingSettings = group(TrainingSettings)

    def table_format(self) -> TableFormat:
        """How tables are written."""
        return TableFormat(self.delimiter, self.quoting, self.header)


@dataclass(frozen=True)
class EmbeddingSettings(TaskSettings):
    """What the settings of tasks have that embed words."""

    vectors: str = ""
    """File of word vectors that the embedding starts from: of GloVe, fastText (.vec) or word2vec
    (text, or .bin), .gz too; their size is model.embedding."""
    train_vectors: bool = True
    """Whether training changes the embedding that starts from vectors; if not, no row of it
    changes, those of words without a vector included."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.vectors and not self.train_vectors:
            raise UserError("train_vectors false is for given word vectors: --vectors FILE")
