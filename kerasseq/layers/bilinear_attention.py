"""Attention by a bilinear form (Luong's "general")."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._attention import AttentionBase


@keras.saving.register_keras_serializable(package="kerasseq")
class BilinearAttention(AttentionBase):
    """Attention whose score is the bilinear form `q W x_s`.

    `a = softmax_s(q W x_s)`, `context = sum_s a_s x_s`
    ([Luong et al., 2015](https://arxiv.org/abs/1508.04025), "general"). The keys `W x_s` are
    made once, so that a step is a dot product.

    Args:
        window: how many steps to either side of a centre are looked at (local attention,
            [Luong et al., 2015](https://arxiv.org/abs/1508.04025)); `None` for all.
        window_center: `"monotonic"`: query t looks around step t (around the last valid one, if
            the values are shorter); `"predictive"`: around a step predicted from the query,
            nearer steps weighing more (the Gaussian is applied before normalising). Not read
            without `window`.
        kernel_initializer: initialiser of `W`.

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
    >>> attention = BilinearAttention()
    >>> query, values = np.ones((1, 2, 3), "float32"), np.ones((1, 4, 5), "float32")
    >>> mask = np.array([[True, True, False, False]])
    >>> context, weights = attention(query, values, mask=mask, return_weights=True)
    >>> tuple(context.shape), np.asarray(weights)[0, 0].tolist()
    ((1, 2, 5), [0.5, 0.5, 0.0, 0.0])
    """

    def __init__(
        self,
        window: int | None = None,
        window_center: str = "monotonic",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(window=window, window_center=window_center, **kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build_score(self, query_size: int, value_size: int) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(value_size, query_size), initializer=self.kernel_initializer
        )

    def make_keys(self, values: Any) -> Any:
        """`W x`."""
        return ops.matmul(values, self.kernel)

    def score(self, query: Any, keys: Any, coverage: Any = None) -> Any:
        return ops.matmul(query, ops.transpose(keys, (0, 2, 1)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
