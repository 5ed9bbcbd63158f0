"""Losses over padded sequences: means over the valid tokens, in float32."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers import _crf_ops
from kerasseq.layers._checks import check_rank, check_rate, differ


def token_nll(y_true: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """`-log softmax(logits)[y_true]` of each token, float32, smoothed if asked.

    With smoothing `s`, the target is `(1 - s)` on the gold class and `s / V` on each of the V
    classes ([Szegedy et al., 2016](https://arxiv.org/abs/1512.00567)).

    Args:
        y_true: int `[...]`.
        logits: float `[..., V]`.
        label_smoothing: `s`, in [0, 1).
    """
    logits = ops.cast(logits, "float32")
    targets = ops.cast(y_true, "int32")[..., None]
    gold = ops.take_along_axis(logits, targets, axis=-1)[..., 0]
    if label_smoothing:
        gold = (1.0 - label_smoothing) * gold + label_smoothing * ops.mean(logits, axis=-1)
    return ops.logsumexp(logits, axis=-1) - gold


def token_weights(y_true: Any, sample_weight: Any = None, ignore_class: int | None = None) -> Any:
    """The weight of each token, float32 in the shape of `y_true`: weights, less ignored classes."""
    weights = ops.ones_like(y_true, dtype="float32")
    if sample_weight is not None:
        sample_weight = ops.cast(sample_weight, "float32")
        while len(sample_weight.shape) < len(y_true.shape):
            sample_weight = sample_weight[..., None]
        weights = weights * sample_weight
    if ignore_class is not None:
        weights = weights * ops.cast(ops.not_equal(y_true, ignore_class), "float32")
    return weights


@keras.saving.register_keras_serializable(package="kerasseq")
class MaskedSparseCrossentropy(keras.losses.Loss):
    """Cross-entropy with whole-number targets, as a mean over the valid tokens.

    `L = sum_i w_i nll_i / sum_i w_i`, the weights being the mask. Keras' own loss divides by all
    tokens, padding included, and has no label smoothing for whole-number targets.

    Args:
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
        ignore_class: a class whose tokens have no weight; `None` for none.
        name: name of the loss.

    Call arguments:
        y_true: int `[batch, time]` (or any shape).
        y_pred: logits `[batch, time, classes]`.
        sample_weight: mask or weights `[batch, time]`, or one weight a row `[batch]`.

    Output shape: a scalar, float32. Without any valid token it is 0.

    Masking: tokens of weight 0 have no influence, whatever stands there.

    Example:

    >>> import numpy as np
    >>> loss = MaskedSparseCrossentropy()
    >>> logits = np.zeros((1, 2, 4), "float32")
    >>> round(float(loss(np.array([[1, 0]]), logits, np.array([[1.0, 0.0]]))), 4)
    1.3863
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        name: str = "masked_sparse_crossentropy",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("reduction", "mean_with_sample_weight")
        if kwargs["reduction"] != "mean_with_sample_weight":
            raise ValueError(
                "MaskedSparseCrossentropy: `reduction` must be 'mean_with_sample_weight'. "
                f"Received: reduction={kwargs['reduction']!r}"
            )
        super().__init__(name=name, **kwargs)
        check_rate("MaskedSparseCrossentropy", "label_smoothing", label_smoothing)
        self.label_smoothing = label_smoothing
        self.ignore_class = ignore_class

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_true = _squeeze_classes(y_true, y_pred)
        if len(y_true.shape) != len(y_pred.shape) - 1 or differ(y_true.shape, y_pred.shape[:-1]):
            raise ValueError(
                "MaskedSparseCrossentropy: `y_pred` must have one axis more than `y_true`, and "
                "the others the same. "
                f"Received: y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(y_pred.shape)}"
            )
        weights = token_weights(y_true, sample_weight, self.ignore_class)
        # An ignored class may lie outside the logits (-1, say).
        targets = ops.where(weights > 0.0, y_true, ops.zeros_like(y_true))
        nll = ops.where(weights > 0.0, self.call(targets, y_pred), 0.0)
        return ops.divide_no_nan(ops.sum(weights * nll), ops.sum(weights))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return token_nll(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "ignore_class": self.ignore_class,
        }


@keras.saving.register_keras_serializable(package="kerasseq")
class CRFLoss(keras.losses.Loss):
    """Negative log-likelihood of a CRF, per valid token.

    `L = -sum_b w_b log p(y_b | x_b) / sum_b w_b T_b`, from the output of
    `CRF(...)(emissions, mask=mask, output="potentials")`, which carries all that the loss needs.

    Args:
        name: name of the loss.

    Call arguments:
        y_true: int `[batch, time]`.
        y_pred: the potentials.
        sample_weight: `[batch, time]`, where steps of weight 0 count as padding (any other
            weight counts as 1: a CRF scores a sequence as a whole), or `[batch]`, `w`.

    Output shape: a scalar, float32.

    Masking: that of the CRF's call is in the potentials; `sample_weight` may narrow it.

    Example:

    >>> import numpy as np
    >>> from kerasseq.layers.crf import CRF
    >>> potentials = CRF(2, transitions_initializer="zeros")(
    ...     np.zeros((1, 3, 2), "float32"), output="potentials")
    >>> round(float(CRFLoss()(np.array([[0, 1, 1]]), potentials)), 4)
    0.6931
    """

    def __init__(self, name: str = "crf_loss", **kwargs: Any) -> None:
        kwargs.setdefault("reduction", "mean_with_sample_weight")
        super().__init__(name=name, **kwargs)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        check_rank("CRFLoss", "y_true", y_true.shape, "batch, time")
        emissions, moves, start, end, mask = _crf_ops.unpack_potentials(ops.cast(y_pred, "float32"))
        weights = ops.ones_like(y_pred[:, 0, 0])
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
            if len(sample_weight.shape) == 2:
                mask = ops.logical_and(mask, ops.cast(sample_weight, "float32") > 0.0)
            else:
                weights = ops.cast(sample_weight, "float32")
        likelihoods = _crf_ops.log_likelihood(emissions, moves, start, end, mask, y_true)
        tokens = ops.sum(ops.cast(mask, "float32"), axis=1)
        return -ops.divide_no_nan(ops.sum(weights * likelihoods), ops.sum(weights * tokens))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self(y_true, y_pred)


def _squeeze_classes(y_true: Any, y_pred: Any) -> Any:
    """Keras hands targets of shape [batch] over as [batch, 1]."""
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        return ops.squeeze(y_true, -1)
    return y_true
