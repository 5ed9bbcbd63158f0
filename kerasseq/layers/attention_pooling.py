"""Pooling by attention with a learned query."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import check_features, check_mask, check_positive, check_rank
from kerasseq.layers._masked import masked_softmax
from kerasseq.layers._seeds import another
from kerasseq.layers._sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="kerasseq")
class AttentionPooling(SequenceLayer):
    """A weighted mean over the valid steps, the weights being learned.

    `u[b, t] = v . tanh(x[b, t] W + q)`, `a[b] = softmax(u[b])`, `y[b] = sum_t a[b, t] x[b, t]`:
    the additive score of [Bahdanau et al., 2015](https://arxiv.org/abs/1409.0473) with a learned
    query `q`, as in [Yang et al., 2016](https://aclanthology.org/N16-1174/).

    Args:
        units: width of the score's hidden layer; `None` takes the features of the input.
        return_scores: whether to return the weights as well.
        kernel_initializer: initialiser of `W` and `v`.

    Call arguments:
        inputs: `[batch, time, features]`.
        mask: bool `[batch, time]`; `None` means that all steps are valid.

    Output shape: `[batch, features]`; with `return_scores` also the weights `[batch, time]`.

    Masking: weights are exactly 0 at padded steps and sum to 1 over the others; a row with no
    valid step gives zeros.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
    >>> pool = AttentionPooling(return_scores=True)
    >>> y, weights = pool(x, mask=np.array([[True, True, False]]))
    >>> weights = np.asarray(weights)[0]
    >>> tuple(y.shape), float(weights[2]), round(float(weights[:2].sum()), 5)
    ((1, 4), 0.0, 1.0)
    """

    output_has_steps = False

    def __init__(
        self,
        units: int | None = None,
        return_scores: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units is not None:
            check_positive("AttentionPooling", "units", units)
        self.units = units
        self.return_scores = return_scores
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        check_rank("AttentionPooling", "inputs", input_shape, "batch, time, features")
        units = self.units or input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], units), initializer=self.kernel_initializer
        )
        self.query = self.add_weight(name="query", shape=(units,), initializer="zeros")
        self.score = self.add_weight(
            name="score", shape=(units, 1), initializer=another(self.kernel_initializer, 1)
        )

    def call(self, inputs: Any, mask: Any = None) -> Any:
        check_rank("AttentionPooling", "inputs", inputs.shape, "batch, time, features")
        check_features("AttentionPooling", "inputs", inputs.shape, self.kernel.shape[0])
        if mask is not None:
            mask = check_mask("AttentionPooling", mask, inputs)
            inputs = ops.where(mask[..., None], inputs, ops.zeros_like(inputs))
        hidden = ops.tanh(ops.matmul(inputs, self.kernel) + self.query)
        scores = ops.matmul(hidden, self.score)[..., 0]
        weights = ops.cast(masked_softmax(scores, mask), inputs.dtype)
        pooled = ops.einsum("bt,btd->bd", weights, inputs)
        return (pooled, weights) if self.return_scores else pooled

    def compute_output_shape(self, input_shape: Any) -> Any:
        pooled = (input_shape[0], input_shape[2])
        return (pooled, tuple(input_shape[:2])) if self.return_scores else pooled

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "return_scores": self.return_scores,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
