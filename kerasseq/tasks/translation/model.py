"""A recurrent encoder-decoder with tied weights."""

from collections.abc import Sequence
from typing import Any

import keras

from kerasseq.layers._checks import check_choice, check_rank
from kerasseq.layers.attention_decoder import ATTENTIONS, AttentionDecoder, Memory, State
from kerasseq.layers.chunked_cross_entropy import ChunkedCrossEntropy, chunk_size_for
from kerasseq.layers.last_pooling import LastPooling
from kerasseq.layers.locked_dropout import LockedDropout
from kerasseq.layers.recurrent_stack import RecurrentStack
from kerasseq.layers.tied_embedding import TiedEmbedding
from kerasseq.tasks.translation.settings import TranslationSettings
from kerasseq.text.vocabulary import BOS, PAD


@keras.saving.register_keras_serializable(package="kerasseq")
class RecurrentTranslator(keras.Model):
    """`p(y | x)` by a bidirectional encoder and a decoder that attends to it.

    `v_1 .. v_S = encoder(dropout(E_x[x]))`, then :class:`AttentionDecoder` over the values v, whose
    embedding of the target scores it too. With `attention="none"` the decoder reads one context
    vector at every step instead, the encoder's last outputs in either direction
    ([Cho et al., 2014](https://arxiv.org/abs/1406.1078)).

    Args:
        source_size, target_size: numbers of tokens of the two vocabularies.
        embedding_dim: size of an embedding.
        units: width of the decoder.
        encoder_units: width of each direction of the encoder.
        encoder_layers, decoder_layers: numbers of recurrent layers.
        cell: of all of them.
        attention, attend, input_feeding: of the :class:`AttentionDecoder`, or attention `"none"`.
        tie_source: whether the source is embedded by the target's matrix too (three-way tying,
            which needs one vocabulary).
        input_dropout: variational dropout of the embedded source.
        encoder_dropout: variational dropout between the encoder's layers and of its output.
        decoder_dropout: of the decoder's embeddings, between its layers and of its output.
        label_smoothing: of the training loss.
        input_only: target ids that are never predicted.
        kernel, use_cudnn, xla: of the encoder's :class:`RecurrentStack` and of the
            :class:`AttentionDecoder`.

    Call arguments:
        source: int `[batch, source time]`.
        source_mask: bool `[batch, source time]`, padded on the right.
        tokens: int `[batch, time]`, the targets shifted right (begin-of-sequence first).
        mask: bool `[batch, time]` of the targets; `None`: all valid.
        sampling_rate: see :class:`AttentionDecoder`.
        training: whether to drop.

    Output: `(outputs, attention)`: what is scored, float `[batch, time, units]`, and attention
    weights `[batch, time, source time]` (of a source of one step with `attention="none"`).

    Masking: padded source steps have no influence; outputs are 0 at padded targets.

    Example:

    >>> import numpy as np
    >>> model = RecurrentTranslator(9, 8, 4, units=4, encoder_units=2)
    >>> source, tokens = np.array([[4, 5, 6]]), np.array([[2, 4]])
    >>> outputs, attention = model(source, np.ones((1, 3), bool), tokens)
    >>> tuple(outputs.shape), tuple(attention.shape)
    ((1, 2, 4), (1, 2, 3))
    >>> state, memory = model.encode(source, np.ones((1, 3), bool))
    >>> logits, state, attention = model.decoder.step(np.array([2]), state, memory)
    >>> tuple(logits.shape), tuple(attention.shape)
    ((1, 8), (1, 3))
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        embedding_dim: int,
        units: int,
        encoder_units: int,
        encoder_layers: int = 1,
        decoder_layers: int = 1,
        cell: str = "lstm",
        attention: str = "additive",
        attend: str = "after",
        input_feeding: bool = True,
        tie_source: bool = False,
        input_dropout: float = 0.0,
        encoder_dropout: float = 0.0,
        decoder_dropout: float = 0.0,
        label_smoothing: float = 0.0,
        input_only: Sequence[int] = (),
        kernel: str = "auto",
        use_cudnn: Any = "auto",
        xla: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self._settings = {
            "source_size": source_size,
            "target_size": target_size,
            "embedding_dim": embedding_dim,
            "units": units,
            "encoder_units": encoder_units,
            "encoder_layers": encoder_layers,
            "decoder_layers": decoder_layers,
            "cell": cell,
            "attention": attention,
            "attend": attend,
            "input_feeding": input_feeding,
            "tie_source": tie_source,
            "input_dropout": input_dropout,
            "encoder_dropout": encoder_dropout,
            "decoder_dropout": decoder_dropout,
            "label_smoothing": label_smoothing,
            "input_only": list(input_only),
            "kernel": kernel,
            "use_cudnn": use_cudnn,
            "xla": xla,
        }
        _check(self._settings)
        policy = self.dtype_policy  # a saved model keeps its own, whatever is global on loading
        self.embedding, self.source_embedding = self._make_embeddings()
        self.input_dropout = LockedDropout(input_dropout, dtype=policy, name="input_dropout")
        self.encoder = self._make_encoder()
        self.encoder_dropout = LockedDropout(encoder_dropout, dtype=policy, name="encoder_dropout")
        self.last = LastPooling(bidirectional=True, dtype=policy, name="last")
        self.decoder = self._make_decoder()
        self.softmax = self._make_loss("softmax", label_smoothing)
        self.scorer = self._make_loss("scorer", 0.0)  # of what is evaluated
        self.build((None, None))

    def _make_embeddings(self) -> tuple[TiedEmbedding, keras.layers.Embedding | None]:
        """Of the target and of the source, which has none where it is tied."""
        settings, start = self._settings, keras.initializers.RandomUniform(-0.1, 0.1)
        target = TiedEmbedding(
            settings["target_size"],
            settings["embedding_dim"],
            hidden_dim=settings["units"],
            input_only=settings["input_only"],
            embeddings_initializer=start,
            dtype=self.dtype_policy,
            name="embedding",
        )
        if settings["tie_source"]:
            return target, None
        source = keras.layers.Embedding(
            settings["source_size"],
            settings["embedding_dim"],
            embeddings_initializer=start,
            dtype=self.dtype_policy,
            name="source_embedding",
        )
        return target, source

    def _make_encoder(self) -> RecurrentStack:
        settings = self._settings
        return RecurrentStack(
            settings["encoder_units"],
            num_layers=settings["encoder_layers"],
            cell=settings["cell"],
            bidirectional=True,
            dropout=settings["encoder_dropout"],
            kernel=settings["kernel"],
            use_cudnn=settings["use_cudnn"],
            xla=settings["xla"],
            return_state=True,
            dtype=self.dtype_policy,
            name="encoder",
        )

    def _make_decoder(self) -> AttentionDecoder:
        settings = self._settings
        return AttentionDecoder(
            self.embedding,
            settings["units"],
            num_layers=settings["decoder_layers"],
            cell=settings["cell"],
            attention=settings["attention"] if self.has_attention else "uniform",
            attend=settings["attend"],
            input_feeding=settings["input_feeding"],
            dropout=settings["decoder_dropout"],
            kernel=settings["kernel"],
            use_cudnn=settings["use_cudnn"],
            xla=settings["xla"],
            dtype=self.dtype_policy,
            name="decoder",
        )

    def _make_loss(self, name: str, label_smoothing: float) -> ChunkedCrossEntropy:
        chunk_size = chunk_size_for(self._settings["target_size"])
        return ChunkedCrossEntropy(
            self.embedding, chunk_size, label_smoothing, dtype=self.dtype_policy, name=name
        )

    def build(self, source_shape: Any) -> None:
        settings = self._settings
        self.embedding.build()
        if self.source_embedding is not None:
            self.source_embedding.build((None, None))
        self.encoder.build((None, None, settings["embedding_dim"]))
        features = 2 * settings["encoder_units"]
        state = (None, settings["encoder_units"])
        states = 2 * settings["encoder_layers"] * self.encoder.states_per_cell
        self.decoder.build((None, None), (None, None, features), [state] * states)
        self.softmax.build((None, None, settings["units"]))
        self.scorer.build((None, None, settings["units"]))
        self.built = True

    def call(
        self,
        source: Any,
        source_mask: Any,
        tokens: Any,
        mask: Any = None,
        sampling_rate: Any = None,
        training: bool | None = None,
    ) -> tuple[Any, Any]:
        check_rank("RecurrentTranslator", "tokens", tokens.shape, "batch, time")
        values, states, value_mask = self._read(source, source_mask, training)
        return self.decoder(
            tokens,
            values,
            encoder_mask=value_mask,
            encoder_states=states,
            mask=mask,
            return_hidden=True,
            return_attention=True,
            sampling_rate=sampling_rate,
            training=training,
        )

    @property
    def has_attention(self) -> bool:
        """Whether there are weights that say which source token a target token is about."""
        return self._settings["attention"] != "none"

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None

    def _read(self, source: Any, mask: Any, training: bool | None = None) -> tuple[Any, Any, Any]:
        """What the decoder attends to, the encoder's final states, and the mask of the former."""
        check_rank("RecurrentTranslator", "source", source.shape, "batch, source time")
        embed = self.embedding if self.source_embedding is None else self.source_embedding
        vectors = self.input_dropout(embed(source), training=training)
        values, states = self.encoder(vectors, mask=mask, training=training)
        values = self.encoder_dropout(values, training=training)
        if self._settings["attention"] == "none":
            values = self.last(values, mask=mask)[:, None]
            mask = mask[:, :1]
        return values, states, mask

    def encode(self, source: Any, source_mask: Any) -> tuple[State, Memory]:
        """The decoder's first state, and what its steps read of the source."""
        values, states, mask = self._read(source, source_mask, training=False)
        memory = self.decoder.precompute(values, mask)
        return self.decoder.initial_state(memory, states), memory

    def training_loss(self, outputs: Any, targets: Any, weights: Any) -> Any:
        """The weighted sum of the tokens' losses in training, a float32 scalar.

        Args:
            outputs: of a call.
            targets: int `[batch, time]`.
            weights: float32 `[batch, time]`, 0 at padding.
        """
        return self.softmax.total(outputs, targets, weights)

    def nll(self, outputs: Any, targets: Any) -> Any:
        """`-log p(target)` of each token, float32 `[batch, time]`, without smoothing."""
        return self.scorer(outputs, targets)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings}


def build_model(
    settings: TranslationSettings, sizes: tuple[int, int], kernels: dict[str, Any], name: str
) -> RecurrentTranslator:
    """The model of some settings.

    Args:
        settings: of the task.
        sizes: of the vocabularies of source and target.
        kernels: arguments of recurrent layers that choose their kernel.
        name: of the model.
    """
    options = settings.model
    return RecurrentTranslator(
        *sizes,
        options.embedding,
        options.units,
        options.encoder_units,
        encoder_layers=options.encoder_layers,
        decoder_layers=options.decoder_layers,
        cell=options.cell,
        attention=options.attention,
        attend=options.attend,
        input_feeding=options.input_feeding,
        tie_source=options.tie == "three",
        input_dropout=options.input_dropout,
        encoder_dropout=options.encoder_dropout,
        decoder_dropout=options.decoder_dropout,
        label_smoothing=settings.label_smoothing,
        input_only=(PAD, BOS),
        **kernels,
        name=name,
    )


def _check(settings: dict[str, Any]) -> None:
    """Raise a `ValueError` unless the settings go together."""
    attention, units, encoder_units, source_size, target_size = (
        settings[name]
        for name in ("attention", "units", "encoder_units", "source_size", "target_size")
    )
    check_choice("RecurrentTranslator", "attention", attention, ("none", *ATTENTIONS))
    if settings["tie_source"] and source_size != target_size:
        raise ValueError(
            "RecurrentTranslator: `tie_source` needs one vocabulary. Received: "
            f"source_size={source_size}, target_size={target_size}"
        )
    if attention in ("dot", "scaled_dot") and units != 2 * encoder_units:
        raise ValueError(
            f"RecurrentTranslator: attention={attention!r} needs units = 2 * encoder_units "
            f"(bilinear does without). Received: units={units}, encoder_units={encoder_units}"
        )
