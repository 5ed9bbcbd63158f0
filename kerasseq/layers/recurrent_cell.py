"""What the recurrent cells have in common: weights, regularisation, and the Keras cell protocol."""

from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from kerasseq.kernels.step_products import product
from kerasseq.layers._checks import (
    check_features,
    check_positive,
    check_rank,
    check_rate,
    differ,
)
from kerasseq.layers._precision import widen

EPSILON = 1e-5


class Noise(NamedTuple):
    """What is drawn once a sequence, and then used at every step.

    Attributes:
        recurrent_kernel: the recurrent kernel after weight drop.
        state_mask: `[batch, units]`, what the state is multiplied by before the recurrent
            product (variational dropout), or `None`.
    """

    recurrent_kernel: Any
    state_mask: Any


class RecurrentCell(keras.layers.Layer):
    """One step of a recurrence; the base of your own cell.

    A step is split in two: `project(inputs) = x K + b` has no state in it, so that it can be
    computed for all steps of a sequence at once, and `step(projected, states, noise)` is the
    recurrence. A subclass has

    - `gates`: how many blocks of `units` columns the kernels have;
    - `step`: from `projected` `[batch, gates * units]` and the old states to the new ones, of which
      the first is the output; `recurrent_product(h, noise)` is `h R`, with all that is dropped;
    - `state_count`, a class attribute, if it has more states than one;
    - `build` and `get_config`, if it has weights or arguments of its own.

    `RecurrentStack(units, cell=cell)` copies it for every layer and direction, with masks, dropout
    between layers, weight drop and zoneout. Keras' cells need nothing of this and go as well.

    Args:
        units: width of the state.
        use_bias: whether to add `b`.
        kernel_initializer, recurrent_initializer, bias_initializer: initialisers of K, R and b.
        activation, recurrent_activation: what a subclass makes of them.
        kernel_regularizer, recurrent_regularizer: of K and R.
        layer_norm: whether `x K` and `h R` are normalised.
        recurrent_dropout, weight_drop, zoneout: see `LSTMCell`.
        seed: seed of the cell's own random numbers.

    Call arguments:
        inputs: `[batch, features]`.
        states: a list of `[batch, units]`, or one bare.
        training: whether to drop.
        noise: what `draw_noise` drew for the sequence; needed in training with `weight_drop` or
            `recurrent_dropout`.

    Output: `(h', states')`, in the structure in which the states came.

    Masking: a cell knows one step only; `RecurrentStack` keeps states still over padding.

    Example: a minimal gated unit
    ([Zhou et al., 2016](https://arxiv.org/abs/1603.09420)).

    >>> import numpy as np
    >>> class MinimalGatedUnit(RecurrentCell):
    ...     gates = 2
    ...
    ...     def step(self, projected, states, noise=None):
    ...         hidden, units = states[0], self.units
    ...         product = self.recurrent_product(hidden, noise)
    ...         forget = ops.sigmoid(projected[..., :units] + product[..., :units])
    ...         new = ops.tanh(projected[..., units:] + forget * product[..., units:])
    ...         return [(1 - forget) * hidden + forget * new]
    >>> cell = MinimalGatedUnit(1, kernel_initializer="ones", recurrent_initializer="ones")
    >>> h, _ = cell(np.array([[1.0]], "float32"), np.array([[0.5]], "float32"))
    >>> round(float(h[0, 0]), 5)  # f = sigmoid(1.5), h' = (1 - f) 0.5 + f tanh(1 + f 0.5)
    0.81659
    """

    state_count: ClassVar[int] = 1

    def __init__(
        self,
        units: int,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        check_positive(name, "units", units)
        check_rate(name, "recurrent_dropout", recurrent_dropout)
        check_rate(name, "weight_drop", weight_drop)
        check_rate(name, "zoneout", zoneout)
        self.units = units
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.activation = keras.activations.get(activation)
        self.recurrent_activation = keras.activations.get(recurrent_activation)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.layer_norm = layer_norm
        self.recurrent_dropout = recurrent_dropout
        self.weight_drop = weight_drop
        self.zoneout = zoneout
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.state_size = units if self.state_count == 1 else [units] * self.state_count
        self.output_size = units

    @property
    def gates(self) -> int:
        """How many blocks of `units` columns the kernels have."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `gates`: how many blocks of `units` columns it needs"
        )

    def build(self, input_shape: Any) -> None:
        width = self.gates * self.units
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], width),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, width),
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
        )
        self.bias: Any = self._add_bias() if self.use_bias else None
        if self.layer_norm:
            self.input_scale = self._add_scale("input_scale", width)
            self.recurrent_scale = self._add_scale("recurrent_scale", width)

    def _add_bias(self) -> Any:
        return self.add_weight(
            name="bias", shape=self.bias_shape, initializer=self.bias_initializer
        )

    def _add_scale(self, name: str, width: int) -> Any:
        return self.add_weight(name=name, shape=(width,), initializer="ones")

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias, where there is one."""
        return (self.gates * self.units,)

    def input_bias(self) -> Any:
        """The bias that `project` adds, or `None`."""
        return self.bias

    def project(self, inputs: Any) -> Any:
        """`inputs [..., features]` -> `[..., gates * units]`: all of a step that needs no state."""
        projected = product(inputs, self.kernel)
        if self.layer_norm:
            projected = normalize(projected, self.input_scale)
        bias = self.input_bias()
        return projected if bias is None else projected + bias

    def recurrent_product(
        self, hidden: Any, noise: Noise | None, columns: slice = slice(None)
    ) -> Any:
        """`h R` (some of its columns), with what was drawn for the sequence and normalised."""
        kernel = self.recurrent_kernel if noise is None else noise.recurrent_kernel
        if noise is not None and noise.state_mask is not None:
            hidden = hidden * noise.state_mask
        if columns != slice(None):
            kernel = kernel[:, columns]
        made = product(hidden, kernel)
        if self.layer_norm:
            scale = self.recurrent_scale
            made = normalize(made, scale[columns] if columns != slice(None) else scale)
        return made

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Keras warns with the message, and goes on: kernels read the weights themselves."""
        raise NotImplementedError(
            f"{self.name}: the cell of a RecurrentStack is not quantized and stays as it is."
        )

    def step(self, projected: Any, states: list[Any], noise: Noise | None = None) -> list[Any]:
        """One step of the recurrence, before zoneout: the new states, the first the output."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `step(projected, states, noise)`, the recurrence"
        )

    def zone(self, new: list[Any], old: list[Any], keep: list[Any] | None) -> list[Any]:
        """Zoneout: where `keep` is 1 a unit keeps its old value; `None` takes the expectation."""
        if not self.zoneout:
            return new
        rates = [self.zoneout] * len(new) if keep is None else keep
        return [rate * o + (1 - rate) * n for rate, n, o in zip(rates, new, old, strict=True)]

    def draw_noise(
        self, batch_size: Any, training: bool | None, dtype: str | None = None
    ) -> Noise | None:
        """Draw what one sequence shares, in the compute dtype unless another is given; `None` where
        nothing is dropped."""
        if not training or not (self.weight_drop or self.recurrent_dropout):
            return None
        dtype = dtype or self.compute_dtype
        kernel = ops.cast(ops.convert_to_tensor(self.recurrent_kernel), dtype)
        if self.weight_drop:
            kernel = keras.random.dropout(kernel, self.weight_drop, seed=self.seed_generator)
        mask = None
        if self.recurrent_dropout:
            ones = ops.ones((batch_size, self.units), dtype=dtype)
            mask = keras.random.dropout(ones, self.recurrent_dropout, seed=self.seed_generator)
        return Noise(kernel, mask)

    def draw_zoneout(self, shape: Any, training: bool | None) -> list[Any] | None:
        """Draw which units stand still, one 0/1 tensor of `shape` for each state."""
        if not training or not self.zoneout:
            return None
        draws = [
            keras.random.uniform(shape, seed=self.seed_generator) for _ in range(self.state_count)
        ]
        return [ops.cast(draw < self.zoneout, self.compute_dtype) for draw in draws]

    def call(
        self,
        inputs: Any,
        states: Any,
        training: bool | None = False,
        noise: Noise | None = None,
    ) -> tuple[Any, Any]:
        if training and noise is None and (self.weight_drop or self.recurrent_dropout):
            raise ValueError(
                f"{type(self).__name__}: weight_drop and recurrent_dropout are drawn once a "
                "sequence, so in training a step needs `noise=cell.draw_noise(batch_size, True)`. "
                "Received: noise=None. RecurrentStack does this."
            )
        nested = isinstance(states, list | tuple)
        old = list(states) if nested else [states]
        self._check_call(inputs, old)
        new = self.step(self.project(inputs), old, noise)
        new = self.zone(new, old, self.draw_zoneout(ops.shape(old[0]), training))
        return new[0], (new if nested else new[0])

    def _check_call(self, inputs: Any, states: list[Any]) -> None:
        name = type(self).__name__
        check_rank(name, "inputs", inputs.shape, "batch, features")
        check_features(name, "inputs", inputs.shape, self.kernel.shape[0])
        shapes = [tuple(state.shape) for state in states]
        wanted = (inputs.shape[0], self.units)
        if len(shapes) != self.state_count or any(
            len(shape) != 2 or differ(shape, wanted) for shape in shapes
        ):
            raise ValueError(
                f"{name}: `states` must be {self.state_count} of shape [batch, {self.units}]. "
                f"Received: shapes {shapes}, inputs.shape={tuple(inputs.shape)}"
            )

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros, one `[batch_size, units]` for each state."""
        shape = (batch_size, self.units)
        return [ops.zeros(shape, dtype=self.compute_dtype) for _ in range(self.state_count)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "activation": keras.activations.serialize(self.activation),
            "recurrent_activation": keras.activations.serialize(self.recurrent_activation),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": keras.regularizers.serialize(self.recurrent_regularizer),
            "layer_norm": self.layer_norm,
            "recurrent_dropout": self.recurrent_dropout,
            "weight_drop": self.weight_drop,
            "zoneout": self.zoneout,
            "seed": self.seed,
        }


def normalize(values: Any, scale: Any, shift: Any = None) -> Any:
    """Layer normalisation over the last axis, computed in float32 at least."""
    dtype = values.dtype
    values = widen(values)
    centred = values - ops.mean(values, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    normal = ops.cast(centred * ops.rsqrt(variance + EPSILON), dtype) * scale
    return normal if shift is None else normal + shift
