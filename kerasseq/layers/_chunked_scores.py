"""The scores of a full softmax, formed for a chunk of tokens at a time, and again for gradients."""

from typing import Any

import numpy as np
from keras import ops

from kerasseq.layers._precision import wide_dtype, widen


class Chunks:
    """Tokens in chunks of nearly equal size, so that little is padded.

    Args:
        count: number of tokens.
        chunk_size: the most tokens in a chunk.
    """

    def __init__(self, count: Any, chunk_size: int) -> None:
        self.count = count
        # At least one of one, for empty input.
        self.number = _at_least_one(-(-count // chunk_size))
        self.rows = _at_least_one(-(-count // self.number))
        self.padding = self.number * self.rows - count

    def pad(self, values: Any) -> Any:
        """The values `[count, ...]` of all tokens, filled up to whole chunks."""
        return ops.pad(values, [[0, self.padding]] + [[0, 0]] * (len(values.shape) - 1))

    def cut(self, values: Any) -> Any:
        """Without what `pad` added."""
        return values[: self.count]

    def take(self, values: Any, index: Any) -> Any:
        """One chunk of padded values."""
        return ops.take(values, index * self.rows + ops.arange(self.rows, dtype="int32"), axis=0)


class Scores:
    """`hidden kernel^T + bias`, a chunk of tokens at a time.

    Args:
        hidden: float32 `[N, E]`.
        kernel: float32 `[V, E]`.
        bias: float32 `[V]`.
        chunks: of the N tokens.
        dtype: of what is multiplied.
    """

    def __init__(self, hidden: Any, kernel: Any, bias: Any, chunks: Chunks, dtype: str) -> None:
        self.chunks = chunks
        self.dtype = dtype
        self.states = chunks.pad(hidden)
        self.kernel = ops.cast(kernel, dtype)  # once, not for every chunk
        self.transposed = ops.transpose(self.kernel)
        self.bias = bias

    def of(self, index: Any) -> Any:
        """The scores of a chunk, float32 `[rows, V]`."""
        return self.product(self.chunks.take(self.states, index), self.transposed) + self.bias

    def product(self, left: Any, right: Any) -> Any:
        """`left right`, float32, multiplied in the dtype of products."""
        return widen(ops.matmul(ops.cast(left, self.dtype), ops.cast(right, self.dtype)))


def _after(index: Any, carry: Any) -> Any:
    """The index once the carry is known, or TensorFlow would run chunks side by side."""
    never = ops.minimum(ops.cast(ops.isinf(ops.ravel(carry)[0]), "int32"), 0)
    return index + never


def normalise(scores: Scores, spread: np.ndarray | None) -> tuple[Any, Any]:
    """Each token's log-normaliser, and its mean score by `spread` (if any), padding included."""

    def forward(carry: Any, index: Any) -> Any:
        index = _after(index, carry[0])
        chunk = scores.of(index)
        top = ops.max(chunk, axis=-1, keepdims=True)
        normaliser = top[:, 0] + ops.log(ops.sum(ops.exp(chunk - top), axis=-1))
        # what cannot be predicted has a finite score, so that 0 times it is 0
        mean = normaliser if spread is None else ops.matmul(chunk, spread)
        return (normaliser, mean), (normaliser, mean)

    chunks = scores.chunks
    empty = ops.zeros_like(chunks.take(scores.states, 0)[:, 0])
    indices = ops.arange(chunks.number, dtype="int32")
    _, (normalisers, means) = ops.scan(forward, (empty, empty), indices)
    return ops.reshape(normalisers, (-1,)), ops.reshape(means, (-1,))


def gradients(scores: Scores, normalisers: Any, upstream: Any, share: Any) -> tuple[Any, Any, Any]:
    """The gradients for hidden, kernel and bias, but for the part of the gold class.

    Args:
        scores: of all classes.
        normalisers: of `normalise`.
        upstream: the gradient that reaches the loss of each token.
        share: what smoothing takes off each class's probability.
    """
    chunks, width = scores.chunks, scores.states.shape[-1]
    weights = chunks.pad(upstream)

    def backward(index: Any, carry: Any) -> Any:
        d_states, d_kernel, d_bias = carry
        index = _after(index, d_kernel)
        shifted = scores.of(index) - chunks.take(normalisers, index)[:, None]
        d_scores = (ops.exp(shifted) - share) * chunks.take(weights, index)[:, None]
        d_low = ops.cast(d_scores, scores.dtype)
        here = scores.product(d_low, scores.kernel)[None]
        d_states = ops.scatter_update(d_states, ops.reshape(index, (1, 1)), here)
        states = chunks.take(scores.states, index)
        d_kernel = d_kernel + scores.product(ops.transpose(d_low), states)
        return d_states, d_kernel, d_bias + ops.sum(d_scores, axis=0)

    start = (
        ops.reshape(ops.zeros_like(scores.states), (chunks.number, chunks.rows, width)),
        ops.zeros_like(scores.kernel, dtype=wide_dtype(scores.dtype)),
        ops.zeros_like(scores.bias),
    )
    d_states, d_kernel, d_bias = ops.fori_loop(0, chunks.number, backward, start)
    return chunks.cut(ops.reshape(d_states, (-1, width))), d_kernel, d_bias


def _at_least_one(value: Any) -> Any:
    return max(value, 1) if isinstance(value, int) else ops.maximum(value, 1)
