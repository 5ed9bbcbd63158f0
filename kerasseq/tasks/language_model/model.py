"""A recurrent language model with tied weights."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasseq.errors import UserError
from kerasseq.layers._checks import check_choice, check_rank
from kerasseq.layers._tied_output import TiedOutputLoss
from kerasseq.layers.adaptive_softmax import AdaptiveSoftmax
from kerasseq.layers.chunked_cross_entropy import ChunkedCrossEntropy, chunk_size_for
from kerasseq.layers.locked_dropout import LockedDropout
from kerasseq.layers.recurrent_stack import RecurrentStack
from kerasseq.layers.sampled_softmax import SampledSoftmax
from kerasseq.layers.tied_embedding import TiedEmbedding
from kerasseq.layers.word_dropout import WordDropout
from kerasseq.tasks.language_model.settings import ModelSettings
from kerasseq.text.vocabulary import BOS, PAD

SOFTMAXES = ("full", "sampled", "adaptive")
LARGE_VOCABULARY = 20_000
"""Ids from which on the softmax is sampled in training, if nothing else is asked for."""


@keras.saving.register_keras_serializable(package="kerasseq")
class RecurrentLanguageModel(keras.Model):
    """`p(x_t | x_1 .. x_{t-1})` by a recurrent stack between the two ends of one embedding matrix.

    `h_1 .. h_T = stack(dropout(E[x_0 .. x_{T-1}]))`, `p(x_t) = softmax((h_t P) E^T + b)`
    ([Zaremba et al., 2014](https://arxiv.org/abs/1409.2329);
    [Press & Wolf, 2017](https://arxiv.org/abs/1608.05859)), regularised as AWD-LSTM is
    ([Merity et al., 2018](https://arxiv.org/abs/1708.02182)). The state is a value: it goes in and
    comes out, so that a long text can be read in pieces.

    Args:
        vocabulary_size: number of tokens, V.
        embedding_dim: size of an embedding.
        units, num_layers, cell, kernel, use_cudnn, xla: of the :class:`RecurrentStack`.
        softmax: loss in training: `"full"` (in chunks, the scores of all tokens never exist at
            once), `"sampled"`, or `"adaptive"` (which is another distribution, in use too). The
            last two need ids in the order of falling frequency.
        num_sampled: candidates of the sampled softmax.
        cutoffs: clusters of the adaptive one.
        embedding_dropout: rate at which words of the vocabulary are dropped, in all of a batch.
        input_dropout, layer_dropout, output_dropout: variational dropout of the embedded words,
            between layers, and of the last layer's output.
        recurrent_dropout, weight_drop: of the stack's recurrence.
        input_only: ids that are never predicted.

    Call arguments:
        ids: int `[batch, time]`, the tokens before those to predict.
        mask: bool `[batch, time]`, padded on the right; needed only where final states are read
            of rows that end early.
        states: as returned; `None` for zeros.
        training: whether to drop.

    Output: `(outputs, raw, states)`: what is scored, float `[batch, time, units]`; the same before
    dropout; the final states, a flat list of `[batch, units]`.

    Masking: with a mask, final states are those at each row's last valid step. In training none is
    needed, since padding on the right is read after all that counts: give the tokens there no
    weight in the loss.

    Example:

    >>> import numpy as np
    >>> model = RecurrentLanguageModel(10, 4, units=4)
    >>> ids = np.array([[3, 5, 6]])
    >>> outputs, _, states = model(ids)
    >>> log_probs = model.log_probs(outputs)
    >>> tuple(log_probs.shape), len(states)
    ((1, 3, 10), 2)
    >>> nll = model.nll(outputs, np.array([[5, 6, 3]]))
    >>> bool(np.allclose(nll[0, 1], -log_probs[0, 1, 6], atol=1e-5))
    True
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        num_layers: int = 1,
        cell: str = "lstm",
        softmax: str = "full",
        num_sampled: int = 1024,
        cutoffs: Sequence[int] = (),
        embedding_dropout: float = 0.0,
        input_dropout: float = 0.0,
        layer_dropout: float = 0.0,
        output_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        input_only: Sequence[int] = (),
        kernel: str = "auto",
        use_cudnn: Any = "auto",
        xla: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        check_choice("RecurrentLanguageModel", "softmax", softmax, SOFTMAXES)
        self._settings = {
            "vocabulary_size": vocabulary_size,
            "embedding_dim": embedding_dim,
            "units": units,
            "num_layers": num_layers,
            "cell": cell,
            "softmax": softmax,
            "num_sampled": num_sampled,
            "cutoffs": list(cutoffs),
            "embedding_dropout": embedding_dropout,
            "input_dropout": input_dropout,
            "layer_dropout": layer_dropout,
            "output_dropout": output_dropout,
            "recurrent_dropout": recurrent_dropout,
            "weight_drop": weight_drop,
            "input_only": list(input_only),
            "kernel": kernel,
            "use_cudnn": use_cudnn,
            "xla": xla,
        }
        self.vocabulary_size = vocabulary_size
        policy = self.dtype_policy  # a saved model keeps its own, whatever is global on loading
        self.embedding = self._make_embedding()
        self.embedding_dropout = self._make_embedding_dropout()
        self.input_dropout = LockedDropout(input_dropout, dtype=policy, name="input_dropout")
        self.recurrent = self._make_recurrent()
        self.output_dropout = LockedDropout(output_dropout, dtype=policy, name="output_dropout")
        self.softmax = self._make_softmax()
        self.build((None, None))

    def _make_embedding(self) -> TiedEmbedding:
        settings = self._settings
        return TiedEmbedding(
            settings["vocabulary_size"],
            settings["embedding_dim"],
            hidden_dim=settings["units"],
            input_only=settings["input_only"],
            embeddings_initializer=keras.initializers.RandomUniform(-0.1, 0.1),
            dtype=self.dtype_policy,
            name="embedding",
        )

    def _make_embedding_dropout(self) -> WordDropout:
        return WordDropout(
            self._settings["embedding_dropout"],
            by="type",
            vocabulary_size=self.vocabulary_size,
            num_special=0,
            dtype=self.dtype_policy,
            name="embedding_dropout",
        )

    def _make_recurrent(self) -> RecurrentStack:
        settings = self._settings
        return RecurrentStack(
            settings["units"],
            num_layers=settings["num_layers"],
            cell=settings["cell"],
            dropout=settings["layer_dropout"],
            recurrent_dropout=settings["recurrent_dropout"],
            weight_drop=settings["weight_drop"],
            kernel=settings["kernel"],
            use_cudnn=settings["use_cudnn"],
            xla=settings["xla"],
            return_state=True,
            dtype=self.dtype_policy,
            name="recurrent",
        )

    def _make_softmax(self) -> TiedOutputLoss:
        settings = self._settings
        named: dict[str, Any] = {"dtype": self.dtype_policy, "name": "softmax"}
        if settings["softmax"] == "adaptive":
            return AdaptiveSoftmax(self.embedding, settings["cutoffs"], **named)
        chunk_size = chunk_size_for(self.vocabulary_size)
        if settings["softmax"] == "sampled":
            return SampledSoftmax(self.embedding, settings["num_sampled"], chunk_size, **named)
        return ChunkedCrossEntropy(self.embedding, chunk_size, **named)

    def build(self, ids_shape: Any) -> None:
        settings = self._settings
        self.embedding.build()
        self.recurrent.build((None, None, settings["embedding_dim"]))
        self.softmax.build((None, None, settings["units"]))
        self.built = True

    def call(
        self, ids: Any, states: Any = None, mask: Any = None, training: bool | None = None
    ) -> tuple[Any, Any, Any]:
        check_rank("RecurrentLanguageModel", "ids", ids.shape, "batch, time")
        vectors = self.embedding(ids)
        vectors = self.embedding_dropout(ids, vectors, training=training)
        vectors = self.input_dropout(vectors, training=training)
        raw, states = self.recurrent(vectors, mask=mask, initial_state=states, training=training)
        return self.output_dropout(raw, training=training), raw, states

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None

    def training_loss(self, outputs: Any, targets: Any, weights: Any) -> Any:
        """The weighted sum of the tokens' losses in training, a float32 scalar.

        Args:
            outputs: of a call.
            targets: int `[batch, time]`.
            weights: float32 `[batch, time]`, 0 at padding.
        """
        return self.softmax.total(outputs, targets, weights)

    def nll(self, outputs: Any, targets: Any) -> Any:
        """`-log p(target)` of each token, float32 `[batch, time]`, by the full distribution."""
        return self.softmax(outputs, targets)

    def log_probs(self, outputs: Any) -> Any:
        """`log p` of every token of the vocabulary, float32 `[..., V]`, of outputs `[..., units]`.

        What is never predicted has -1e30 or less.
        """
        if isinstance(self.softmax, AdaptiveSoftmax):
            return self.softmax.log_prob(outputs)
        return ops.log_softmax(self.embedding(outputs, project=True), axis=-1)

    def step(self, ids: Any, states: Any) -> tuple[Any, Any]:
        """One step, for decoding: ids `[batch]` and states -> `log_probs [batch, V]`, states."""
        outputs, states = self.recurrent.step(self.embedding(ids), states)
        return self.log_probs(outputs), states

    def initial_state(self, batch_size: Any) -> list[Any]:
        """Zeros, in the structure of the states."""
        return self.recurrent.get_initial_state(batch_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings}


def build_model(
    options: ModelSettings, size: int, kernels: dict[str, Any], name: str
) -> RecurrentLanguageModel:
    """The model of some settings.

    Args:
        options: of the model.
        size: of the vocabulary.
        kernels: arguments of recurrent layers that choose their kernel.
        name: of the model.

    Raises:
        UserError: if the vocabulary is too small for the softmax.
    """
    softmax = _softmax(options, size)
    if softmax == "sampled" and options.sampled >= size:
        raise UserError(
            f"model.sampled {options.sampled:,} must be less than the {size:,} ids of the "
            "vocabulary, of which model.softmax full takes all"
        )
    if softmax == "adaptive" and options.clusters()[-1] >= size:
        raise UserError(
            f"model.cutoffs {options.cutoffs} must be below the {size:,} ids of the vocabulary"
        )
    return RecurrentLanguageModel(
        size,
        options.embedding,
        options.units,
        num_layers=options.layers,
        cell=options.cell,
        softmax=softmax,
        num_sampled=options.sampled,
        cutoffs=options.clusters(),
        embedding_dropout=options.embedding_dropout,
        input_dropout=options.input_dropout,
        layer_dropout=options.layer_dropout,
        output_dropout=options.output_dropout,
        recurrent_dropout=options.recurrent_dropout,
        weight_drop=options.weight_drop,
        input_only=(PAD, BOS),
        **kernels,
        name=name,
    )


def _softmax(options: ModelSettings, vocabulary_size: int) -> str:
    if options.softmax != "auto":
        return options.softmax
    return "sampled" if vocabulary_size > LARGE_VOCABULARY else "full"
