"""Losses over padded sequences: means over the valid tokens, in float32."""

from typing import Any

import keras
from keras import ops

from kerasseq import compat
from kerasseq.layers import _crf_ops
from kerasseq.layers._checks import check_mask, check_rank, check_rate, differ, is_float, known
from kerasseq.layers._precision import widen


def token_nll(
    y_true: Any, logits: Any, label_smoothing: float = 0.0, from_logits: bool = True
) -> Any:
    """`-log softmax(logits)[y_true]` of each token, float32 at least, smoothed if asked.

    With smoothing `s`, the target is `(1 - s)` on the gold class and `s / V` on each of the V
    classes ([Szegedy et al., 2016](https://arxiv.org/abs/1512.00567)).

    Args:
        y_true: int `[...]`.
        logits: float `[..., V]`.
        label_smoothing: `s`, in [0, 1).
        from_logits: whether `logits` are such, or probabilities, whose logarithms they are then;
            one below 1e-7 counts as that, as with Keras.
    """
    logits = widen(logits)
    if not from_logits:
        logits = ops.log(ops.clip(logits, keras.config.epsilon(), 1.0))
    targets = ops.cast(y_true, "int32")[..., None]
    gold = ops.take_along_axis(logits, targets, axis=-1)[..., 0]
    if label_smoothing:
        gold = (1.0 - label_smoothing) * gold + label_smoothing * ops.mean(logits, axis=-1)
    return ops.logsumexp(logits, axis=-1) - gold


def token_weights(
    layer: str,
    y_true: Any,
    sample_weight: Any = None,
    ignore_class: int | None = None,
    mask: Any = None,
) -> Any:
    """The weight of each token, float32 in the shape of `y_true`: weights, less ignored classes,
    and less what the mask that Keras attached to the predictions leaves out."""
    weights = ops.ones_like(y_true, dtype="float32")
    if mask is not None and len(mask.shape) == len(y_true.shape):
        weights = ops.cast(mask, "float32")
    if sample_weight is not None:
        sample_weight = ops.cast(sample_weight, "float32")
        if len(sample_weight.shape) == len(y_true.shape) + 1 and sample_weight.shape[-1] == 1:
            sample_weight = ops.squeeze(sample_weight, -1)
        shape = [None if size == 1 else size for size in sample_weight.shape]
        if len(shape) > len(y_true.shape) or differ(shape, y_true.shape[: len(shape)]):
            raise ValueError(
                f"{layer}: `sample_weight` must have the shape of `y_true`, or its first axes. "
                f"Received: sample_weight.shape={tuple(sample_weight.shape)}, "
                f"y_true.shape={tuple(y_true.shape)}"
            )
        while len(sample_weight.shape) < len(y_true.shape):
            sample_weight = sample_weight[..., None]
        weights = weights * sample_weight
    if ignore_class is not None:
        weights = weights * ops.cast(ops.not_equal(y_true, ignore_class), "float32")
    return weights


def _mean(values: Any, weights: Any) -> Any:
    """`sum_i w_i v_i / sum_i w_i`, a scalar, float32 at least; 0 without any weight.

    Under a strategy each replica has its part of the sum over the weights of all, however these are
    spread: the sum over the replicas, which is what Keras takes, is the mean.
    """
    weights = ops.cast(weights, values.dtype)
    count = ops.sum(weights)
    if keras.backend.backend() == "tensorflow":
        from kerasseq.kernels.replicas import sum_over_replicas

        count = sum_over_replicas(count)
    return ops.divide_no_nan(ops.sum(values * weights), count)


@keras.saving.register_keras_serializable(package="kerasseq")
class MaskedSparseCrossentropy(keras.losses.Loss):
    """Cross-entropy with whole-number targets, as a mean over the valid tokens.

    `L = sum_i w_i nll_i / sum_i w_i`, the weights being the mask. Keras' own loss divides by all
    tokens, padding included, and has no label smoothing for whole-number targets.

    Args:
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
        ignore_class: a class whose tokens have no weight; `None` for none.
        from_logits: whether `y_pred` are logits, or the probabilities of a softmax (which loses
            digits: logits are better).
        name: name of the loss.

    Call arguments:
        y_true: int `[batch, time]` (or any shape).
        y_pred: logits (or probabilities) `[batch, time, classes]`.
        sample_weight: mask or weights `[batch, time]`, or one weight a row `[batch]`.

    Output shape: a scalar, float32. Without any valid token it is 0.

    Masking: tokens of weight 0 have no influence, whatever stands there. A mask that Keras attached
    to `y_pred` counts too, as in Keras' own losses.

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
        from_logits: bool = True,
        name: str = "masked_sparse_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **_reduction("MaskedSparseCrossentropy", kwargs))
        check_rate("MaskedSparseCrossentropy", "label_smoothing", label_smoothing)
        self.label_smoothing = label_smoothing
        self.ignore_class = ignore_class
        self.from_logits = from_logits

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        mask = compat.implicit_mask(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_true = squeeze_column(y_true, len(y_pred.shape) - 1)
        if len(y_true.shape) != len(y_pred.shape) - 1 or differ(y_true.shape, y_pred.shape[:-1]):
            raise ValueError(
                "MaskedSparseCrossentropy: `y_pred` must have one axis more than `y_true`, and "
                "the others the same. "
                f"Received: y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(y_pred.shape)}"
            )
        weights = token_weights(type(self).__name__, y_true, sample_weight, self.ignore_class, mask)
        check_classes(type(self).__name__, y_true, y_pred.shape[-1], weights)
        # An ignored class may lie outside the logits (-1, say).
        targets = ops.where(weights > 0.0, y_true, ops.zeros_like(y_true))
        nll = ops.where(weights > 0.0, self.call(targets, y_pred), 0.0)
        return _mean(nll, weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return token_nll(y_true, y_pred, self.label_smoothing, self.from_logits)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "ignore_class": self.ignore_class,
            "from_logits": self.from_logits,
        }


@keras.saving.register_keras_serializable(package="kerasseq")
class CRFLoss(keras.losses.Loss):
    """Negative log-likelihood of a CRF, per valid token.

    `L = -sum_b w_b log p(y_b | x_b) / sum_b w_b T_b`, from the output of
    `CRF(...)(emissions, mask=mask, output="potentials")`, which carries all that the loss needs.

    A step of weight 0 is no step of its sequence: those beside it are neighbours.

    Args:
        unknown_tag: id of steps whose tag is not known, such as -1: see `CRF.log_likelihood`.
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

    def __init__(
        self, unknown_tag: int | None = None, name: str = "crf_loss", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **_reduction("CRFLoss", kwargs))
        self.unknown_tag = unknown_tag

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        check_potentials("CRFLoss", y_true, y_pred)
        emissions, moves, start, end, mask = _crf_ops.unpack_potentials(widen(y_pred))
        weights = ops.ones_like(ops.sum(emissions, axis=(1, 2)))
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, weights.dtype)
            if len(sample_weight.shape) == 2:
                seen = check_mask("CRFLoss", sample_weight > 0.0, y_true, "sample_weight", "y_true")
                mask = ops.logical_and(mask, seen)
                # What a step without weight holds, NaN included, must not reach the sums.
                emissions = ops.where(mask[..., None], emissions, 0.0)
            elif len(sample_weight.shape) != 1 or differ(sample_weight.shape, y_true.shape[:1]):
                raise ValueError(
                    "CRFLoss: `sample_weight` must have shape [batch, time] or [batch]. Received: "
                    f"sample_weight.shape={tuple(sample_weight.shape)}, "
                    f"y_true.shape={tuple(y_true.shape)}"
                )
            else:
                weights = sample_weight
        potentials = (emissions, moves, start, end, mask)
        told = mask
        if self.unknown_tag is not None:
            told = ops.logical_and(mask, ops.not_equal(y_true, self.unknown_tag))
        cure = "`unknown_tag` is for steps whose tag is not known"
        check_classes("CRFLoss", y_true, emissions.shape[-1], told, cure)
        if self.unknown_tag is None:
            likelihoods = _crf_ops.log_likelihood(*potentials, y_true)
        else:
            likelihoods = _crf_ops.partial_log_likelihood(*potentials, y_true, self.unknown_tag)
        tokens = ops.sum(ops.cast(mask, weights.dtype), axis=1)
        return _mean(-ops.divide_no_nan(likelihoods, tokens), weights * tokens)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unknown_tag": self.unknown_tag}


@keras.saving.register_keras_serializable(package="kerasseq")
class TokenLoss(keras.losses.Loss):
    """The mean over the valid tokens of losses that the model itself puts out.

    `L = sum_i w_i nll_i / sum_i w_i`, where `nll` is the output of a layer that has the targets as
    an input: `ChunkedCrossEntropy`, `AdaptiveSoftmax` or `SampledSoftmax`. `Perplexity` and
    `BitsPerCharacter` read the same output with `from_nll=True`.

    Args:
        name: name of the loss.

    Call arguments:
        y_true: `[batch, time]`; only its shape is read, so the targets may be given again.
        y_pred: `nll`, float `[batch, time]`.
        sample_weight: mask or weights `[batch, time]`, or one weight a row `[batch]`.

    Output shape: a scalar, float32. Without any valid token it is 0.

    Masking: tokens of weight 0 have no influence, whatever stands there. A mask that the layer was
    given counts too, for its output carries it.

    Example:

    >>> import numpy as np
    >>> from kerasseq.layers import ChunkedCrossEntropy, Perplexity, TiedEmbedding
    >>> ids, targets = np.array([[2, 3, 4]]), np.array([[3, 4, 0]])
    >>> inputs = [keras.Input((None,), dtype="int32") for _ in range(2)]
    >>> embedding = TiedEmbedding(5, 4)
    >>> nll = ChunkedCrossEntropy(embedding)(embedding(inputs[0]), inputs[1])
    >>> model = keras.Model(inputs, nll)
    >>> model.compile("sgd", TokenLoss(), weighted_metrics=[Perplexity(from_nll=True)])
    >>> history = model.fit([ids, targets], targets, sample_weight=targets > 0, verbose=0)
    >>> sorted(history.history)
    ['loss', 'perplexity']
    """

    def __init__(self, name: str = "token_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **_reduction("TokenLoss", kwargs))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        mask = compat.implicit_mask(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_true = squeeze_column(y_true, len(y_pred.shape))
        check_nll("TokenLoss", y_true, y_pred)
        weights = token_weights("TokenLoss", y_true, sample_weight, mask=mask)
        return _mean(ops.where(weights > 0.0, widen(y_pred), 0.0), weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self(y_true, y_pred)


def _reduction(layer: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a loss whose reduction cannot be chosen."""
    only = "mean_with_sample_weight"
    if kwargs.get("reduction", only) != only:
        raise ValueError(
            f"{layer}: `reduction` must be '{only}'. Received: reduction={kwargs['reduction']!r}"
        )
    return {**kwargs, "reduction": only}


def squeeze_column(y_true: Any, rank: int) -> Any:
    """`y_true` in `rank` axes: Keras hands targets of shape [batch] over as [batch, 1]."""
    if len(y_true.shape) == rank + 1 and y_true.shape[-1] == 1:
        return ops.squeeze(y_true, -1)
    return y_true


def check_nll(layer: str, y_true: Any, y_pred: Any) -> None:
    """Raise a `ValueError` unless `y_pred` has a float for each token of `y_true`."""
    same = len(y_pred.shape) == len(y_true.shape) and not differ(y_pred.shape, y_true.shape)
    if not same or not is_float(y_pred):
        raise ValueError(
            f"{layer}: `y_pred` must hold an nll for each token. Received: "
            f"y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(y_pred.shape)}, "
            f"y_pred.dtype={keras.backend.standardize_dtype(y_pred.dtype)}"
        )


def check_classes(
    layer: str,
    y_true: Any,
    classes: int | None,
    weights: Any,
    cure: str = "`ignore_class` leaves one out",
) -> None:
    """Raise a `ValueError` if a class that counts has no logit (where the values are known)."""
    targets, seen = known(y_true), known(weights)
    if targets is None or seen is None or classes is None:
        return
    wrong = (seen > 0) & ((targets < 0) | (targets >= classes))
    if wrong.any():
        raise ValueError(
            f"{layer}: `y_true` must hold classes from 0 to {classes - 1} wherever the weight is "
            f"above 0 ({cure}). Received: {targets[wrong][0]}"
        )


def check_potentials(layer: str, y_true: Any, y_pred: Any) -> None:
    """Raise a `ValueError` unless `y_pred` can be the potentials of a CRF for `y_true`."""
    check_rank(layer, "y_true", y_true.shape, "batch, time")
    shape = tuple(y_pred.shape)
    wanted: tuple[int | None, ...] = (None, None, None)
    if len(shape) == 3:
        time, size = y_true.shape[1], shape[2]
        known_sizes = time is not None and size is not None
        wanted = (y_true.shape[0], time + size + 1 if known_sizes else None, None)
    if len(shape) != 3 or differ(shape, wanted):
        raise ValueError(
            f'{layer}: `y_pred` must be what a CRF gives with output="potentials", [batch, time + '
            f"num_tags + 2, num_tags + 1]. Received: y_true.shape={tuple(y_true.shape)}, "
            f"y_pred.shape={shape}"
        )
