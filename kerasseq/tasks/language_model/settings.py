"""The settings of language models."""

# No `from __future__ import annotations` here: jsonargparse reads the types.
from dataclasses import dataclass
from typing import Literal

from kerasseq.config import Settings, group, setting
from kerasseq.errors import UserError
from kerasseq.text.vocabulary import SPECIAL_TOKENS
from kerasseq.training.settings import EmbeddingSettings, TrainingSettings


@dataclass(frozen=True)
class VocabularySettings(Settings):
    """Text to ids."""

    level: Literal["word", "char"] = "word"
    """What is predicted: words and punctuation marks, or characters."""
    tokenizer: Literal["auto", "words", "blanks"] = "auto"
    """At word level: cut into words and marks in lower case, or at blanks, for a text that was
    tokenised before; auto takes blanks if <unk> is among the tokens."""
    vocabulary_size: int = setting(0, ge=0)
    """Most ids in the vocabulary, the 4 special ones included; built from the train split only.
    With 0, every token that occurs min_count times has one."""
    min_count: int = setting(0, ge=0)
    """A token must occur this often in the train split to enter the vocabulary. With 0, words cut
    from raw text must occur 5 times if vocabulary_size is 0, and everything else once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.vocabulary_size <= len(SPECIAL_TOKENS):
            raise UserError(
                f"vocabulary_size must be 0 (all tokens) or >= {len(SPECIAL_TOKENS) + 1}, "
                f"got {self.vocabulary_size}"
            )
        if self.level == "char" and self.tokenizer != "auto":
            raise UserError(
                f"tokenizer {self.tokenizer} is for level word; at level char the text is not cut"
            )


@dataclass(frozen=True)
class StreamSettings(Settings):
    """Batches of running text."""

    mode: Literal["streams", "sentences"] = "streams"
    """streams: the text is cut into parallel streams, and each batch goes on where the one before
    ended, with its state; sentences: every line stands for itself."""
    size: int = setting(32, ge=1)
    """Streams, or sentences, in a batch."""
    length: int = setting(70, ge=1)
    """Steps of truncated back-propagation; a longer sentence is cut."""
    vary_length: bool = True
    """Whether the steps vary around length from batch to batch, as in AWD-LSTM (streams only):
    mostly length plus noise, in one of 20 batches half of it."""
    spread: float = setting(5.0, ge=0)
    """Standard deviation of that noise."""
    rotate: bool = True
    """Whether every epoch begins at another place of the text and goes on at its beginning, so that
    the streams are cut at other places (streams only; much as in Press, 2019)."""


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Embedding and softmax with one matrix, a recurrent stack between them."""

    embedding: int = setting(256, ge=1)
    """Size of the token vectors, which the softmax uses too."""
    cell: Literal["simple_rnn", "gru", "lstm"] = "lstm"
    """Recurrent cell of every layer."""
    units: int = setting(512, ge=1)
    """Size of the recurrent state; a projection follows if embedding differs."""
    layers: int = setting(1, ge=1)
    """Recurrent layers."""
    softmax: Literal["auto", "full", "sampled", "adaptive"] = "auto"
    """Training loss: full; sampled, estimated from some of the vocabulary; or adaptive, in clusters
    of falling frequency. Auto is sampled above 20,000 ids, else full. Nothing is sampled in
    evaluation; adaptive is another distribution there too."""
    sampled: int = setting(1024, ge=1)
    """Candidates of the sampled softmax, drawn for every batch."""
    cutoffs: str = "2000,10000"
    """First ids of the clusters of the adaptive softmax, ascending."""
    embedding_dropout: float = setting(0.0, ge=0, lt=1)
    """Share of the vocabulary whose vectors are dropped, wherever they stand in the batch."""
    input_dropout: float = setting(0.2, ge=0, lt=1)
    """Variational dropout of the token vectors: the same mask at every step."""
    layer_dropout: float = setting(0.2, ge=0, lt=1)
    """Variational dropout between recurrent layers."""
    output_dropout: float = setting(0.2, ge=0, lt=1)
    """Variational dropout of the last layer's output."""
    recurrent_dropout: float = setting(0.0, ge=0, lt=1)
    """Variational dropout of the recurrent state."""
    weight_drop: float = setting(0.0, ge=0, lt=1)
    """DropConnect of the recurrent weights, one mask a batch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clusters()

    def clusters(self) -> list[int]:
        """The cutoffs as numbers.

        Raises:
            UserError: if they are not ascending numbers.
        """
        try:
            found = [int(part) for part in self.cutoffs.split(",")]
        except ValueError:
            found = []
        if not found or found != sorted(set(found)) or found[0] < 1:
            raise UserError(f"cutoffs must be ascending numbers, got {self.cutoffs!r}")
        return found


@dataclass(frozen=True)
class LanguageModelSettings(EmbeddingSettings):
    """What is trained, on what."""

    text_column: str = "text"
    """Column of the text in a table or a TFDS source."""
    validation_share: float = setting(0.05, gt=0, lt=0.5)
    """Share of a text without splits that is the validation split: what stands before test."""
    test_share: float = setting(0.1, ge=0, lt=0.5)
    """Share of a text without splits that is the test split: its end."""
    init_from: str = ""
    """Run folder of a language model whose embedding and recurrent weights training starts from."""
    activation: float = setting(0.0, ge=0)
    """Activation regularisation (AR): weight of the mean squared output, after dropout."""
    temporal_activation: float = setting(0.0, ge=0)
    """Temporal activation regularisation (TAR): weight of the mean squared change of the output
    from step to step, before dropout."""
    score_streams: int = setting(1, ge=1)
    """Streams that a split is cut into for evaluate, read side by side, each from a zero state; 1
    is how results are published, more are faster."""
    text: VocabularySettings = group(VocabularySettings)
    streams: StreamSettings = group(StreamSettings)
    model: ModelSettings = group(ModelSettings)
    training: TrainingSettings = group(
        TrainingSettings,
        monitor="perplexity",
        learning_rate=2e-3,
        momentum=0.0,  # far better than 0.9 on language models: Melis et al. 2018, and measured
        average=0.999,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.streams.mode == "sentences" and self.score_streams > 1:
            raise UserError("score_streams is for streams.mode streams: sentences have no streams")
        if self.vectors and self.text.level == "char":
            raise UserError("vectors are those of words, and text.level is char")
        if self.vectors and self.init_from:
            raise UserError("vectors and init_from both start the embedding: give one of them")
        if not self.train_vectors:
            raise UserError(
                "train_vectors false: a language model has one matrix for the embedding and "
                "for the softmax, which must be trained"
            )
