"""The settings of tagging, and of named-entity recognition, which has other defaults."""

# No `from __future__ import annotations` here: jsonargparse reads the types.
from dataclasses import dataclass
from typing import Literal

from kerasseq.config import Settings, group, setting
from kerasseq.data.batches import TokenBatchSettings
from kerasseq.errors import UserError
from kerasseq.text.word_features import WordSettings
from kerasseq.training.settings import EmbeddingSettings, TrainingSettings


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Word, characters and affixes; bidirectional stack; softmax or CRF."""

    embedding: int = setting(100, ge=1)
    """Size of the word vectors."""
    characters: Literal["cnn", "bilstm", "none"] = "cnn"
    """What reads the characters of a word."""
    character_embedding: int = setting(32, ge=1)
    """Size of the character vectors."""
    character_units: int = setting(96, ge=1)
    """Size of the vector made of a word's characters; a multiple of 3 for cnn, of 2 for bilstm."""
    affix_embedding: int = setting(64, ge=1)
    """Size of the affix vectors; those of a word are summed."""
    cell: Literal["simple_rnn", "gru", "lstm"] = "lstm"
    """Recurrent cell of every layer."""
    units: int = setting(160, ge=1)
    """Size of the recurrent state, for each direction."""
    layers: int = setting(2, ge=1)
    """Recurrent layers."""
    output: Literal["softmax", "crf"] = "softmax"
    """Whether each tag is scored by itself, or whole tag sequences are (a conditional random
    field; for IOB2 tags it keeps to their rules)."""
    word_dropout: float = setting(0.2, ge=0, lt=1)
    """Share of words that become unknown in training, so that the unknown word is learned."""
    input_dropout: float = setting(0.5, ge=0, lt=1)
    """Dropout of the words' features."""
    layer_dropout: float = setting(0.4, ge=0, lt=1)
    """Variational dropout between recurrent layers."""
    output_dropout: float = setting(0.5, ge=0, lt=1)
    """Dropout before the output."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = {"cnn": 3, "bilstm": 2, "none": 1}[self.characters]
        if self.character_units % parts:
            raise UserError(
                f"character_units must be a multiple of {parts} for characters {self.characters}, "
                f"got {self.character_units}"
            )


@dataclass(frozen=True)
class TaggingSettings(EmbeddingSettings):
    """What is trained, on what."""

    column: str = "upos"
    """Column of tags that is predicted: upos, xpos, feats, chunk, ner, another name that the file
    gives to it, or its number from 1."""
    word_column: str = ""
    """Column of words, by a name that the file gives to it, or its number from 1; empty: what the
    format says."""
    sentence_column: str = ""
    """Column of a table of a token a row that tells the sentence, in its first row or in each."""
    held_out: float = setting(0.1, gt=0, lt=0.5)
    """Share of the validation split, and of the test split where the data has none."""
    label_smoothing: float = setting(0.0, ge=0, lt=1)
    """Share of the target probability that is spread over all tags in training; not for a CRF."""
    words: WordSettings = group(WordSettings)
    batches: TokenBatchSettings = group(TokenBatchSettings)
    model: ModelSettings = group(ModelSettings)
    training: TrainingSettings = group(
        TrainingSettings, epochs=16, learning_rate=4e-3, average=0.998, patience=5
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.column:
            raise UserError("column is empty: give the name of a column of tags, or its number")


@dataclass(frozen=True)
class NerSettings(TaggingSettings):
    """What is trained, on what."""

    data: str = ""
    """Where the data is: a path, or tfds:NAME; no package has a corpus of named entities."""
    column: str = "ner"
    """Column of tags that is predicted: ner, another name, or its number from 1."""
    model: ModelSettings = group(ModelSettings, output="crf")
    training: TrainingSettings = group(
        TrainingSettings, epochs=16, learning_rate=4e-3, average=0.998, patience=5, monitor="f1"
    )
