"""A full softmax cross-entropy that never holds the scores of all tokens at once."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasseq.layers._checks import check_positive, check_rate
from kerasseq.layers._tied_output import TiedOutputLoss
from kerasseq.layers.tied_embedding import TiedEmbedding


def chunked_cross_entropy(
    hidden: Any,
    kernel: Any,
    bias: Any,
    targets: Any,
    label_smoothing: float = 0.0,
    chunk_size: int = 256,
    classes: int | None = None,
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
        label_smoothing: share of the target spread evenly over all V classes.
        chunk_size: the most tokens whose scores exist at once.
        classes: how many of the V rows are classes that smoothing reaches; `None` for all. The
            bias of the others must be so low that they have no probability (-1e30).

    Returns:
        float32 `[N]`; the gradient is of first order only.
    """
    rows_of_kernel = kernel.shape[0]
    classes = classes or rows_of_kernel
    smooth = float(label_smoothing)
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

    def padded(values: Any) -> Any:
        return ops.pad(values, [[0, padding]] + [[0, 0]] * (len(values.shape) - 1))

    @ops.custom_gradient
    def nll(hidden: Any, kernel: Any, bias: Any, ids: Any) -> Any:
        targets = ops.cast(ids, "int32")
        transposed = ops.transpose(kernel)
        states = padded(hidden)
        gold = ops.take(kernel, targets, axis=0)
        gold_scores = ops.sum(hidden * gold, axis=-1) + ops.take(bias, targets, axis=0)

        def scores_of(index: Any) -> Any:
            return ops.matmul(chunk(states, index), transposed) + bias

        def forward(carry: Any, index: Any) -> Any:
            index = after(index, carry[0])
            scores = scores_of(index)
            top = ops.max(scores, axis=-1, keepdims=True)
            normaliser = top[:, 0] + ops.log(ops.sum(ops.exp(scores - top), axis=-1))
            mean = ops.mean(scores[:, :classes] if classes < rows_of_kernel else scores, axis=-1)
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
            share = smooth / classes
            if smooth and classes < rows_of_kernel:
                share = ops.where(np.arange(rows_of_kernel) < classes, share, 0.0)

            def backward(index: Any, carry: Any) -> Any:
                d_states, d_kernel, d_bias = carry
                index = after(index, d_kernel)
                shifted = scores_of(index) - chunk(normalisers, index)[:, None]
                d_scores = (ops.exp(shifted) - share) * chunk(weights, index)[:, None]
                here = ops.matmul(d_scores, kernel)[None]
                d_states = ops.scatter_update(d_states, ops.reshape(index, (1, 1)), here)
                d_kernel = d_kernel + ops.matmul(ops.transpose(d_scores), chunk(states, index))
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
                gold_weights[:, None] * hidden, targets, num_segments=rows_of_kernel
            )
            d_bias = d_bias - ops.segment_sum(gold_weights, targets, num_segments=rows_of_kernel)
            return d_states, d_kernel, d_bias, ops.zeros_like(ids)

        return value, grad

    # The ids go in as floats (exact below 2**24): jax wants no integer argument here, and no
    # traced value from outside.
    return nll(hidden, kernel, bias, ops.cast(targets, "float32"))


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

    def call(self, hidden: Any, targets: Any, mask: Any = None) -> Any:
        states, flat = self._flatten(hidden, targets)
        kernel, bias = self._weights()
        nll = chunked_cross_entropy(
            states,
            kernel,
            bias,
            flat,
            self.label_smoothing,
            self.chunk_size,
            self.embedding.vocabulary_size,
        )
        return self._unflatten(nll, targets, mask)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "chunk_size": self.chunk_size,
            "label_smoothing": self.label_smoothing,
        }
