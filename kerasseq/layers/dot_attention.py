"""Attention by the dot product."""

import math
from typing import Any

import keras
from keras import ops

from kerasseq.layers.attention_base import AttentionBase, documented_attention


@keras.saving.register_keras_serializable(package="kerasseq")
@documented_attention
class DotAttention(AttentionBase):
    """Attention whose score is `q . x_s`, or `q . x_s / sqrt(d)` with `scaled=True`.

    `a = softmax_s(q . x_s)`, `context = sum_s a_s x_s`
    ([Luong et al., 2015](https://arxiv.org/abs/1508.04025), "dot"; the scale is that of
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)). Queries and values must have the
    same features; `BilinearAttention` is for those that differ.

    Args:
        scaled: whether to divide by the root of the number of features.
        {window}

    {calls}

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
