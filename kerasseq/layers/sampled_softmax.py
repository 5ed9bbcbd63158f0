"""A softmax loss over a sample of the vocabulary."""

import math
from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import check_positive
from kerasseq.layers._tied_output import TiedOutputLoss
from kerasseq.layers.chunked_cross_entropy import chunked_cross_entropy
from kerasseq.layers.losses import token_nll
from kerasseq.layers.tied_embedding import TiedEmbedding


@keras.saving.register_keras_serializable(package="kerasseq")
class SampledSoftmax(TiedOutputLoss):
    """Each token's cross-entropy, its normaliser estimated from sampled classes in training.

    `nll = log(exp(z_y) + sum_{k != y} exp(z_k) / (S Q(k))) - z_y` with S candidates k drawn from
    the log-uniform `Q(k) = log((k + 2) / (k + 1)) / log(V + 1)`, shared by the batch
    ([Jean et al., 2015](https://arxiv.org/abs/1412.2007)). The target's own term is exact and
    candidates that hit it are left out, so the estimate of the normaliser is unbiased; the loss
    tends to the full one as S grows. Ids must be ordered by falling frequency.

    Args:
        embedding: the `TiedEmbedding` whose matrix scores the tokens.
            `keras.models.clone_model` gives the copy one of its own: the tie is lost.
        num_sampled: number of candidates S, drawn with replacement.
        chunk_size: tokens whose full scores exist at once, outside training.
        seed: seed of the candidates.

    Call arguments:
        hidden: states `[..., hidden_dim]`, usually `[batch, time, hidden_dim]`.
        targets: int `[...]`, the ids to predict.
        mask: bool `[...]`; `None` means that all are valid.
        training: whether to sample; otherwise the loss is the full one.

    Output shape: float32 `[...]`, the loss of each token.

    Masking: the loss is 0 at padding. A model with this output takes its targets as an input; train
    it with `TokenLoss` and the mask as `sample_weight`, as the example there does.

    Example:

    >>> import numpy as np
    >>> loss = SampledSoftmax(TiedEmbedding(1000, 4), num_sampled=20, seed=1)
    >>> hidden, targets = np.ones((1, 2, 4), "float32"), np.array([[3, 0]])
    >>> tuple(loss(hidden, targets, training=True).shape)
    (1, 2)
    """

    def __init__(
        self,
        embedding: TiedEmbedding,
        num_sampled: int = 1024,
        chunk_size: int = 1024,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(embedding, **kwargs)
        check_positive("SampledSoftmax", "num_sampled", num_sampled)
        check_positive("SampledSoftmax", "chunk_size", chunk_size)
        self.num_sampled = num_sampled
        self.chunk_size = chunk_size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, hidden: Any, targets: Any, mask: Any = None, training: bool = False) -> Any:
        states, flat = self._flatten(hidden, targets)
        if training:
            nll = self._sampled(states, flat, self.sample())
        else:
            kernel, bias = self._weights()
            nll = chunked_cross_entropy(states, kernel, bias, flat, 0.0, self.chunk_size)
        return self._unflatten(nll, targets, mask)

    def sample(self) -> Any:
        """Candidate ids, int32 `[num_sampled]`, log-uniform with replacement."""
        size = self.embedding.vocabulary_size
        uniform = keras.random.uniform((self.num_sampled,), seed=self.seed_generator)
        ids = ops.cast(ops.exp(uniform * math.log(size + 1.0)) - 1.0, "int32")
        return ops.clip(ids, 0, size - 1)

    def log_expected_count(self, ids: Any) -> Any:
        """`log(S Q(id))`: how often an id is expected among the candidates."""
        size = self.embedding.vocabulary_size
        ranks = ops.cast(ids, self.embedding.wide_dtype)
        mass = ops.log1p(1.0 / (ranks + 1.0)) / math.log(size + 1.0)
        return ops.log(self.num_sampled * mass)

    def _sampled(self, states: Any, targets: Any, candidates: Any) -> Any:
        kernel, bias = self._weights()
        gold = ops.sum(states * ops.take(kernel, targets, axis=0), axis=-1)
        gold = gold + ops.take(bias, targets, axis=0)
        scores = ops.matmul(states, ops.transpose(ops.take(kernel, candidates, axis=0)))
        scores = scores + ops.take(bias, candidates, axis=0) - self.log_expected_count(candidates)
        hits = ops.equal(targets[:, None], candidates[None])
        scores = ops.where(hits, -1e30, scores)
        scores = ops.concatenate([gold[:, None], scores], axis=-1)
        return token_nll(ops.zeros_like(targets), scores)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_sampled": self.num_sampled,
            "chunk_size": self.chunk_size,
            "seed": self.seed,
        }
