"""Layers of recurrent cells, in one or both directions, on the fastest kernel there is."""

import inspect
from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import (
    check_choice,
    check_features,
    check_mask,
    check_positive,
    check_rank,
    check_rate,
    differ,
    is_float,
)
from kerasseq.layers._kernel_choice import KernelChoice, check_kernel, choose_kernel
from kerasseq.layers._layer_run import run_layer
from kerasseq.layers._packing import Packing
from kerasseq.layers._seeds import another, reseed
from kerasseq.layers._sequence_layer import SequenceLayer
from kerasseq.layers.gru_cell import GRUCell
from kerasseq.layers.last_pooling import last_step
from kerasseq.layers.locked_dropout import LockedDropout
from kerasseq.layers.lstm_cell import LSTMCell
from kerasseq.layers.simple_rnn_cell import SimpleRNNCell

# Settings that a cell of one's own has itself.
_OF_CELLS = (
    "recurrent_dropout", "weight_drop", "zoneout", "layer_norm", "activation",
    "recurrent_activation", "use_bias", "kernel_regularizer", "recurrent_regularizer",
)  # fmt: skip
CELLS = {"lstm": LSTMCell, "gru": GRUCell, "simple_rnn": SimpleRNNCell}


@keras.saving.register_keras_serializable(package="kerasseq")
class RecurrentStack(SequenceLayer):
    """`num_layers` recurrent layers on top of each other, each in one direction or in both.

    Layer `l` reads what layer `l - 1` wrote, through locked dropout, and adds it to its own
    output where `residual` is set: `y_l = rnn_l(dropout(y_{l-1})) + y_{l-1}` for `l > 1`
    ([Wu et al., 2016](https://arxiv.org/abs/1609.08144)). A bidirectional layer's output is the
    forward half beside the backward half
    ([Schuster & Paliwal, 1997](https://doi.org/10.1109/78.650093)).

    Whichever kernel runs, the weights and the numbers are the same; weights saved under one load
    under another. Weight layouts are those of `keras.layers.LSTM`, `GRU` and `SimpleRNN`.

    Args:
        units: width of a direction's state.
        num_layers: number of layers.
        cell: `"lstm"`, `"gru"` or `"simple_rnn"`, or a Keras cell of your own (a layer with
            `state_size` and `call(inputs, states)`), which is copied for every direction, with the
            dtype of the stack and a seed of its own where it has one.
        bidirectional: whether every layer runs in both directions.
        dropout: rate of locked dropout between the layers.
        residual: whether layers after the first add their input to their output.
        recurrent_dropout, weight_drop, zoneout, layer_norm, coupled_gates: see the cells;
            `coupled_gates` is for `"lstm"` only.
        reset_after: which form of the GRU; not read for other cells.
        kernel: `"auto"`, or by name: `"cudnn"` (NVIDIA GPUs), `"closed_form"` (TensorFlow: one
            loop with a hand-written backward pass), `"loop"` (the cells' own equations, step by
            step, on any backend).
        use_cudnn: `"auto"`, `True` (an error where it cannot be) or `False` (as an export
            needs). Kept in the config.
        xla: `"auto"`, `True` or `False`: whether the closed-form kernel's training step is
            compiled with XLA, which compiles once for every batch size and width, whatever the
            lengths.
        return_sequences: whether to return every step; if not, the last valid one, as
            `LastPooling` takes it.
        return_state: whether to return the final states too.
        activation, recurrent_activation: of every cell; others than `"tanh"` and `"sigmoid"` run in
            the loop.
        use_bias: whether every cell has a bias.
        kernel_initializer, recurrent_initializer: of every cell's weights; one with a seed gets
            another seed in each cell. Like the five before and after, not for a `cell` that is a
            layer, which has its own.
        kernel_regularizer, recurrent_regularizer: of every cell's weights.
        seed: seed of the layer's own random numbers.

    Call arguments:
        inputs: `[batch, time, features]`.
        mask: bool `[batch, time]`; `None` means that all steps are valid.
        initial_state: as returned with `return_state` (flat, or nested in that order); `None` means
            zeros.
        training: whether to drop.

    Output shape: `[batch, time, units]`, or `2 * units` where bidirectional; without
    `return_sequences` the time is missing. With
    `return_state`, a pair: the output, and the final states as a flat list of `[batch, units]`,
    layer by layer, forward before backward, `h` before `c`.

    Masking: outputs at padded steps are exactly 0, padded inputs have no influence, and final
    states are those at each row's last valid step (its first for the backward direction).
    Padding may be on either side, and rows may have gaps: the steps that are left are neighbours.

    Example:

    >>> import numpy as np
    >>> stack = RecurrentStack(4, num_layers=2, bidirectional=True, return_state=True)
    >>> x = np.ones((1, 3, 5), "float32")
    >>> y, states = stack(x, mask=np.array([[True, True, False]]))
    >>> tuple(y.shape), len(states), bool((np.asarray(y)[0, 2] == 0).all())
    ((1, 3, 8), 8, True)
    """

    def __init__(
        self,
        units: int,
        num_layers: int = 1,
        cell: Any = "lstm",
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        layer_norm: bool = False,
        coupled_gates: bool = False,
        reset_after: bool = True,
        kernel: str = "auto",
        use_cudnn: Any = "auto",
        xla: Any = "auto",
        return_sequences: bool = True,
        return_state: bool = False,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if "go_backwards" in kwargs:
            raise ValueError(
                "RecurrentStack: `go_backwards` is no setting, and keras.layers.Bidirectional, "
                "which sets it, is not needed: bidirectional=True runs both directions."
            )
        super().__init__(**kwargs)
        name = "RecurrentStack"
        check_positive(name, "units", units)
        check_positive(name, "num_layers", num_layers)
        check_kernel(name, kernel, use_cudnn, xla)
        check_rate(name, "dropout", dropout)
        self.custom_cell = isinstance(cell, keras.layers.Layer)
        self.units = units
        self.num_layers = num_layers
        self.cell = type(cell).__name__ if self.custom_cell else cell
        # In a function, since Keras would track a layer, and this one is only copied.
        self._prototype = lambda: cell
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.residual = residual
        self.recurrent_dropout = recurrent_dropout
        self.weight_drop = weight_drop
        self.zoneout = zoneout
        self.layer_norm = layer_norm
        self.coupled_gates = coupled_gates
        self.reset_after = reset_after
        self.kernel = kernel
        self.use_cudnn = use_cudnn
        self.xla = xla
        self.return_sequences = self.output_has_steps = return_sequences
        self.return_state = return_state
        self.activation = keras.activations.get(activation)
        self.recurrent_activation = keras.activations.get(recurrent_activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.seed = seed
        self.directions = 2 if bidirectional else 1
        self.output_size = units * self.directions
        self._check_cell(cell)
        self.cells = self._make_cells()
        self.dropouts = self._make_dropouts()

    def _seed_of(self, index: int) -> int | None:
        return None if self.seed is None else self.seed + index

    def _check_cell(self, cell: Any) -> None:
        """Raise a `ValueError` unless there is such a cell, and it goes with the settings."""
        if self.custom_cell:
            self._check_custom_cell(cell)
        else:
            check_choice("RecurrentStack", "cell", cell, tuple(CELLS))
        if self.coupled_gates and cell != "lstm":
            raise ValueError(
                "RecurrentStack: `coupled_gates` is a setting of cell='lstm' (the GRU's gates are "
                f"coupled as they are). Received: cell={cell!r}"
            )
        if cell == "simple_rnn" and self.recurrent_activation is not keras.activations.sigmoid:
            raise ValueError(
                "RecurrentStack: `recurrent_activation` is of gates, which cell='simple_rnn' has "
                f"not. Received: recurrent_activation={self.recurrent_activation!r}"
            )

    def _check_custom_cell(self, cell: Any) -> None:
        sizes = getattr(cell, "state_size", None)
        if sizes is None:
            raise ValueError(
                "RecurrentStack: `cell` must be a Keras cell (a layer with `state_size` and "
                f"`call(inputs, states)`), or a name. Received: cell={cell!r}"
            )
        sizes = list(sizes) if isinstance(sizes, list | tuple) else [sizes]
        if any(size != self.units for size in sizes):
            raise ValueError(
                "RecurrentStack: `cell` must have states of `units` features. Received: "
                f"units={self.units}, cell.state_size={sizes}"
            )
        default = inspect.signature(RecurrentStack).parameters
        size = getattr(cell, "output_size", self.units)
        if size != self.units:
            raise ValueError(
                "RecurrentStack: `cell` must put out `units` features. Received: "
                f"units={self.units}, cell.output_size={size}"
            )
        for setting in _OF_CELLS:
            value = getattr(self, setting)
            if value != _made(setting, default[setting].default):
                raise ValueError(
                    f"RecurrentStack: `{setting}` is for a cell that is given by its name; give it "
                    f"to the cell itself. Received: {setting}={value!r}, cell={cell!r}"
                )

    def _make_dropouts(self) -> list[LockedDropout]:
        """One for each gap between layers."""
        return [
            LockedDropout(self.dropout, seed=self._seed_of(1000 + layer), dtype=self.dtype_policy)
            for layer in range(1, self.num_layers)
        ]

    def _make_cells(self) -> list[Any]:
        """One for each direction of each layer, forward before backward."""
        return [
            self._make_cell(layer, direction)
            for layer in range(self.num_layers)
            for direction in range(self.directions)
        ]

    def _make_cell(self, layer: int, direction: int) -> Any:
        name = f"{('forward', 'backward')[direction]}_{layer}"
        if self.custom_cell:
            prototype = self._prototype()
            config = reseed(prototype.get_config(), 2 * layer + direction)
            if "dtype" in config:
                config["dtype"] = self.dtype_policy
            return type(prototype).from_config({**config, "name": name})
        settings = {"coupled_gates": self.coupled_gates} if self.cell == "lstm" else {}
        if self.cell == "gru":
            settings = {"reset_after": self.reset_after}
        return CELLS[self.cell](
            self.units,
            kernel_initializer=another(self.kernel_initializer, 2 * layer + direction),
            recurrent_initializer=another(self.recurrent_initializer, 2 * layer + direction),
            activation=self.activation,
            recurrent_activation=self.recurrent_activation,
            use_bias=self.use_bias,
            kernel_regularizer=self.kernel_regularizer,
            recurrent_regularizer=self.recurrent_regularizer,
            layer_norm=self.layer_norm,
            recurrent_dropout=self.recurrent_dropout,
            weight_drop=self.weight_drop,
            zoneout=self.zoneout,
            seed=self._seed_of(2 * layer + direction),
            name=name,
            dtype=self.dtype_policy,
            **settings,
        )

    @property
    def states_per_cell(self) -> int:
        """How many states a cell has: 2 for an LSTM (`h`, `c`), 1 for the others."""
        sizes = self.cells[0].state_size
        return len(sizes) if isinstance(sizes, list | tuple) else 1

    def kernel_plan(self) -> KernelChoice:
        """The kernel that would run on this backend and device, and why."""
        return choose_kernel(self)

    def build(self, inputs_shape: Any, initial_state_shape: Any = None) -> None:
        check_rank("RecurrentStack", "inputs", inputs_shape, "batch, time, features")
        if inputs_shape[-1] is None:
            raise ValueError(
                "RecurrentStack: the features of `inputs` must be known. "
                f"Received: inputs.shape={tuple(inputs_shape)}"
            )
        # As Keras does for cuDNN: a model that is compiled as a whole cannot hold these kernels.
        self.supports_jit = choose_kernel(self).name == "loop"
        features = self.built_features = inputs_shape[-1]
        for layer in range(self.num_layers):
            for cell in self._cells_of(layer):
                if not cell.built:
                    cell.build((inputs_shape[0], features))
            features = self.output_size
        self.built = True

    def _cells_of(self, layer: int) -> list[Any]:
        return self.cells[layer * self.directions : (layer + 1) * self.directions]

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """Zeros, in the structure of the final states."""
        return [
            ops.zeros((batch_size, self.units), dtype=self.compute_dtype)
            for _ in range(len(self.cells) * self.states_per_cell)
        ]

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        initial_state: Any = None,
        training: bool | None = None,
    ) -> Any:
        check_rank("RecurrentStack", "inputs", inputs.shape, "batch, time, features")
        check_features("RecurrentStack", "inputs", inputs.shape, self.built_features)
        if not is_float(inputs):
            raise ValueError(
                "RecurrentStack: `inputs` must hold floats (an embedding makes them of ids). "
                f"Received: inputs.dtype={keras.backend.standardize_dtype(inputs.dtype)}"
            )
        packing, given = None, mask
        if mask is not None:
            given = check_mask("RecurrentStack", mask, inputs)
            packing = Packing(given)
            inputs, mask = packing.pack(inputs), packing.mask
        if initial_state is None:
            initial_state = self.get_initial_state(ops.shape(inputs)[0])
        states = self._split_states(keras.tree.flatten(initial_state), inputs.shape[0])
        choice = choose_kernel(self)
        outputs = inputs
        final: list[Any] = []
        for layer in range(self.num_layers):
            layer_inputs = outputs
            if layer > 0:
                layer_inputs = self.dropouts[layer - 1](outputs, training=training)
            cells = self._cells_of(layer)
            begin = states[layer * self.directions : (layer + 1) * self.directions]
            written, ended = run_layer(self, choice, cells, layer_inputs, mask, begin, training)
            outputs = written + outputs if self.residual and layer > 0 else written
            final.extend(state for direction in ended for state in direction)
        if packing is not None:
            outputs = packing.unpack(outputs)
        if not self.return_sequences:
            outputs = last_step(outputs, given, self.bidirectional)
        return (outputs, final) if self.return_state else outputs

    def _split_states(self, flat: list[Any], batch: int | None = None) -> list[list[Any]]:
        """The flat list of states as one list for each cell."""
        count = self.states_per_cell
        if len(flat) != count * len(self.cells):
            raise ValueError(
                f"RecurrentStack: `initial_state` must be a list of {count * len(self.cells)} "
                f"tensors [batch, {self.units}] (layers x directions x states of a cell). "
                f"Received: {len(flat)} tensors"
            )
        for index, state in enumerate(flat):
            if len(state.shape) != 2 or differ(state.shape, (batch, self.units)):
                raise ValueError(
                    f"RecurrentStack: `initial_state` must hold tensors [batch, {self.units}]. "
                    f"Received: initial_state[{index}].shape={tuple(state.shape)}, batch={batch}"
                )
        flat = [ops.cast(state, self.compute_dtype) for state in flat]
        return [flat[start : start + count] for start in range(0, len(flat), count)]

    def step(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """One step without dropout, for decoding: `[batch, features]` and states -> the same.

        It equals `call` on a sequence of one step, and is for stacks of one direction.
        """
        if self.bidirectional:
            raise ValueError(
                "RecurrentStack: `step` needs a stack of one direction. Received: "
                "bidirectional=True"
            )
        # of one step there is no mask: Keras would warn that a cell drops it
        outputs = ops.reshape(inputs, ops.shape(inputs))
        final: list[Any] = []
        for layer, old in enumerate(self._split_states(keras.tree.flatten(states))):
            written, new = self.cells[layer](outputs, old, training=False)
            outputs = written + outputs if self.residual and layer > 0 else written
            final.extend(new)
        return outputs, final

    def compute_output_shape(self, inputs_shape: Any, initial_state_shape: Any = None) -> Any:
        steps = inputs_shape[1:2] if self.return_sequences else ()
        outputs = (inputs_shape[0], *steps, self.output_size)
        if not self.return_state:
            return outputs
        count = len(self.cells) * self.states_per_cell
        return outputs, [(inputs_shape[0], self.units)] * count

    def get_config(self) -> dict[str, Any]:
        cell = self._prototype()
        return {
            **super().get_config(),
            "units": self.units,
            "num_layers": self.num_layers,
            "cell": keras.saving.serialize_keras_object(cell) if self.custom_cell else cell,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
            "residual": self.residual,
            "recurrent_dropout": self.recurrent_dropout,
            "weight_drop": self.weight_drop,
            "zoneout": self.zoneout,
            "layer_norm": self.layer_norm,
            "coupled_gates": self.coupled_gates,
            "reset_after": self.reset_after,
            "kernel": self.kernel,
            "use_cudnn": self.use_cudnn,
            "xla": self.xla,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "activation": keras.activations.serialize(self.activation),
            "recurrent_activation": keras.activations.serialize(self.recurrent_activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": keras.regularizers.serialize(self.recurrent_regularizer),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RecurrentStack":
        if isinstance(config.get("cell"), dict):
            cell = keras.saving.deserialize_keras_object(config["cell"])
            config = {**config, "cell": cell}
        return cls(**config)


def _made(setting: str, value: Any) -> Any:
    """A default as the stack keeps it."""
    return keras.activations.get(value) if setting.endswith("activation") else value
