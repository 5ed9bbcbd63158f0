"""Product with a matrix, softmax and cross-entropy as one operation (TensorFlow).

    L = sum_n w_n (log sum_v exp(z_nv) - z_n,y(n)),    z = h E^T + b

The scores of some tokens at a time exist, and only once: since the loss is a sum with known
weights, the forward pass forms the gradients too (dz = w (softmax(z) - onehot(y)), dh = dz E,
dE = dz^T h) and the backward pass scales them. That is three products, where a loss for each token
needs four or the scores of all tokens. The scheme of Liger Kernel's fused linear cross-entropy
([Hsu et al., 2024](https://arxiv.org/abs/2410.10989)).
"""

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

ROUND_TO = 64
"""Tokens at a time are a multiple of this: every count is compiled for itself."""


def linear_cross_entropy(
    hidden: Any,
    kernel: Any,
    bias: Any,
    targets: Any,
    weights: Any,
    spread: np.ndarray,
    label_smoothing: float = 0.0,
    chunk_size: int = 1024,
    dtype: str = "float32",
    xla: bool = True,
) -> Any:
    """The weighted sum of the tokens' cross-entropies, differentiable in hidden, kernel and bias.

    Args:
        hidden: float32 `[N, E]`.
        kernel: float32 `[V, E]`.
        bias: float32 `[V]`.
        targets: int32 `[N]`, each in [0, V).
        weights: float32 `[N]`; without a gradient.
        spread: float32 `[V]`, what the smoothed part of a target is spread over.
        label_smoothing: that part, in [0, 1).
        chunk_size: about the most tokens whose scores exist at once.
        dtype: of what is multiplied; sums and exponentials are float32 in any case.
        xla: whether to compile what happens to the scores between the products.

    Returns:
        float32 scalar; the gradient is of first order only.
    """
    smooth = float(label_smoothing)
    normalise = _compiled(smooth, dtype) if xla else _normaliser(smooth, dtype)

    @tf.custom_gradient
    def run(hidden: Any, kernel: Any, bias: Any) -> Any:
        total, d_hidden, d_kernel, d_bias = _normalisers(
            tf.cast(hidden, dtype), kernel, bias, weights, spread, chunk_size, normalise
        )
        gold_rows = tf.gather(kernel, targets)
        gold = tf.reduce_sum(hidden * gold_rows, -1) + tf.gather(bias, targets)
        share = (1.0 - smooth) * weights
        total -= tf.reduce_sum(share * gold)
        d_hidden -= share[:, None] * gold_rows
        d_kernel = tf.tensor_scatter_nd_sub(d_kernel, targets[:, None], share[:, None] * hidden)
        d_bias = tf.tensor_scatter_nd_sub(d_bias, targets[:, None], share)

        def grad(upstream: Any) -> tuple[Any, Any, Any]:
            return upstream * d_hidden, upstream * d_kernel, upstream * d_bias

        return total, grad

    return run(hidden, kernel, bias)


def _normalisers(
    states: Any,
    kernel: Any,
    bias: Any,
    weights: Any,
    spread: np.ndarray,
    chunk_size: int,
    normalise: Any,
) -> tuple[Any, Any, Any, Any]:
    """The loss but for the gold scores, and its gradients for states, kernel and bias."""
    count = tf.shape(states)[0]
    chunks = tf.maximum(1, -(-count // chunk_size))
    rows = -(-count // chunks)
    rows = tf.maximum(1, -(-rows // ROUND_TO)) * ROUND_TO
    padding = chunks * rows - count
    low = tf.cast(kernel, states.dtype)
    states = tf.pad(states, [[0, padding], [0, 0]])
    weights = tf.pad(weights, [[0, padding]])
    outputs = tf.TensorArray(kernel.dtype, chunks, element_shape=(None, kernel.shape[1]))

    def body(index: Any, total: Any, outputs: Any, d_kernel: Any, d_bias: Any) -> Any:
        here = states[index * rows : (index + 1) * rows]
        weight = weights[index * rows : (index + 1) * rows]
        scores = tf.matmul(here, low, transpose_b=True)
        part, d_scores, d_sum = normalise(scores, bias, weight, spread)
        back = tf.cast(tf.matmul(d_scores, low), kernel.dtype)
        outputs = outputs.write(index, back)
        added = tf.cast(tf.matmul(d_scores, here, transpose_a=True), kernel.dtype)
        return index + 1, total + part, outputs, d_kernel + added, d_bias + d_sum

    start = (0, tf.zeros((), kernel.dtype), outputs, tf.zeros_like(kernel), tf.zeros_like(bias))
    _, total, outputs, d_kernel, d_bias = tf.while_loop(
        lambda index, *_: index < chunks, body, start, parallel_iterations=1
    )
    return total, outputs.concat()[:count], d_kernel, d_bias


def _normaliser(smooth: float, dtype: str) -> Any:
    def normalise(scores: Any, bias: Any, weights: Any, spread: Any) -> Any:
        """The chunk's part of the loss but for the gold scores, `dz` and its sum over tokens."""
        scores = tf.cast(scores, bias.dtype) + bias
        top = tf.reduce_max(scores, -1, keepdims=True)
        shares = tf.exp(scores - top)
        sums = tf.reduce_sum(shares, -1, keepdims=True)
        each = (top + tf.math.log(sums))[:, 0]
        d_scores = shares * (weights[:, None] / sums)
        if smooth:
            # what cannot be predicted has a finite score, so that 0 times it is 0
            each -= smooth * tf.linalg.matvec(scores, spread)
            d_scores -= smooth * weights[:, None] * spread
        return (
            tf.reduce_sum(weights * each),
            tf.cast(d_scores, dtype),
            tf.reduce_sum(d_scores, 0),
        )

    return normalise


@cache
def _compiled(smooth: float, dtype: str) -> Any:
    return tf.function(_normaliser(smooth, dtype), jit_compile=True, autograph=False)
