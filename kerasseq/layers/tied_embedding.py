"""One matrix for the lookup of tokens and for the scores of the next one."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasseq.layers._checks import check_positive, is_float, whole_numbers
from kerasseq.layers._sequence_layer import SequenceLayer

# The score of what is never predicted: finite, for 0 * inf is NaN, and exp of it is 0.
NEVER = -1e30


@keras.saving.register_keras_serializable(package="kerasseq")
class TiedEmbedding(SequenceLayer):
    """Embeds ids, and projects hidden states back to the vocabulary with the same matrix.

    `x = E[id]`, and with `project=True`: `logits = (h P) E^T + b`
    ([Press & Wolf, 2017](https://arxiv.org/abs/1608.05859);
    [Inan et al., 2017](https://arxiv.org/abs/1611.01462)). `P` exists only if the hidden size
    differs from the embedding size. Used for source, target and output of a translation model
    with a shared vocabulary, the one layer is three-way tying.

    `keras.models.clone_model` gives a layer that holds this one (a loss, a decoder) an embedding
    of its own, so that the tie to it is lost; saving and loading a model keeps it.

    Args:
        vocabulary_size: number of tokens, V.
        embedding_dim: size of an embedding.
        hidden_dim: size of the states to project; `None` for `embedding_dim`. Another size adds
            the projection `P` [hidden_dim, embedding_dim].
        use_bias: whether the logits have a bias.
        pad_to_multiple_of: the matrix gets this multiple of rows (8 or 64 suit tensor cores), and
            products are taken with all of them; logits beyond the vocabulary are cut off.
        input_only: ids that are looked up but never predicted, such as padding and begin; their
            logit is -1e30.
        embeddings_initializer: initialiser of the matrix.
        embeddings_regularizer: regulariser of the matrix.

    Call arguments:
        inputs: int ids `[...]`; with `project=True` states `[..., hidden_dim]`.
        project: whether to project instead of to look up.

    Output shape: `[..., embedding_dim]`; with `project=True` logits `[..., vocabulary_size]`,
    computed in float32 at least.

    Masking: none is read or made; padding ids have an embedding like all others.

    Example:

    >>> import numpy as np
    >>> embedding = TiedEmbedding(5, 4)
    >>> vectors = embedding(np.array([[1, 2, 3]]))
    >>> logits = embedding(vectors, project=True)
    >>> tuple(vectors.shape), tuple(logits.shape), len(embedding.weights)
    ((1, 3, 4), (1, 3, 5), 2)
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        hidden_dim: int | None = None,
        use_bias: bool = True,
        pad_to_multiple_of: int = 1,
        input_only: Sequence[int] = (),
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        # Autocast would turn the states into half precision.
        super().__init__(autocast=False, **kwargs)
        check_positive("TiedEmbedding", "vocabulary_size", vocabulary_size)
        check_positive("TiedEmbedding", "embedding_dim", embedding_dim)
        check_positive("TiedEmbedding", "pad_to_multiple_of", pad_to_multiple_of)
        if hidden_dim is not None:
            check_positive("TiedEmbedding", "hidden_dim", hidden_dim)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.use_bias = use_bias
        self.pad_to_multiple_of = pad_to_multiple_of
        self.input_only = whole_numbers("TiedEmbedding", "input_only", input_only)
        if any(not 0 <= index < vocabulary_size for index in self.input_only):
            raise ValueError(
                "TiedEmbedding: `input_only` must hold ids of the vocabulary. Received: "
                f"input_only={self.input_only}, vocabulary_size={vocabulary_size}"
            )
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)
        self.bias = None
        self.projection = None

    def build(self, inputs_shape: Any = None) -> None:
        rows = self.vocabulary_size + self.extra_rows
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(rows, self.embedding_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            autocast=False,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(rows,), initializer="zeros", autocast=False
            )
        if self.hidden_dim not in (None, self.embedding_dim):
            self.projection = self.add_weight(
                name="projection",
                shape=(self.hidden_dim, self.embedding_dim),
                initializer="glorot_uniform",
                autocast=False,
            )
        self.built = True

    def call(self, inputs: Any, project: bool = False) -> Any:
        return self.project(inputs) if project else self.embed(inputs)

    def embed(self, ids: Any) -> Any:
        """The embeddings of `ids`, in the compute dtype."""
        self._ensure_built()
        ids = ops.convert_to_tensor(ids)
        self._check_ids(ids)
        ids = ops.cast(ids, "int32")
        return ops.cast(ops.take(self.embeddings, ids, axis=0), self.compute_dtype)

    def _check_ids(self, ids: Any) -> None:
        if is_float(ids):
            raise ValueError(
                "TiedEmbedding: `inputs` to look up must be whole numbers (project=True takes "
                "states; a keras.Input of ids needs dtype='int32'). Received: "
                f"inputs.dtype={keras.backend.standardize_dtype(ids.dtype)}"
            )

    def project(self, hidden: Any) -> Any:
        """Logits `[..., vocabulary_size]` of states `[..., hidden_dim]`, in float32."""
        kernel, bias = self.output_weights()
        logits = ops.matmul(self.project_hidden(hidden), ops.transpose(kernel))
        logits = logits if bias is None else logits + bias
        # After the product: a matrix cut to the vocabulary would lose the rows that align it.
        return logits[..., : self.vocabulary_size] if self.extra_rows else logits

    def project_hidden(self, hidden: Any) -> Any:
        """`h P`, float32 `[..., embedding_dim]`: what is multiplied by the matrix."""
        self._ensure_built()
        wanted = self.hidden_dim or self.embedding_dim
        if hidden.shape[-1] != wanted:
            raise ValueError(
                f"TiedEmbedding: `inputs` to project must have {wanted} features (hidden_dim, or "
                f"embedding_dim without one). Received: inputs.shape={tuple(hidden.shape)}"
            )
        hidden = ops.cast(hidden, self.wide_dtype)
        if self.projection is None:
            return hidden
        return ops.matmul(hidden, ops.cast(ops.copy(self.projection), self.wide_dtype))

    def output_weights(self) -> tuple[Any, Any]:
        """The matrix [rows, embedding_dim] and the bias [rows] (or `None`), as float32 tensors.

        The rows are those of the vocabulary and, beyond them, `extra_rows` of padding; the bias
        of rows that are not `predictable` is -1e30.
        """
        self._ensure_built()
        kernel = ops.cast(ops.copy(self.embeddings), self.wide_dtype)
        bias = None if self.bias is None else ops.cast(ops.copy(self.bias), self.wide_dtype)
        if not self.predictable.all():
            bias = ops.where(self.predictable, 0.0 if bias is None else bias, NEVER)
        return kernel, bias

    @property
    def predictable(self) -> np.ndarray:
        """Which rows of the matrix can be predicted: bool `[rows]`."""
        rows = np.arange(self.vocabulary_size + self.extra_rows)
        return (rows < self.vocabulary_size) & ~np.isin(rows, self.input_only)

    @property
    def extra_rows(self) -> int:
        """How many rows the matrix has beyond the vocabulary."""
        return -self.vocabulary_size % self.pad_to_multiple_of

    def _ensure_built(self) -> None:
        if not self.built:
            self.build()

    def compute_output_spec(self, inputs: Any, project: bool = False) -> Any:
        if project:
            self.project_hidden(inputs)
            return keras.KerasTensor(
                (*inputs.shape[:-1], self.vocabulary_size), dtype=self.wide_dtype
            )
        self._check_ids(inputs)
        return keras.KerasTensor((*inputs.shape, self.embedding_dim), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "hidden_dim": self.hidden_dim,
            "use_bias": self.use_bias,
            "pad_to_multiple_of": self.pad_to_multiple_of,
            "input_only": self.input_only,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
        }
