"""The settings of sentiment."""

# No `from __future__ import annotations` here: jsonargparse reads the types.
from dataclasses import dataclass
from typing import Literal

from kerasseq.config import Settings, group, setting
from kerasseq.data.batches import BatchSettings
from kerasseq.errors import UserError
from kerasseq.text.cut import Keep
from kerasseq.training.settings import EmbeddingSettings, TrainingSettings

POOLINGS = ("last", "mean", "max", "attention")


@dataclass(frozen=True)
class TextSettings(Settings):
    """Text to ids."""

    vocabulary_size: int = setting(30_000, ge=5)
    """Most ids in the vocabulary, the 4 special ones included; built from the train split only."""
    min_count: int = setting(1, ge=1)
    """A token must occur this often in the train split to enter the vocabulary."""
    max_length: int = setting(800, ge=1)
    """Longest text kept, in tokens."""
    keep: Keep = "tail"
    """What is kept of a longer text: its first tokens, its last, or half of them from either."""
    ngrams: int = setting(2, ge=0, le=8)
    """Longest n-gram of the wide path, a bag of frequent n-grams beside the recurrent network;
    0 turns it off."""
    ngram_rows: int = setting(600_000, ge=1)
    """Most n-grams known to the wide path; no more than there are get memory."""
    ngram_documents: int = setting(1, ge=1)
    """An n-gram must occur in this many training texts."""


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Embedding, recurrent stack, pooling, softmax."""

    embedding: int = setting(96, ge=1)
    """Size of the word vectors."""
    cell: Literal["simple_rnn", "gru", "lstm"] = "lstm"
    """Recurrent cell of every layer."""
    units: int = setting(64, ge=1)
    """Size of the recurrent state, for each direction."""
    layers: int = setting(1, ge=1)
    """Recurrent layers."""
    bidirectional: bool = True
    """Whether to read the text in both directions."""
    pooling: str = "max"
    """Sequence to vector: last, mean, max or attention, or several joined by +."""
    ngram_size: int = setting(0, ge=0)
    """Size of an n-gram's vector; 0: as many as there are classes, from 8 to 64."""
    word_dropout: float = setting(0.1, ge=0, lt=1)
    """Share of words that become unknown in training."""
    embedding_dropout: float = setting(0.3, ge=0, lt=1)
    """Variational dropout of the word vectors: the same mask at every step."""
    layer_dropout: float = setting(0.3, ge=0, lt=1)
    """Variational dropout between recurrent layers."""
    recurrent_dropout: float = setting(0.0, ge=0, lt=1)
    """Variational dropout of the recurrent state; cuDNN does not have it."""
    output_dropout: float = setting(0.5, ge=0, lt=1)
    """Dropout of the pooled vector."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self.pooling.split("+")
        if not set(names) <= set(POOLINGS) or len(set(names)) < len(names):
            raise UserError(
                f"pooling must be of {', '.join(POOLINGS)}, joined by +, got {self.pooling!r}"
            )


@dataclass(frozen=True)
class SentimentSettings(EmbeddingSettings):
    """What is trained, on what."""

    text_column: str = "text"
    """Column of the texts in a CSV, TSV, JSON lines or TFDS source."""
    label_column: str = "label"
    """Column of the labels."""
    multi_label: bool = False
    """Whether a text may have several classes, or none: a list of them, or a text that
    label_separator splits."""
    label_separator: str = ""
    """Between the classes of a text, with multi_label; none: a text is one class."""
    threshold: float = setting(0.0, ge=0, lt=1)
    """Probability from which a class is given, with multi_label; 0: for each class what gives the
    best F1 on the validation split."""
    class_weight: Literal["none", "balanced"] = "none"
    """What a class counts in training: as often as it occurs, or all classes alike."""
    held_out: float = setting(0.1, gt=0, lt=0.5)
    """Share of the validation split, and of the test split where the data has none."""
    label_smoothing: float = setting(0.05, ge=0, lt=1)
    """Share of the target probability that is spread over all classes in training."""
    text: TextSettings = group(TextSettings)
    batches: BatchSettings = group(BatchSettings)
    model: ModelSettings = group(ModelSettings)
    training: TrainingSettings = group(TrainingSettings, epochs=0)
