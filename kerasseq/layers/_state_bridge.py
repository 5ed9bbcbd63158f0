"""From an encoder's final states to a decoder's first ones."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import differ

BRIDGES = ("dense", "copy", "zeros")


class StateBridge(keras.layers.Layer):
    """The first states of a decoder's layers.

    Args:
        kind: `"dense"`: tanh layers, layer l reading the l-th of `num_layers` equal groups of the
            encoder's states (all, if they cannot be grouped so); `"copy"`: the states as they are;
            `"zeros"`: not at all.
        units: width of the decoder's states.
        num_layers: number of the decoder's layers.
        states_per_cell: 2 of an LSTM, else 1.
        owner: the layer that messages speak of.
    """

    def __init__(
        self,
        kind: str,
        units: int,
        num_layers: int,
        states_per_cell: int,
        owner: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.units = units
        self.num_layers = num_layers
        self.states_per_cell = states_per_cell
        self.owner = owner
        self.layers = [
            keras.layers.Dense(
                units, activation="tanh", name=f"bridge_{i}", dtype=self.dtype_policy
            )
            for i in range(self.count if kind == "dense" else 0)
        ]

    @property
    def count(self) -> int:
        """How many states the decoder has."""
        return self.num_layers * self.states_per_cell

    def build(self, states_shape: Any) -> None:
        """`states_shape`: of the encoder's states, a list; not read with kind `"zeros"`."""
        if self.kind == "zeros":
            return
        if states_shape is None:
            raise ValueError(f"{self.owner}: {self._needed()} (bridge='zeros' does without)")
        self.sizes = [shape[-1] for shape in states_shape]
        if self.kind == "copy" and self.sizes != [self.units] * self.count:
            raise ValueError(
                f"{self.owner}: `encoder_states` must be {self.count} tensors of {self.units} "
                f"features with bridge='copy'. Received: features {self.sizes}"
            )
        for group, layers in self._groups(self.sizes):
            for layer in layers:
                layer.build((None, sum(group)))

    def call(self, empty: Any, encoder_states: Any) -> list[Any]:
        """The first states, `[batch, units]` each.

        Args:
            empty: zeros `[batch, units]`.
            encoder_states: structure of `[batch, features]`; not read with kind `"zeros"`.
        """
        if self.kind == "zeros":
            return [empty] * self.count
        if encoder_states is None:
            raise ValueError(f"{self.owner}: {self._needed()}")
        states = keras.tree.flatten(encoder_states)
        self._check(states, empty.shape[0])
        states = [ops.cast(state, self.compute_dtype) for state in states]
        if self.kind == "copy":
            return states
        return [
            ops.cast(dense(ops.concatenate(group, axis=-1)), self.compute_dtype)
            for group, layers in self._groups(states)
            for dense in layers
        ]

    def _needed(self) -> str:
        return f"`encoder_states` is needed with bridge={self.kind!r}"

    def _groups(self, encoder_states: list[Any]) -> list[tuple[list[Any], list[Any]]]:
        """For every decoder layer: the encoder states that it reads, and its dense layers."""
        size, rest = divmod(len(encoder_states), self.num_layers)
        own, groups = self.states_per_cell, []
        for layer in range(self.num_layers if self.layers else 0):
            group = encoder_states
            if not rest:
                group = encoder_states[layer * size : (layer + 1) * size]
            groups.append((list(group), self.layers[layer * own : (layer + 1) * own]))
        return groups

    def _check(self, encoder_states: list[Any], batch: int | None) -> None:
        shapes = [tuple(state.shape) for state in encoder_states]
        wanted = [(batch, size) for size in self.sizes]
        same = len(shapes) == len(wanted) and not any(
            len(shape) != 2 or differ(shape, size)
            for shape, size in zip(shapes, wanted, strict=True)
        )
        if not same:
            raise ValueError(
                f"{self.owner}: `encoder_states` must be a flat list of tensors of the batch "
                f"of `encoder_outputs` and of the features of the first call, {self.sizes}. "
                f"Received: shapes {shapes}, batch={batch}"
            )
