"""Attention that does not choose."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._attention import AttentionBase


@keras.saving.register_keras_serializable(package="kerasseq")
class UniformAttention(AttentionBase):
    """Attention with the same weight everywhere: the context is the mean of the valid values.

    Over values of one step it makes a decoder the plain encoder-decoder, which reads the same
    context vector at every step ([Cho et al., 2014](https://arxiv.org/abs/1406.1078)).

    Call arguments:
        query: `[batch, queries, query features]`; only its shape is read.
        values: `[batch, time, value features]`.
        mask: bool `[batch, time]` of the values, padded on the right; `None`: all valid.
        return_weights: whether to return the weights as well.

    Output shape: contexts `[batch, queries, value features]`; with `return_weights` also the
    weights `[batch, queries, time]`. `step` is as in the other attention layers.

    Masking: weights are exactly 0 at padded steps and sum to 1 over the others; a row with no
    valid step has weights and context 0.

    Example:

    >>> import numpy as np
    >>> query, values = np.ones((1, 1, 3), "float32"), np.ones((1, 4, 2), "float32")
    >>> mask = np.array([[True, True, False, False]])
    >>> _, weights = UniformAttention()(query, values, mask=mask, return_weights=True)
    >>> np.asarray(weights)[0, 0].tolist()
    [0.5, 0.5, 0.0, 0.0]
    """

    def score(self, query: Any, keys: Any, coverage: Any = None) -> Any:
        return ops.zeros_like(query[:, :, :1]) + ops.zeros_like(keys[:, None, :, 0])
