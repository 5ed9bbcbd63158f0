"""A full softmax cross-entropy that never holds the scores of all tokens at once."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasseq.layers._checks import check_positive, check_rate
from kerasseq.layers._tied_output import TiedOutputLoss
from kerasseq.layers.tied_embedding import TiedEmbedding

# How many scores exist at once in a model (32 MiB): tokens times vocabulary.
SCORES = 2**23


def chunk_size_for(vocabulary_size: int) -> int:
    """How many tokens a model scores at once."""
    return max(64, SCORES // vocabulary_size)


def chunked_cross_entropy(
    hidden: Any,
    kernel: Any,
    bias: Any,
    targets: Any,
    label_smoothing: float = 0.0,
    chunk_size: int = 256,
    predictable: np.ndarray | None = None,
    dtype: str = "float32",
) -> Any:
    """`-log softmax(hidden kernel^T + bias)[targets]`, some tokens at a time.

    Forward and backward hold `[chunk_size, V]` scores; what is kept between them is one
    log-normaliser a token, and the backward pass forms the scores again (one product more than
    the dense form). The scheme of Cut Cross-Entropy
    ([Wijmans et al., 2024](https://arxiv.org/abs/2411.09009)), in chunks of tokens as in Liger
    Kernel ([Hsu et al., 2024](https://arxiv.org/abs/2410.10989)).

    Args:
        hidden: float32 `[N, E]`.
        kernel: float32 `[V, E]`.
        bias: float32 `[V]`.
        targets: int32 `[N]`, each in [0, V).
        label_smoothing: share of the target spread evenly over all predictable classes.
        chunk_size: the most tokens whose scores exist at once.
        predictable: bool `[V]`, which of the V rows are classes that smoothing reaches; `None`
            for all. The bias of the others must be so low that they have no probability (-1e30).
        dtype: of what is multiplied; sums and exponentials are float32 in any case.

    Returns:
        float32 `[N]`; the gradient is of first order only.
    """
    classes = kernel.shape[0]
    smooth = float(label_smoothing)
    spread = _spread(np.ones(classes, bool) if predictable is None else predictable)
    count = ops.shape(hidden)[0]
    chunks = -(-count // chunk_size)
    # Chunks of nearly equal size, so that little is padded; at least one, for empty input.
    rows = -(-count // _at_least_one(chunks))
    padding = chunks * rows - count

    def after(index: Any, carry: Any) -> Any:
        """The index once the carry is known, or TensorFlow would run chunks side by side."""
        never = ops.minimum(ops.cast(ops.isinf(ops.ravel(carry)[0]), "int32"), 0)
        return index + never

    def chunk(values: Any, index: Any) -> Any:
        return ops.take(values, index * rows + ops.arange(rows, dtype="int32"), axis=0)

    def product(left: Any, right: Any) -> Any:
        if dtype == "float32":
            return ops.matmul(left, right)
        return ops.cast(ops.matmul(ops.cast(left, dtype), ops.cast(right, dtype)), "float32")

    def padded(values: Any) -> Any:
        return ops.pad(values, [[0, padding]] + [[0, 0]] * (len(values.shape) - 1))

    @ops.custom_gradient
    def nll(hidden: Any, kernel: Any, bias: Any, ids: Any) -> Any:
        targets = ops.cast(ids, "int32")
        low = ops.cast(kernel, dtype)  # once, not for every chunk
        transposed = ops.transpose(low)
        states = padded(hidden)
        gold = ops.take(kernel, targets, axis=0)
        gold_scores = ops.sum(hidden * gold, axis=-1) + ops.take(bias, targets, axis=0)

        def scores_of(index: Any) -> Any:
            return product(chunk(states, index), transposed) + bias

        def forward(carry: Any, index: Any) -> Any:
            index = after(index, carry[0])
            scores = scores_of(index)
            top = ops.max(scores, axis=-1, keepdims=True)
            normaliser = top[:, 0] + ops.log(ops.sum(ops.exp(scores - top), axis=-1))
            # what cannot be predicted has a finite score, so that 0 times it is 0
            mean = ops.matmul(scores, spread) if smooth else normaliser
            return (normaliser, mean), (normaliser, mean)

        empty = ops.zeros_like(chunk(states, 0)[:, 0])
        _, (normalisers, means) = ops.scan(
            forward, (empty, empty), ops.arange(chunks, dtype="int32")
        )
        normalisers = ops.reshape(normalisers, (-1,))
        means = ops.reshape(means, (-1,))
        value = normalisers[:count] - (1.0 - smooth) * gold_scores - smooth * means[:count]

        def grad(*args: Any, upstream: Any = None) -> Any:
            if upstream is None:
                (upstream,) = args
            weights = padded(upstream)
            share = smooth * spread if smooth else 0.0

            def backward(index: Any, carry: Any) -> Any:
                d_states, d_kernel, d_bias = carry
                index = after(index, d_kernel)
                shifted = scores_of(index) - chunk(normalisers, index)[:, None]
                d_scores = (ops.exp(shifted) - share) * chunk(weights, index)[:, None]
                d_low = ops.cast(d_scores, dtype)
                here = product(d_low, low)[None]
                d_states = ops.scatter_update(d_states, ops.reshape(index, (1, 1)), here)
                d_kernel = d_kernel + product(ops.transpose(d_low), chunk(states, index))
                return d_states, d_kernel, d_bias + ops.sum(d_scores, axis=0)

            start = (
                ops.reshape(ops.zeros_like(states), (chunks, rows, hidden.shape[-1])),
                ops.zeros_like(kernel),
                ops.zeros_like(bias),
            )
            d_states, d_kernel, d_bias = ops.fori_loop(0, chunks, backward, start)
            d_states = ops.reshape(d_states, (-1, hidden.shape[-1]))[:count]
            # The gold class needs no one-hot matrix: its part is a gather and a scatter.
            gold_weights = (1.0 - smooth) * upstream
            d_states = d_states - gold_weights[:, None] * gold
            d_kernel = d_kernel - ops.segment_sum(
                gold_weights[:, None] * hidden, targets, num_segments=classes
            )
            d_bias = d_bias - ops.segment_sum(gold_weights, targets, num_segments=classes)
            return d_states, d_kernel, d_bias, ops.zeros_like(ids)

        return value, grad

    # The ids go in as floats (exact below 2**24): jax wants no integer argument here, and no
    # traced value from outside.
    return nll(hidden, kernel, bias, ops.cast(targets, "float32"))


def _spread(predictable: np.ndarray) -> np.ndarray:
    """The smoothed part of a target, float32 `[V]`: evenly over what can be predicted."""
    return (predictable / predictable.sum()).astype("float32")


def _at_least_one(value: Any) -> Any:
    return max(value, 1) if isinstance(value, int) else ops.maximum(value, 1)


@keras.saving.register_keras_serializable(package="kerasseq")
class ChunkedCrossEntropy(TiedOutputLoss):
    """Each token's cross-entropy over the whole vocabulary, in bounded memory.

    `nll = log sum_v exp(z_v) - z_target`, `z = (h P) E^T + b`, exactly the dense loss and its
    gradients, without the `[tokens, vocabulary]` scores (see `chunked_cross_entropy`).

    Args:
        embedding: the `TiedEmbedding` whose matrix scores the tokens.
            `keras.models.clone_model` gives the copy one of its own: the tie is lost.
        chunk_size: the most tokens whose scores exist at once.
        label_smoothing: share of the target spread evenly over the vocabulary.

    Call arguments:
        hidden: states `[..., hidden_dim]`, usually `[batch, time, hidden_dim]`.
        targets: int `[...]`, the ids to predict.
        mask: bool `[...]`; `None` means that all are valid.

    Output shape: float32 `[...]`, the loss of each token.

    Masking: the loss is 0 at padding. A model with this output takes its targets as an input; train
    it with `TokenLoss` and the mask as `sample_weight`, as the example there does.

    Example:

    >>> import numpy as np
    >>> loss = ChunkedCrossEntropy(TiedEmbedding(10, 4, embeddings_initializer="zeros"))
    >>> nll = loss(np.ones((1, 2, 4), "float32"), np.array([[3, 0]]),
    ...            mask=np.array([[True, False]]))
    >>> [round(float(x), 3) for x in np.asarray(nll)[0]]
    [2.303, 0.0]
    """

    def __init__(
        self,
        embedding: TiedEmbedding,
        chunk_size: int = 256,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(embedding, **kwargs)
        check_positive("ChunkedCrossEntropy", "chunk_size", chunk_size)
        check_rate("ChunkedCrossEntropy", "label_smoothing", label_smoothing)
        self.chunk_size = chunk_size
        self.label_smoothing = label_smoothing

    def call(self, hidden: Any, targets: Any, mask: Any = None, training: bool = False) -> Any:
        states, flat = self._flatten(hidden, targets)
        kernel, bias = self._weights()
        nll = chunked_cross_entropy(
            states,
            kernel,
            bias,
            flat,
            self.label_smoothing,
            self.chunk_size,
            self.embedding.predictable,
            self.product_dtype,
        )
        return self._unflatten(nll, targets, mask)

    def total(self, hidden: Any, targets: Any, weights: Any) -> Any:
        """As in the base; on TensorFlow without forming any score twice."""
        if keras.backend.backend() != "tensorflow":
            return super().total(hidden, targets, weights)
        from kerasseq.kernels.linear_cross_entropy import linear_cross_entropy

        states, flat = self._flatten(hidden, targets)
        return linear_cross_entropy(
            states,
            *self._weights(),
            flat,
            ops.reshape(weights, (-1,)),
            _spread(self.embedding.predictable),
            self.label_smoothing,
            self.chunk_size,
            self.product_dtype,
            xla=not keras.distribution.list_devices("gpu"),  # measured on CPUs only
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "chunk_size": self.chunk_size,
            "label_smoothing": self.label_smoothing,
        }
