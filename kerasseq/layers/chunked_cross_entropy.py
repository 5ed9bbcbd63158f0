"""A full softmax cross-entropy that never holds the scores of all tokens at once."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasseq.layers._checks import check_positive, check_rate
from kerasseq.layers._chunked_scores import Chunks, Scores, gradients, normalise
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
    dtype: str | None = None,
) -> Any:
    """`-log softmax(hidden kernel^T + bias)[targets]`, some tokens at a time.

    Forward and backward hold `[chunk_size, V]` scores; what is kept between them is one
    log-normaliser a token, and the backward pass forms the scores again (one product more than
    the dense form). The scheme of Cut Cross-Entropy
    ([Wijmans et al., 2024](https://arxiv.org/abs/2411.09009)), in chunks of tokens as in Liger
    Kernel ([Hsu et al., 2024](https://arxiv.org/abs/2410.10989)).

    Args:
        hidden: float32 or float64 `[N, E]`.
        kernel: `[V, E]`, of the same dtype.
        bias: `[V]`, of the same dtype.
        targets: int32 `[N]`, each in [0, V).
        label_smoothing: share of the target spread evenly over all predictable classes.
        chunk_size: the most tokens whose scores exist at once.
        predictable: bool `[V]`, which of the V rows are classes that smoothing reaches; `None`
            for all. The bias of the others must be so low that they have no probability (-1e30).
        dtype: of what is multiplied, that of `hidden` unless given; sums and exponentials are
            in that of `hidden` in any case.

    Returns:
        `[N]`, in the dtype of `hidden`; the gradient is of first order only.
    """
    smooth = float(label_smoothing)
    whole = np.ones(kernel.shape[0], bool) if predictable is None else predictable
    spread = _spread(whole, hidden.dtype)
    chunks = Chunks(ops.shape(hidden)[0], chunk_size)

    @ops.custom_gradient
    def nll(hidden: Any, kernel: Any, bias: Any, ids: Any) -> Any:
        targets = ops.cast(ids, "int32")
        scores = Scores(hidden, kernel, bias, chunks, dtype or hidden.dtype)
        gold = ops.take(kernel, targets, axis=0)
        gold_scores = ops.sum(hidden * gold, axis=-1) + ops.take(bias, targets, axis=0)
        normalisers, means = normalise(scores, spread if smooth else None)
        value = chunks.cut(normalisers) - (1.0 - smooth) * gold_scores - smooth * chunks.cut(means)

        def grad(*args: Any, upstream: Any = None) -> Any:
            if upstream is None:
                (upstream,) = args
            share = smooth * spread if smooth else 0.0
            of_all = gradients(scores, normalisers, upstream, share)
            weights = (1.0 - smooth) * upstream
            return *_less_gold(of_all, weights, hidden, gold, targets), ops.zeros_like(ids)

        return value, grad

    # The ids go in as floats (exact below 2**24): jax wants no integer argument here, and no
    # traced value from outside.
    return nll(hidden, kernel, bias, ops.cast(targets, hidden.dtype))


def _less_gold(
    gradients: tuple[Any, Any, Any], weights: Any, hidden: Any, gold: Any, targets: Any
) -> tuple[Any, Any, Any]:
    """The gradients for hidden, kernel and bias, with the part of the gold class.

    It needs no one-hot matrix: it is a gather, done before, and a scatter.
    """
    d_hidden, d_kernel, d_bias = gradients
    classes = d_kernel.shape[0]
    rows = ops.segment_sum(weights[:, None] * hidden, targets, num_segments=classes)
    return (
        d_hidden - weights[:, None] * gold,
        d_kernel - rows,
        d_bias - ops.segment_sum(weights, targets, num_segments=classes),
    )


def _spread(predictable: np.ndarray, dtype: Any) -> np.ndarray:
    """The smoothed part of a target, `[V]`: evenly over what can be predicted."""
    return (predictable / predictable.sum()).astype(keras.backend.standardize_dtype(dtype))


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
            _spread(self.embedding.predictable, self.embedding.wide_dtype),
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
