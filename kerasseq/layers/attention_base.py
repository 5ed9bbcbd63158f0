"""What the attention layers share: precompute, step, call, masks, local windows."""

from typing import Any, ClassVar

from keras import ops

from kerasseq import compat
from kerasseq.kernels.scan import scan
from kerasseq.layers._checks import (
    check_choice,
    check_features,
    check_mask,
    check_positive,
    check_rank,
    differ,
)
from kerasseq.layers._docstrings import documented
from kerasseq.layers._masked import masked_softmax
from kerasseq.layers._precision import widen
from kerasseq.layers._sequence_layer import SequenceLayer

WINDOW_CENTERS = ("monotonic", "predictive")

# What the docstrings of all attention layers say.
_WINDOW = """\
window: how many steps to either side of a centre are looked at (local attention,
    [Luong et al., 2015](https://arxiv.org/abs/1508.04025)); `None` for all.
window_center: `"monotonic"`: query t looks around step t (around the last valid one, if
    the values are shorter); `"predictive"`: around a step predicted from the query,
    nearer steps weighing more (the Gaussian is applied before normalising). Not read
    without `window`."""
_CALLS = """\
Call arguments:
    query: `[batch, queries, query features]`.
    values: `[batch, time, value features]`.
    mask: bool `[batch, time]` of the values; `None`: all valid.
    return_weights: whether to return the weights as well.

Output shape: contexts `[batch, queries, value features]`; with `return_weights` also the
weights `[batch, queries, time]`. `step` takes one query `[batch, query features]` with the
keys of `precompute(values)`, and returns context and weights without the queries' axis.

Masking: weights are exactly 0 at padded steps and sum to 1 over the others; a row with no
valid step has weights and context 0."""
documented_attention = documented(window=_WINDOW, calls=_CALLS)


def autocast(layer: Any) -> Any:
    """The scope in which `layer`'s weights are read in its compute dtype, as they are in a call."""
    return compat.autocast_scope(layer.compute_dtype)


@documented_attention
class AttentionBase(SequenceLayer):
    """Weights over `values` for a query, and their weighted mean; the base of your own attention.

    Keys are made from the values once, by `precompute`; a decoder then calls `step` with one
    query at a time, and training calls the layer with all queries. A subclass has

    - `score(query, keys, coverage=None)`: scores `[batch, queries, time]` of
      `query` `[batch, queries, query features]` and `keys` `[batch, time, key features]`;
    - `build_score(query_size, value_size)`, if the score has weights: it makes them;
    - `make_keys(values)`, if keys are not the values: `[batch, time, key features]`;
    - `get_config()`, if its constructor has more arguments.

    Softmax, masks, windows, steps and reloading are here. `AttentionDecoder(attention=...)` takes
    such a layer.

    Args:
        {window}

    {calls}

    Example:

    >>> import numpy as np
    >>> class CosineAttention(AttentionBase):
    ...     def make_keys(self, values):
    ...         return ops.normalize(values, axis=-1)
    ...
    ...     def score(self, query, keys, coverage=None):
    ...         return ops.matmul(ops.normalize(query, axis=-1), ops.swapaxes(keys, 1, 2))
    >>> values = np.array([[[3.0, 0.0], [0.0, 1.0]]], "float32")
    >>> query = np.array([[[5.0, 0.0]]], "float32")
    >>> context, weights = CosineAttention()(query, values, return_weights=True)
    >>> [round(float(weight), 3) for weight in weights[0, 0]]
    [0.731, 0.269]
    """

    mask_sources: ClassVar[dict[str, str]] = {"mask": "values"}
    # Whether `score` reads the coverage.
    coverage = False

    def __init__(
        self, window: int | None = None, window_center: str = "monotonic", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        if window is not None:
            check_positive(name, "window", window)
        check_choice(name, "window_center", window_center, WINDOW_CENTERS)
        self.window = window
        self.window_center = window_center

    @property
    def query_kernels(self) -> list[Any]:
        """Matrices by which the score multiplies the query, each once."""
        return []

    def build(self, query_shape: Any, values_shape: Any) -> None:
        name = type(self).__name__
        check_rank(name, "query", query_shape, "batch, queries, query features")
        check_rank(name, "values", values_shape, "batch, time, value features")
        if self.window is not None and self.window_center == "predictive":
            size = query_shape[-1]
            self.center_kernel = self.add_weight(name="center_kernel", shape=(size, size))
            self.center_score = self.add_weight(name="center_score", shape=(size, 1))
        self.build_score(query_shape[-1], values_shape[-1])
        self.built_features = (query_shape[-1], values_shape[-1])
        self.built = True

    def build_score(self, query_size: int, value_size: int) -> None:
        """Make the weights of the score."""

    def precompute(self, values: Any) -> Any:
        """The keys of `values`, to be made once a sequence: `[batch, time, key features]`."""
        name = type(self).__name__
        if not self.built:
            raise ValueError(
                f"{name}: call the layer once, or `build(query_shape, values_shape)` it, before "
                "`precompute` and `step`: its weights need the shapes of both."
            )
        check_rank(name, "values", values.shape, "batch, time, value features")
        check_features(name, "values", values.shape, self.built_features[1])
        with autocast(self):
            return self.make_keys(ops.cast(values, self.compute_dtype))

    def make_keys(self, values: Any) -> Any:
        """What the score reads of `values`."""
        return values

    def score(self, query: Any, keys: Any, coverage: Any = None) -> Any:
        """Scores `[batch, queries, time]` of `query` `[batch, queries, query features]`."""
        raise NotImplementedError(f"{type(self).__name__} has no `score(query, keys, coverage)`")

    def step(
        self,
        query: Any,
        keys: Any,
        values: Any,
        mask: Any = None,
        position: Any = None,
        coverage: Any = None,
    ) -> tuple[Any, Any]:
        """One query: context `[batch, value features]` and weights `[batch, time]`.

        Args:
            query: `[batch, query features]`.
            keys: what `precompute(values)` gave.
            values: `[batch, time, value features]`.
            mask: bool `[batch, time]` of the values.
            position: number of the query, int scalar or `[batch]`; for monotonic windows.
            coverage: sum of the earlier weights `[batch, time]`, where the score reads it.

        Values at padding must be finite (the layer's call sets them to zero).
        """
        name = type(self).__name__
        check_rank(name, "query", query.shape, "batch, query features")
        check_features(name, "query", query.shape, self.built_features[0])
        self._check_step(query, keys, values, mask, coverage)
        if self.coverage and coverage is None:
            raise ValueError(f"{name}: `coverage` is needed in a step (coverage=True). Got None")
        positions = None
        if position is not None:
            positions = ops.reshape(ops.cast(position, self.wide_dtype), (-1, 1))
        query, keys, values = (ops.cast(x, self.compute_dtype) for x in (query, keys, values))
        with autocast(self):
            context, weights = self._attend(query[:, None], keys, values, mask, positions, coverage)
        # not [:, 0], whose gradient is a slow one on TensorFlow
        return (
            ops.reshape(context, (-1, values.shape[-1])),
            ops.reshape(weights, ops.shape(keys)[:2]),
        )

    def _check_step(self, query: Any, keys: Any, values: Any, mask: Any, coverage: Any) -> None:
        """A batch of 1 would be broadcast, and another number of steps fails far from here."""
        name = type(self).__name__
        check_rank(name, "values", values.shape, "batch, time, value features")
        check_rank(name, "keys", keys.shape, "batch, time, key features")
        batch, time = values.shape[:2]
        given = {"query": query.shape[:1], "keys": keys.shape[:2]}
        for argument, tensor in (("mask", mask), ("coverage", coverage)):
            if tensor is not None:
                check_rank(name, argument, tensor.shape, "batch, time")
                given[argument] = tensor.shape
        for argument, shape in given.items():
            if differ(shape, (batch, time)[: len(shape)]):
                raise ValueError(
                    f"{name}: `{argument}` must have the batch (and time) of `values`. Received: "
                    f"{argument} of {tuple(shape)}, values.shape={tuple(values.shape)}"
                )

    def call(self, query: Any, values: Any, mask: Any = None, return_weights: bool = False) -> Any:
        name = type(self).__name__
        check_rank(name, "query", query.shape, "batch, queries, query features")
        check_rank(name, "values", values.shape, "batch, time, value features")
        check_features(name, "query", query.shape, self.built_features[0])
        if differ(query.shape[:1], values.shape[:1]):
            raise ValueError(
                f"{name}: `query` and `values` must have the same batch. Received: "
                f"query.shape={tuple(query.shape)}, values.shape={tuple(values.shape)}"
            )
        if mask is not None:
            mask = check_mask(name, mask, values, inputs_name="values")
            # A weight of 0 does not make 0 of an infinite or undefined value.
            values = ops.where(mask[..., None], values, ops.zeros_like(values))
        keys = self.precompute(values)
        if self.coverage:
            context, weights = self._attend_in_turn(query, keys, values, mask)
        else:
            context, weights = self.attend(query, keys, values, mask)
        return (context, weights) if return_weights else context

    def attend(self, query: Any, keys: Any, values: Any, mask: Any = None) -> tuple[Any, Any]:
        """Contexts and weights of all queries at once, with keys made before (no coverage)."""
        positions = ops.cast(ops.arange(ops.shape(query)[1]), self.wide_dtype)[None]
        return self._attend(query, keys, values, mask, positions, None)

    def _attend(
        self, query: Any, keys: Any, values: Any, mask: Any, positions: Any, coverage: Any
    ) -> tuple[Any, Any]:
        scores = widen(self.score(query, keys, coverage))
        allowed = None if mask is None else mask[:, None]
        if self.window is not None:
            scores, inside = self._apply_window(scores, query, mask, positions)
            allowed = inside if allowed is None else ops.logical_and(allowed, inside)
        weights = ops.cast(masked_softmax(scores, allowed), self.compute_dtype)
        return ops.matmul(weights, values), weights

    def _attend_in_turn(self, query: Any, keys: Any, values: Any, mask: Any) -> tuple[Any, Any]:
        """Query after query, each seeing the weights of those before it."""

        def step(carry: list[Any], now: list[Any]) -> list[Any]:
            _, covered, index = carry
            context, weights = self.step(now[0], keys, values, mask, index, covered)
            return [
                ops.concatenate([context, weights], axis=-1),
                covered + widen(weights),
                index + 1.0,
            ]

        # The coverage is a long sum, which half precision would round more and more.
        covered = ops.zeros_like(widen(keys[..., 0]))
        both = ops.concatenate([ops.sum(values, axis=1), keys[..., 0]], axis=-1)
        both = ops.zeros_like(ops.cast(both, self.compute_dtype))
        start = [both, covered, ops.zeros((), self.wide_dtype)]
        outputs, _ = scan(step, start, [ops.transpose(query, (1, 0, 2))])
        outputs = ops.transpose(outputs, (1, 0, 2))
        size = values.shape[-1]
        return outputs[..., :size], outputs[..., size:]

    def _apply_window(self, scores: Any, query: Any, mask: Any, positions: Any) -> tuple[Any, Any]:
        """Scores, and which steps lie in the window, [B, T, S] (Luong et al., 2015, 3.2)."""
        if mask is None:
            steps = ops.cast(ops.arange(ops.shape(scores)[-1]), scores.dtype)
            last = ops.cast(ops.shape(scores)[-1] - 1, scores.dtype)
        else:  # steps are counted where they are valid
            valid = ops.cast(mask, scores.dtype)
            steps = ops.cumsum(valid, axis=-1)[:, None] - 1.0
            last = ops.sum(valid, axis=-1, keepdims=True) - 1.0
        if self.window_center == "monotonic":
            if positions is None:
                raise ValueError(
                    f"{type(self).__name__}: `position` is needed in a step with "
                    "window_center='monotonic'. Got None"
                )
            distance = steps - ops.minimum(positions, last)[..., None]
            return scores, ops.abs(distance) <= self.window
        hidden = ops.tanh(ops.matmul(query, self.center_kernel))
        share = widen(ops.sigmoid(ops.matmul(hidden, self.center_score)))
        distance = steps - (share[..., 0] * last)[..., None]
        # The Gaussian goes into the exponent, so that the weights still sum to 1.
        return scores - 2.0 * ops.square(distance / self.window), ops.abs(distance) <= self.window

    def compute_mask(self, query: Any, previous_mask: Any = None) -> Any:
        return compat.implicit_mask(query)  # contexts have the steps of the queries

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "window": self.window,
            "window_center": self.window_center,
        }
