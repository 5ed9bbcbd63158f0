"""Attention by the dot product."""

import math
from typing import Any

import keras
from keras import ops

from kerasseq.layers._attention import AttentionBase


@keras.saving.register_keras_serializable(package="kerasseq")
class DotAttention(AttentionBase):
    """Attention whose score is `q . x_s`, or `q . x_s / sqrt(d)` with `scaled=True`.

    `a = softmax_s(q . x_s)`, `context = sum_s a_s x_s`
    ([Luong et al., 2015](https://arxiv.org/abs/1508.04025), "dot"; the scale is that of
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)). Queries and values must have the
    same features; `BilinearAttention` is for those that differ.

    Args:
        scaled: whether to divide by the root of the number of features.
        window: how many steps to either side of a centre are looked at (local attention,
            [Luong et al., 2015](https://arxiv.org/abs/1508.04025)); `None` for all.
        window_center: `"monotonic"`: query t looks around step t (around the last valid one, if
            the values are shorter); `"predictive"`: around a step predicted from the query,
            nearer steps weighing more (the Gaussian is applied before normalising). Not read
            without `window`.

    Call arguments:
        query: `[batch, queries, query features]`.
        values: `[batch, time, value features]`.
        mask: bool `[batch, time]` of the values, padded on the right; `None`: all valid.
        return_weights: whether to return the weights as well.

    Output shape: contexts `[batch, queries, value features]`; with `return_weights` also the
    weights `[batch, queries, time]`. `step` takes one query `[batch, query features]` with the
    keys of `precompute(values)`, and returns context and weights without the queries' axis.

    Masking: weights are exactly 0 at padded steps and sum to 1 over the others; a row with no
    valid step has weights and context 0.

    Example:

    >>> import numpy as np
    >>> attention = DotAttention(scaled=True)
    >>> query, values = np.ones((1, 2, 3), "float32"), np.ones((1, 4, 3), "float32")
    >>> mask = np.array([[True, True, False, False]])
    >>> context, weights = attention(query, values, mask=mask, return_weights=True)
    >>> tuple(context.shape), np.asarray(weights)[0, 0].tolist()
    ((1, 2, 3), [0.5, 0.5, 0.0, 0.0])
    """

    def __init__(
        self,
        scaled: bool = False,
        window: int | None = None,
        window_center: str = "monotonic",
        **kwargs: Any,
    ) -> None:
        super().__init__(window=window, window_center=window_center, **kwargs)
        self.scaled = scaled

    def build_score(self, query_size: int, value_size: int) -> None:
        if query_size != value_size:
            raise ValueError(
                "DotAttention: `query` and `values` must have the same features; use "
                "BilinearAttention or AdditiveAttention for others. "
                f"Received: query features {query_size}, value features {value_size}"
            )

    def score(self, query: Any, keys: Any, coverage: Any = None) -> Any:
        if self.scaled:
            query = query / math.sqrt(query.shape[-1])
        return ops.matmul(query, ops.transpose(keys, (0, 2, 1)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scaled": self.scaled}
