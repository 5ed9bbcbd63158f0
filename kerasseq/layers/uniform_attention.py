"""Attention that does not choose."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers.attention_base import AttentionBase, documented_attention


@keras.saving.register_keras_serializable(package="kerasseq")
@documented_attention
class UniformAttention(AttentionBase):
    """Attention with the same weight everywhere: the context is the mean of the valid values.

    Over values of one step it makes a decoder the plain encoder-decoder, which reads the same
    context vector at every step ([Cho et al., 2014](https://arxiv.org/abs/1406.1078)). The
    query only moves the centre of a predictive window.

    Args:
        {window}

    {calls}

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
