"""Metrics over padded sequences: sums over the valid tokens, divided once at the end."""

from typing import Any

import keras
from keras import ops

from kerasseq import compat
from kerasseq.layers import _crf_ops
from kerasseq.layers._checks import differ, is_float
from kerasseq.layers._docstrings import documented
from kerasseq.layers.losses import (
    check_nll,
    check_potentials,
    squeeze_column,
    token_nll,
    token_weights,
)

_ARGUMENTS = """\
Args:
    name: name of the metric.{options}
    ignore_class: a class whose tokens do not count; `None` for none.

Call arguments:
    y_true: int `[batch, time]`.
    y_pred: {y_pred}
    sample_weight: mask `[batch, time]`."""


def _metric(y_pred: str, options: str = "") -> Any:
    """What the docstrings of all metrics say, with what `y_pred` is and with further options."""
    return documented(
        arguments=_ARGUMENTS.format(y_pred=y_pred, options=options),
        masking="Masking: tokens of weight 0 have no influence, whatever stands there, nor those "
        "that a mask attached to `y_pred` by Keras leaves out.",
    )


_nll_metric = _metric(
    y_pred="logits or probabilities `[batch, time, classes]`, or nll `[batch, time]`.",
    options="""
    from_logits: whether `y_pred` are logits, or the probabilities of a softmax.
    from_nll: whether `y_pred` is each token's negative log-likelihood (what
        `ChunkedCrossEntropy` and `AdaptiveSoftmax` return) instead of logits.""",
)
_accuracy_metric = _metric(y_pred="scores `[batch, time, classes]`, or class ids `[batch, time]`.")


class _Ratio(keras.metrics.Metric):
    """`total / count`, both summed over batches."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.total = self.add_variable(shape=(), initializer="zeros", name="total")
        self.count = self.add_variable(shape=(), initializer="zeros", name="count")

    def _add(self, values: Any, weights: Any) -> None:
        # Whatever a padded position holds, NaN included, stays out of the sum.
        values = ops.where(weights > 0.0, ops.cast(values, "float32"), 0.0)
        self.total.assign_add(ops.sum(values * weights))
        self.count.assign_add(ops.sum(weights))

    def result(self) -> Any:
        return ops.divide_no_nan(self.total, self.count)


class _NegativeLogLikelihood(_Ratio):
    def __init__(
        self,
        name: str,
        from_nll: bool = False,
        ignore_class: int | None = None,
        from_logits: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.from_logits = from_logits
        self.from_nll = from_nll
        self.ignore_class = ignore_class

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = compat.implicit_mask(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        name, rank = type(self).__name__, len(y_pred.shape)
        y_true = squeeze_column(y_true, rank if self.from_nll else rank - 1)
        weights = token_weights(name, y_true, sample_weight, self.ignore_class, mask)
        if self.from_nll:
            check_nll(name, y_true, y_pred)
        else:
            _check_scores(name, y_true, y_pred)
            targets = ops.where(weights > 0.0, y_true, ops.zeros_like(y_true))
            y_pred = token_nll(targets, y_pred, from_logits=self.from_logits)
        self._add(y_pred, weights)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "from_nll": self.from_nll,
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
        }


@keras.saving.register_keras_serializable(package="kerasseq")
@_nll_metric
class Perplexity(_NegativeLogLikelihood):
    """`exp(sum nll / sum tokens)`: sums over all batches, never a mean of batch means.

    {arguments}

    Result: a float32 scalar, 1 before any valid token.

    {masking}

    Example:

    >>> import numpy as np
    >>> metric = Perplexity()
    >>> metric.update_state(np.array([[1, 2]]), np.zeros((1, 2, 8), "float32"))
    >>> round(float(metric.result()), 4)
    8.0
    """

    def __init__(self, name: str = "perplexity", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def result(self) -> Any:
        return ops.exp(super().result())


@keras.saving.register_keras_serializable(package="kerasseq")
@_nll_metric
class BitsPerCharacter(_NegativeLogLikelihood):
    """`sum nll / (ln 2 * sum tokens)`, the tokens being characters.

    {arguments}

    Result: a float32 scalar, 0 before any valid token.

    {masking}

    Example:

    >>> import numpy as np
    >>> metric = BitsPerCharacter()
    >>> metric.update_state(np.array([[1, 2]]), np.zeros((1, 2, 8), "float32"))
    >>> round(float(metric.result()), 4)
    3.0
    """

    def __init__(self, name: str = "bits_per_character", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def result(self) -> Any:
        return super().result() / ops.log(2.0)


class _Accuracy(_Ratio):
    def __init__(self, name: str, ignore_class: int | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.ignore_class = ignore_class

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        if len(y_pred.shape) == len(y_true.shape) + 1:
            _check_scores(type(self).__name__, y_true, y_pred)
            y_pred = ops.argmax(y_pred, axis=-1)
        if len(y_pred.shape) != len(y_true.shape) or differ(y_pred.shape, y_true.shape):
            raise ValueError(
                f"{type(self).__name__}: `y_pred` must hold class ids in the shape of `y_true`, or "
                "scores with one axis more. Received: "
                f"y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(y_pred.shape)}"
            )
        hits = ops.equal(ops.cast(y_true, "int32"), ops.cast(y_pred, "int32"))
        return ops.cast(hits, "float32")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = compat.implicit_mask(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        # A column of targets beside floats: one class a row, and scores for it. Beside whole
        # numbers it is a sequence of one step, and these are its class ids.
        if is_float(y_pred) and y_pred.shape[-1] != 1:
            y_true = squeeze_column(y_true, len(y_pred.shape) - 1)
        weights = token_weights(type(self).__name__, y_true, sample_weight, self.ignore_class, mask)
        self._add(self._hits(y_true, y_pred), weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ignore_class": self.ignore_class}


def _check_scores(name: str, y_true: Any, y_pred: Any) -> None:
    shape = y_pred.shape[:-1]
    if len(shape) != len(y_true.shape) or differ(shape, y_true.shape):
        raise ValueError(
            f"{name}: `y_pred` must hold logits, one axis more than y_true and the others the "
            f"same. Received: y_true.shape={tuple(y_true.shape)}, "
            f"y_pred.shape={tuple(y_pred.shape)}"
        )


@keras.saving.register_keras_serializable(package="kerasseq")
@_accuracy_metric
class TokenAccuracy(_Accuracy):
    """Share of the valid tokens whose class is right.

    {arguments}

    Result: a float32 scalar, 0 before any valid token.

    {masking}

    Example:

    >>> import numpy as np
    >>> metric = TokenAccuracy()
    >>> metric.update_state(np.array([[1, 2, 3]]), np.array([[1, 2, 0]]), np.array([[1, 1, 0]]))
    >>> float(metric.result())
    1.0
    """

    def __init__(self, name: str = "token_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)


@keras.saving.register_keras_serializable(package="kerasseq")
@_accuracy_metric
class SentenceAccuracy(_Accuracy):
    """Share of the sequences that are right at every valid token.

    Targets of one axis, or in a column, are sequences of one token each.

    {arguments}

    Result: a float32 scalar, 0 before any valid token.

    Masking: tokens of weight 0 have no influence; a sequence without a valid token does not count.

    Example:

    >>> import numpy as np
    >>> metric = SentenceAccuracy()
    >>> metric.update_state(np.array([[1, 2], [1, 2]]), np.array([[1, 2], [1, 0]]))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name: str = "sentence_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def _add(self, values: Any, weights: Any) -> None:
        if len(weights.shape) == 1:
            values, weights = values[:, None], weights[:, None]
        counted = ops.cast(weights > 0.0, "float32")
        misses = ops.sum((1.0 - values) * counted, axis=-1)
        tokens = ops.sum(counted, axis=-1)
        super()._add(misses < 0.5, ops.cast(tokens > 0.0, "float32"))


@keras.saving.register_keras_serializable(package="kerasseq")
@_metric(y_pred='`CRF(...)(emissions, mask=mask, output="potentials")`, the mask included.')
class CRFAccuracy(_Accuracy):
    """Token accuracy of a CRF's Viterbi path, from its potentials.

    {arguments}

    Result: a float32 scalar, 0 before any valid token.

    {masking}

    Example:

    >>> import numpy as np
    >>> from kerasseq.layers.crf import CRF
    >>> metric = CRFAccuracy()
    >>> emissions = np.array([[[0.0, 9.0], [9.0, 0.0]]], "float32")
    >>> metric.update_state(np.array([[1, 1]]), CRF(2)(emissions, output="potentials"))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name: str = "crf_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = compat.implicit_mask(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        check_potentials("CRFAccuracy", y_true, y_pred)
        potentials = _crf_ops.unpack_potentials(ops.cast(y_pred, "float32"))
        tags = _crf_ops.viterbi(*potentials)
        weights = token_weights("CRFAccuracy", y_true, sample_weight, self.ignore_class, mask)
        self._add(self._hits(y_true, tags), weights * ops.cast(potentials[-1], "float32"))
