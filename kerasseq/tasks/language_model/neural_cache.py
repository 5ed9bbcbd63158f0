"""A neural cache: a language model that remembers what it has just read.

    p(w) = (1 - lambda) p_model(w) + lambda p_cache(w)
    p_cache(w) ~ sum_i [x_i+1 = w] exp(theta h_t . h_i)    over the last `size` positions

[Grave et al., 2017](https://arxiv.org/abs/1612.04426). It changes no weight, and is an option of
evaluation only: its figures stand apart from those of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasseq.evaluation.perplexity import perplexity
from kerasseq.tasks.language_model.scorer import Scorer

THETAS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.5, 4.0, 6.0)
LAMBDAS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)


class Cached(NamedTuple):
    """What a cache needs of a text that was read in one stream.

    Attributes:
        nll: by the model alone, float32 `[N]`.
        shares: the cache's probability of each token, float32 `[N]`, for each theta.
    """

    nll: np.ndarray
    shares: dict[float, np.ndarray]


def read(model: keras.Model, ids: np.ndarray, size: int, thetas: Sequence[float]) -> Cached:
    """Reads a text and asks the cache for the probability of every token.

    Args:
        model: a :class:`kerasseq.tasks.language_model.model.RecurrentLanguageModel`.
        ids: int32 `[N]`.
        size: positions that the cache remembers.
        thetas: how sharply it attends to similar ones.
    """
    nlls, shares = [], []
    units = model.initial_state(1)[0].shape[-1]
    memory = tf.zeros([size, units])
    written = tf.fill([size], -1)
    remember = tf.function(_shares, autograph=False)
    for positions, nll, outputs in Scorer(model, with_outputs=True).pieces(ids):
        hidden = tf.constant(outputs, tf.float32)
        targets = tf.constant(ids[positions])
        memory, written = tf.concat([memory, hidden], 0), tf.concat([written, targets], 0)
        found = remember(hidden, targets, memory, written, tf.constant(thetas, tf.float32), size)
        memory, written = memory[-size:], written[-size:]
        nlls.append(nll)
        shares.append(found.numpy())
    return Cached(
        np.concatenate(nlls), dict(zip(thetas, np.concatenate(shares, axis=1), strict=True))
    )


def _shares(hidden: Any, targets: Any, memory: Any, written: Any, thetas: Any, size: Any) -> Any:
    """The cache's probability of each target: float32 `[thetas, T]`.

    Args:
        hidden: `[T, U]`, the states that predict the targets.
        targets: int32 `[T]`.
        memory: `[size + T, U]`, the states before them and their own.
        written: int32 `[size + T]`, what followed each of these; -1 where there is none.
        thetas: float32.
        size: how far back the cache reaches.
    """
    similar = tf.matmul(hidden, memory, transpose_b=True)
    at = tf.range(tf.shape(hidden)[0])[:, None] + size
    place = tf.range(tf.shape(memory)[0])[None]
    # what followed the state at hand is what is asked for
    seen = (place < at) & (place >= at - size) & (written[None] >= 0)
    hit = seen & (written[None] == targets[:, None])

    def share(theta: Any) -> Any:
        logits = tf.where(seen, theta * similar, -1e30)
        weights = tf.exp(logits - tf.reduce_max(logits, 1, keepdims=True)) * tf.cast(
            seen, tf.float32
        )
        found = tf.reduce_sum(tf.where(hit, weights, 0.0), 1)
        return tf.math.divide_no_nan(found, tf.reduce_sum(weights, 1))

    return tf.map_fn(share, thetas)


def mixed(cached: Cached, theta: float, weight: float) -> float:
    """Mean nll in nats with the cache's part `weight`."""
    model = np.exp(-cached.nll.astype(np.float64))
    shares = model * (1 - weight) + weight * cached.shares[theta]
    shares[0] = model[0]  # the cache is empty there
    return float(-np.log(np.maximum(shares, 1e-300)).mean())


def choose(cached: Cached) -> tuple[float, float]:
    """The theta and the weight that suit a text best."""
    trials = {(t, w): mixed(cached, t, w) for t in cached.shares for w in LAMBDAS}
    return min(trials, key=trials.__getitem__)


def report(cached: Cached, theta: float, weight: float, size: int) -> dict[str, Any]:
    """What the cache changes, as JSON values."""
    plain = float(cached.nll.mean(dtype=np.float64))
    with_cache = mixed(cached, theta, weight)
    return {
        "size": size,
        "theta": theta,
        "lambda": weight,
        "tokens": len(cached.nll),
        "nats_per_token": round(plain, 6),
        "nats_per_token_with_cache": round(with_cache, 6),
        "perplexity": round(perplexity(plain), 4),
        "perplexity_with_cache": round(perplexity(with_cache), 4),
    }
