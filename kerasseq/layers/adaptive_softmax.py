"""A softmax in clusters of falling word frequency."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import whole_numbers
from kerasseq.layers._tied_output import TiedOutputLoss
from kerasseq.layers.losses import token_nll
from kerasseq.layers.tied_embedding import TiedEmbedding


@keras.saving.register_keras_serializable(package="kerasseq")
class AdaptiveSoftmax(TiedOutputLoss):
    """Frequent words at full cost, rare ones only where they occur.

    `p(w | h) = p_head(w | h)` for a word of the shortlist, `p_head(cluster | h) p_cluster(w | h)`
    for the others ([Grave et al., 2017](https://arxiv.org/abs/1609.04309)). All words are scored
    with the tied matrix, the clusters in the head with rows of their own, as in
    [Merity et al., 2018](https://arxiv.org/abs/1803.08240); so clusters keep the full width.
    Ids must be ordered by falling frequency.

    On TensorFlow a cluster is computed for the tokens in it only (not under XLA, which
    needs fixed shapes); on other backends for all tokens.

    Args:
        embedding: the `TiedEmbedding` whose matrix scores the words.
            `keras.models.clone_model` gives the copy one of its own: the tie is lost.
        cutoffs: rising ids at which a cluster begins, e.g. `[2000, 10000]`: ids below 2000 form
            the shortlist, 2000 to 9999 one cluster, the rest another.

    Call arguments:
        hidden: states `[..., hidden_dim]`, usually `[batch, time, hidden_dim]`.
        targets: int `[...]`, the ids to predict.
        mask: bool `[...]`; `None` means that all are valid.

    Output shape: float32 `[...]`, the loss `-log p(target)` of each token.

    Masking: the loss is 0 at padding. A model with this output takes its targets as an input; train
    it with `TokenLoss` and the mask as `sample_weight`, as the example there does.

    Example:

    >>> import numpy as np
    >>> softmax = AdaptiveSoftmax(TiedEmbedding(10, 4), cutoffs=[3, 6])
    >>> hidden = np.ones((1, 2, 4), "float32")
    >>> tuple(softmax(hidden, np.array([[9, 0]])).shape)
    (1, 2)
    >>> total = np.exp(np.asarray(softmax.log_prob(hidden))).sum(axis=-1)
    >>> bool(np.allclose(total, 1.0, atol=1e-5))
    True
    """

    def __init__(self, embedding: TiedEmbedding, cutoffs: Sequence[int], **kwargs: Any) -> None:
        super().__init__(embedding, **kwargs)
        cutoffs = whole_numbers("AdaptiveSoftmax", "cutoffs", cutoffs)
        edges = [0, *cutoffs, embedding.vocabulary_size]
        if not cutoffs or any(a >= b for a, b in itertools.pairwise(edges)):
            raise ValueError(
                "AdaptiveSoftmax: `cutoffs` must rise within 1 .. vocabulary_size - 1 = "
                f"{embedding.vocabulary_size - 1}. Received: cutoffs={cutoffs}"
            )
        self.cutoffs = cutoffs

    def build(self, hidden_shape: Any, targets_shape: Any = None) -> None:
        super().build(hidden_shape)
        self.cluster_kernel = self.add_weight(
            name="cluster_kernel",
            shape=(len(self.cutoffs), self.embedding.embedding_dim),
            initializer="glorot_uniform",
            autocast=False,
        )
        self.cluster_bias = self.add_weight(
            name="cluster_bias",
            shape=(len(self.cutoffs),),
            initializer="zeros",
            autocast=False,
        )

    def call(self, hidden: Any, targets: Any, mask: Any = None, training: bool = False) -> Any:
        states, flat = self._flatten(hidden, targets)
        valid = ops.ones_like(flat, dtype="bool")
        if mask is not None:
            valid = ops.reshape(ops.cast(mask, "bool"), (-1,))
        shortlist = self.cutoffs[0]
        head_targets = flat
        for index, (low, high) in enumerate(self._clusters()):
            inside = ops.logical_and(flat >= low, flat < high)
            head_targets = ops.where(inside, shortlist + index, head_targets)
        nll = token_nll(head_targets, self._head(states))
        for low, high in self._clusters():
            inside = ops.logical_and(ops.logical_and(flat >= low, flat < high), valid)
            nll = nll + self._cluster_nll(states, flat, inside, low, high)
        return self._unflatten(nll, targets, mask)

    def _cluster_nll(self, states: Any, targets: Any, inside: Any, low: int, high: int) -> Any:
        """`-log p_cluster(target)` of the tokens `inside`, 0 elsewhere, [N]."""
        if keras.backend.backend() == "tensorflow":
            (at,) = ops.nonzero(inside)
            at = ops.cast(at, "int32")
            scores = self._tail(ops.take(states, at, axis=0), low, high)
            nll = token_nll(ops.take(targets, at, axis=0) - low, scores)
            return ops.segment_sum(nll, at, num_segments=ops.shape(targets)[0])
        local = ops.where(inside, targets - low, 0)
        return ops.where(inside, token_nll(local, self._tail(states, low, high)), 0.0)

    def log_prob(self, hidden: Any) -> Any:
        """`log p(w | hidden)` of every word, float32 `[..., vocabulary_size]`."""
        if not self.built:
            self.build(hidden.shape)
        states = self.embedding.project_hidden(hidden)
        head = ops.log_softmax(self._head(states), axis=-1)
        shortlist = self.cutoffs[0]
        parts = [head[..., :shortlist]]
        for index, (low, high) in enumerate(self._clusters()):
            scores = self._tail(states, low, high)
            normalised = scores - ops.logsumexp(scores, axis=-1, keepdims=True)
            parts.append(normalised + head[..., shortlist + index, None])
        return ops.concatenate(parts, axis=-1)

    def _clusters(self) -> list[tuple[int, int]]:
        edges = [*self.cutoffs, self.embedding.vocabulary_size]
        return list(itertools.pairwise(edges))

    def _head(self, states: Any) -> Any:
        words = self._tail(states, 0, self.cutoffs[0])
        kernel, bias = (
            ops.cast(ops.copy(w), self.embedding.wide_dtype)
            for w in (self.cluster_kernel, self.cluster_bias)
        )
        clusters = ops.matmul(states, ops.transpose(kernel)) + bias
        return ops.concatenate([words, clusters], axis=-1)

    def _tail(self, states: Any, low: int, high: int) -> Any:
        kernel, bias = self._weights()
        return ops.matmul(states, ops.transpose(kernel[low:high])) + bias[low:high]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cutoffs": self.cutoffs}
