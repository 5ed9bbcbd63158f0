"""The settings of translation."""

# No `from __future__ import annotations` here: jsonargparse reads the types.
from dataclasses import dataclass
from typing import Literal

from kerasseq.config import Settings, group, setting
from kerasseq.data.batches import TokenBatchSettings
from kerasseq.decoding.settings import BeamSettings
from kerasseq.errors import UserError
from kerasseq.training.settings import EmbeddingSettings, TrainingSettings


@dataclass(frozen=True)
class PairTextSettings(Settings):
    """Sentences to ids, and which pairs training leaves out."""

    level: Literal["subword", "word"] = "subword"
    """What a token is: a part of a word that byte-pair encoding made, or a whole word or mark."""
    joint: bool = True
    """Whether both languages have one vocabulary."""
    vocabulary_size: int = setting(8_000, ge=5)
    """Most ids of a vocabulary, the 4 special ones included; built from the train split only."""
    min_count: int = setting(2, ge=1)
    """A token (of subwords: a character, and a pair to be merged) must occur this often in the
    train split to enter the vocabulary."""
    max_length: int = setting(100, ge=1)
    """Longest sentence, in tokens: longer pairs are left out of training, and a longer source is
    cut when it is translated."""
    max_words: int = setting(80, ge=1)
    """Training pairs with more words on a side are left out."""
    max_ratio: float = setting(4.0, ge=1)
    """Training pairs with so many times more words on one side than on the other are left out,
    unless the longer side has at most 7 or the script has no blanks."""


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Bidirectional encoder, attention, decoder; one matrix for target embedding and softmax."""

    embedding: int = setting(256, ge=1)
    """Size of the token vectors."""
    cell: Literal["simple_rnn", "gru", "lstm"] = "gru"
    """Recurrent cell of every layer."""
    units: int = setting(512, ge=1)
    """Size of the decoder's state."""
    encoder_units: int = setting(256, ge=1)
    """Size of the encoder's state, for each direction."""
    encoder_layers: int = setting(1, ge=1)
    """Recurrent layers of the encoder."""
    decoder_layers: int = setting(1, ge=1)
    """Recurrent layers of the decoder."""
    attention: Literal["none", "dot", "scaled_dot", "bilinear", "additive"] = "additive"
    """How the decoder chooses what to read of the source; none is the plain encoder-decoder, which
    reads one context vector at every step."""
    attend: Literal["after", "before"] = "after"
    """Whether attention follows the decoder's recurrent step (Luong et al., 2015) or comes before
    it (Bahdanau et al., 2015)."""
    input_feeding: bool = True
    """Whether the decoder reads its last output, and with it the context, at every step."""
    tie: Literal["two", "three"] = "three"
    """Whether the target embedding and the softmax have one matrix, or the source embedding too,
    which needs text.joint."""
    input_dropout: float = setting(0.1, ge=0, lt=1)
    """Variational dropout of the source vectors: the same mask at every step."""
    encoder_dropout: float = setting(0.5, ge=0, lt=1)
    """Variational dropout between the encoder's layers, and of its output."""
    decoder_dropout: float = setting(0.35, ge=0, lt=1)
    """Dropout of the target vectors, between the decoder's layers, and of its output."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention in ("dot", "scaled_dot") and self.units != 2 * self.encoder_units:
            raise UserError(
                f"attention {self.attention} needs units = 2 * encoder_units, got {self.units} and "
                f"{self.encoder_units} (bilinear does without)"
            )


@dataclass(frozen=True)
class TranslationSettings(EmbeddingSettings):
    """What is trained, on what."""

    source: str = ""
    """Language to translate from: as the files' names or TFDS spell it; of a table the name or the
    number of its column, with its language if that is written without blanks (2:ja), which BLEU
    must know. Embedded is en to es, a table without names 1 to 2."""
    target: str = ""
    """Language to translate to."""
    held_out: float = setting(0.05, gt=0, lt=0.5)
    """Share of the validation split, and of the test split, where the data has none."""
    label_smoothing: float = setting(0.02, ge=0, lt=1)
    """Share of the target probability that is spread over all tokens in training."""
    scheduled_sampling: float = setting(0.0, ge=0, lt=1)
    """Chance, at the end, that the decoder reads its own last token in training (Bengio et al.,
    2015); 0 is teacher forcing."""
    scheduled_sampling_steps: int = setting(5_000, ge=1)
    """Steps in which that chance grows from 0."""
    text: PairTextSettings = group(PairTextSettings)
    batches: TokenBatchSettings = group(TokenBatchSettings)
    model: ModelSettings = group(ModelSettings)
    beam: BeamSettings = group(BeamSettings)
    training: TrainingSettings = group(
        TrainingSettings, monitor="bleu", learning_rate=2e-3, average=0.999, epochs=12
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.tie == "three" and not self.text.joint:
            raise UserError("model.tie three needs one vocabulary: text.joint, or model.tie two")
        if not self.train_vectors and self.model.tie == "three":
            raise UserError(
                "train_vectors false needs a source embedding of its own, since the softmax must "
                "be trained: model.tie two"
            )
