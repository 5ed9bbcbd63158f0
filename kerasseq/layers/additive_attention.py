"""Attention by a small network (Bahdanau)."""

from typing import Any

import keras
from keras import ops

from kerasseq.kernels.step_products import product
from kerasseq.layers._checks import check_positive
from kerasseq.layers._seeds import another
from kerasseq.layers.attention_base import AttentionBase, documented_attention


@keras.saving.register_keras_serializable(package="kerasseq")
@documented_attention
class AdditiveAttention(AttentionBase):
    """Attention whose score is a layer of its own: `v . tanh(q W + k U + b)`.

    `a = softmax_s(v . tanh(q W + x_s U + b))`, `context = sum_s a_s x_s`
    ([Bahdanau et al., 2015](https://arxiv.org/abs/1409.0473)). With `coverage=True` the sum `c`
    of the earlier weights enters as `+ c_s w_c`
    ([See et al., 2017](https://arxiv.org/abs/1704.04368)), so that queries are handled in turn; a
    model with it cannot be trained with `jit_compile=True` (the default, `"auto"`, sees to that).

    Args:
        units: width of the score's hidden layer.
        use_bias: whether it has a bias.
        coverage: whether the score reads the sum of the earlier weights.
        {window}
        kernel_initializer: initialiser of `W`, `U` and `v`.

    {calls}

    Example:

    >>> import numpy as np
    >>> attention = AdditiveAttention(8)
    >>> query, values = np.ones((1, 2, 3), "float32"), np.ones((1, 4, 5), "float32")
    >>> mask = np.array([[True, True, False, False]])
    >>> context, weights = attention(query, values, mask=mask, return_weights=True)
    >>> tuple(context.shape), np.asarray(weights)[0, 0].tolist()
    ((1, 2, 5), [0.5, 0.5, 0.0, 0.0])
    """

    def __init__(
        self,
        units: int,
        use_bias: bool = True,
        coverage: bool = False,
        window: int | None = None,
        window_center: str = "monotonic",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(window=window, window_center=window_center, **kwargs)
        check_positive("AdditiveAttention", "units", units)
        self.units = units
        self.use_bias = use_bias
        self.coverage = coverage
        # TensorFlow's XLA cannot compile the gradient of a loop with these products in it.
        self.supports_jit = not coverage
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build_score(self, query_size: int, value_size: int) -> None:
        def add(index: int, name: str, *shape: int) -> Any:
            initializer = another(self.kernel_initializer, index)
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        self.query_kernel = add(0, "query_kernel", query_size, self.units)
        self.key_kernel = add(1, "key_kernel", value_size, self.units)
        self.score_kernel = add(2, "score_kernel", self.units, 1)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        if self.coverage:
            self.coverage_kernel = add(3, "coverage_kernel", 1, self.units)

    @property
    def query_kernels(self) -> list[Any]:
        return [self.query_kernel]

    def make_keys(self, values: Any) -> Any:
        """`x U + b`."""
        keys = ops.matmul(values, self.key_kernel)
        return keys + self.bias if self.use_bias else keys

    def score(self, query: Any, keys: Any, coverage: Any = None) -> Any:
        hidden = product(query, self.query_kernel)[:, :, None] + keys[:, None]
        if self.coverage:
            coverage = ops.cast(coverage, self.compute_dtype)
            hidden = hidden + (coverage[..., None] * self.coverage_kernel)[:, None]
        return ops.matmul(ops.tanh(hidden), self.score_kernel)[..., 0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "use_bias": self.use_bias,
            "coverage": self.coverage,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
