"""Attention by a bilinear form (Luong's "general")."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers.attention_base import AttentionBase, documented_attention


@keras.saving.register_keras_serializable(package="kerasseq")
@documented_attention
class BilinearAttention(AttentionBase):
    """Attention whose score is the bilinear form `q W x_s`.

    `a = softmax_s(q W x_s)`, `context = sum_s a_s x_s`
    ([Luong et al., 2015](https://arxiv.org/abs/1508.04025), "general"). The keys `W x_s` are
    made once, so that a step is a dot product.

    Args:
        {window}
        kernel_initializer: initialiser of `W`.

    {calls}

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
