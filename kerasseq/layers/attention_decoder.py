"""A recurrent decoder that looks at the encoder's states."""

from typing import Any, ClassVar

import keras
from keras import ops

from kerasseq.layers._checks import (
    check_choice,
    check_mask,
    check_positive,
    check_rank,
    check_rate,
    differ,
)
from kerasseq.layers._decoder_loop import run_in_turn
from kerasseq.layers._decoder_step import Memory, State, advance, computed
from kerasseq.layers._kernel_choice import KernelChoice, check_kernel
from kerasseq.layers._packing import Packing
from kerasseq.layers._sequence_layer import SequenceLayer
from kerasseq.layers._state_bridge import BRIDGES, StateBridge
from kerasseq.layers.additive_attention import AdditiveAttention
from kerasseq.layers.attention_base import AttentionBase, autocast
from kerasseq.layers.bilinear_attention import BilinearAttention
from kerasseq.layers.dot_attention import DotAttention
from kerasseq.layers.recurrent_stack import CELLS, RecurrentStack
from kerasseq.layers.tied_embedding import TiedEmbedding
from kerasseq.layers.uniform_attention import UniformAttention

ATTENTIONS = ("additive", "dot", "scaled_dot", "bilinear", "uniform")


@keras.saving.register_keras_serializable(package="kerasseq")
class AttentionDecoder(SequenceLayer):
    """Predicts each target token from those before it and a context of the source.

    With `attend="after"` ([Luong et al., 2015](https://arxiv.org/abs/1508.04025)):
    `h_t = rnn([E y_{t-1}; o_{t-1}], h_{t-1})`, `c_t = attention(h_t, source)`,
    `o_t = tanh([h_t; c_t] W + b)`, `p(y_t) = softmax(o_t)` by the embedding; feeding `o_{t-1}`
    back is `input_feeding`. With `attend="before"`
    ([Bahdanau et al., 2015](https://arxiv.org/abs/1409.0473)) `c_t = attention(h_{t-1}, source)`
    comes first and is an input of the recurrent step too.

    For decoding, a step is a pure function; nothing is kept on the layer:

    ```python
    memory = decoder.precompute(encoder_outputs, encoder_mask)
    state = decoder.initial_state(memory, encoder_states)
    logits, state, attention = decoder.step(tokens, state, memory)
    ```

    Args:
        embedding: a `TiedEmbedding` of the target tokens, which also scores them. Its
            `hidden_dim` (or `embedding_dim`) must be `units`. Shared with the encoder it is
            three-way tying (which `keras.models.clone_model` undoes).
        units: width of the states and of `o`.
        num_layers: number of recurrent layers.
        cell: `"lstm"`, `"gru"` or `"simple_rnn"`.
        attention: `"additive"`, `"dot"`, `"scaled_dot"`, `"bilinear"` or `"uniform"`, or an
            attention layer.
        attend: `"after"` or `"before"` the recurrent step.
        input_feeding: whether the step reads `o_{t-1}`. Without it (and with `attend="after"`) a
            whole sequence needs no loop around the attention.
        bridge: the initial state from the encoder's final states. `"dense"`: tanh layers, layer l
            reading the l-th of `num_layers` equal groups of them (all, if they cannot be grouped
            so); `"copy"`: as they are; `"zeros"`: not at all.
        dropout: rate of dropout on the embeddings, between the layers and on `o` (not on the `o`
            that is fed back).
        kernel, use_cudnn, xla: of the recurrent layers, see `RecurrentStack`. No kernel runs them
            where each step needs the output of the one before (`kernel_plan()` says so): then a
            kernel that is given by its name is not read.
        seed: seed of the dropout.

    Call arguments:
        tokens: int `[batch, time]`, the targets shifted right (begin-of-sequence first).
        encoder_outputs: `[batch, source time, features]`.
        encoder_mask: bool `[batch, source time]`; `None`: all valid.
        encoder_states: flat list of `[batch, features]`, as `RecurrentStack` returns it; not
            needed (and not read) with `bridge="zeros"`.
        mask: bool `[batch, time]` of the targets; `None`: all valid.
        return_hidden: whether to return `o` instead of logits (for `ChunkedCrossEntropy`,
            `AdaptiveSoftmax`, `SampledSoftmax`).
        return_attention: whether to return the attention weights as well.
        sampling_rate: scheduled sampling
            ([Bengio et al., 2015](https://arxiv.org/abs/1506.03099)), in training only: the chance,
            a scalar, that a step reads the likeliest token of the step before in place of the
            target; `None` never (which is much faster).
        training: whether to drop.

    Output shape: float32 logits `[batch, time, vocabulary]`, or `o` `[batch, time, units]`; with
    `return_attention` also `[batch, time, source time]`.

    Masking: padded source steps get weight 0. Outputs never depend on later targets; at padded
    targets `o` and the attention are 0, so that logits there are the bias.

    Example:

    >>> import numpy as np
    >>> decoder = AttentionDecoder(TiedEmbedding(7, 4), units=4, bridge="zeros")
    >>> source, targets = np.ones((2, 3, 5), "float32"), np.ones((2, 6), "int32")
    >>> tuple(decoder(targets, source).shape)
    (2, 6, 7)
    >>> memory = decoder.precompute(source)
    >>> state = decoder.initial_state(memory)
    >>> logits, state, attention = decoder.step(np.array([1, 1]), state, memory)
    >>> tuple(logits.shape), tuple(attention.shape)
    ((2, 7), (2, 3))
    """

    mask_sources: ClassVar[dict[str, str]] = {"encoder_mask": "encoder_outputs"}

    def __init__(
        self,
        embedding: TiedEmbedding,
        units: int,
        num_layers: int = 1,
        cell: str = "lstm",
        attention: Any = "additive",
        attend: str = "after",
        input_feeding: bool = True,
        bridge: str = "dense",
        dropout: float = 0.0,
        use_cudnn: Any = "auto",
        seed: int | None = None,
        kernel: str = "auto",
        xla: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = "AttentionDecoder"
        _check_embedding(embedding, units)
        check_positive(name, "num_layers", num_layers)
        check_choice(name, "cell", cell, tuple(CELLS))
        if not isinstance(attention, AttentionBase):
            check_choice(name, "attention", attention, ATTENTIONS)
        check_choice(name, "attend", attend, ("after", "before"))
        check_choice(name, "bridge", bridge, BRIDGES)
        check_rate(name, "dropout", dropout)
        check_kernel(name, kernel, use_cudnn, xla)
        self.embedding = embedding
        self.units = units
        self.num_layers = num_layers
        self.cell = cell
        self.attention_name = attention if isinstance(attention, str) else None
        self.attend = attend
        self.input_feeding = input_feeding
        self.dropout = dropout
        self.use_cudnn = use_cudnn
        self.seed = seed
        self.kernel = kernel
        self.xla = xla
        coverage = isinstance(attention, AttentionBase) and attention.coverage
        self._in_turn = _why_in_turn(input_feeding, attend, coverage)
        policy = self.dtype_policy
        self.recurrent = self._make_recurrent()
        self.attention = self._make_attention(attention)
        self.embedding_dropout = keras.layers.Dropout(dropout, seed=seed, dtype=policy)
        self.output_dropout = keras.layers.Dropout(
            dropout, seed=None if seed is None else seed + 1, dtype=policy
        )
        self.seed_generator = keras.random.SeedGenerator(None if seed is None else seed + 2)
        self.combine = UnquantizedDense(units, activation="tanh", dtype=policy)
        self.bridge = StateBridge(
            bridge, units, num_layers, self.recurrent.states_per_cell, name, dtype=policy
        )

    def _make_recurrent(self) -> RecurrentStack:
        return RecurrentStack(
            self.units,
            num_layers=self.num_layers,
            cell=self.cell,
            dropout=self.dropout,
            # In turn no kernel runs: one that cannot run here is no error then.
            kernel="auto" if self._in_turn else self.kernel,
            use_cudnn=self.use_cudnn,
            xla=self.xla,
            return_state=True,
            seed=self.seed,
            dtype=self.dtype_policy,
        )

    def _make_attention(self, attention: Any) -> Any:
        policy = self.dtype_policy
        if isinstance(attention, AttentionBase):
            return attention
        if attention == "additive":
            return AdditiveAttention(self.units, dtype=policy)
        if attention == "bilinear":
            return BilinearAttention(dtype=policy)
        if attention == "uniform":
            return UniformAttention(dtype=policy)
        return DotAttention(scaled=attention == "scaled_dot", dtype=policy)

    def build(
        self, tokens_shape: Any, encoder_outputs_shape: Any, encoder_states_shape: Any = None
    ) -> None:
        name = "AttentionDecoder"
        check_rank(name, "encoder_outputs", encoder_outputs_shape, "batch, source time, features")
        features = encoder_outputs_shape[-1]
        if not self.embedding.built:
            self.embedding.build()
        if not self.attention.built:
            self.attention.build((None, None, self.units), (None, None, features))
        width = self.embedding.embedding_dim
        width += self.units if self.input_feeding else 0
        width += features if self.attend == "before" else 0
        self.recurrent.build((None, None, width))
        self.combine.build((None, self.units + features))
        self.bridge.build(encoder_states_shape)

    def precompute(self, encoder_outputs: Any, encoder_mask: Any = None) -> Memory:
        """What every step reads of the source: `values`, `keys` and, if given, `mask`."""
        values = ops.cast(encoder_outputs, self.compute_dtype)
        if encoder_mask is not None:
            encoder_mask = check_mask(
                "AttentionDecoder", encoder_mask, values, "encoder_mask", "encoder_outputs"
            )
            # A weight of 0 does not make 0 of an infinite or undefined value.
            values = ops.where(encoder_mask[..., None], values, ops.zeros_like(values))
        if not self.attention.built or not self.recurrent.built:
            if self.bridge.kind != "zeros":
                raise ValueError(
                    "AttentionDecoder: call the layer once (or build it) before decoding, since "
                    f"bridge={self.bridge.kind!r} needs the shapes of the encoder's states."
                )
            self.build((None, None), values.shape)
            self.built = True
        memory = {"values": values, "keys": computed(self, self.attention.precompute(values))}
        if encoder_mask is not None:
            memory["mask"] = encoder_mask
        return memory

    def initial_state(self, memory: Memory, encoder_states: Any = None) -> State:
        """The state before the first token: a dict of tensors, all with the batch first.

        `recurrent` (list of `[batch, units]`), `fed` `[batch, units]`, `position` int32
        `[batch]` and, if the attention reads it, `coverage`, float32 `[batch, source time]`.
        """
        zeros = ops.zeros_like(ops.sum(memory["values"][..., :1], axis=1))
        empty = ops.tile(zeros, (1, self.units))
        state = {
            "recurrent": self.bridge(empty, encoder_states),
            "fed": empty,
            "position": ops.cast(zeros[:, 0], "int32"),
        }
        if self.attention.coverage:
            state["coverage"] = ops.zeros_like(memory["values"][..., 0], dtype=self.wide_dtype)
        return state

    def step(self, tokens: Any, state: State, memory: Memory) -> tuple[Any, State, Any]:
        """One token: logits `[batch, vocabulary]`, the next state, weights `[batch, source]`.

        It is a step as `kerasseq.decoding` takes it.

        Args:
            tokens: int `[batch]`, the tokens before those to be predicted.
            state: from `initial_state` or an earlier step; it is not changed.
            memory: from `precompute`.
        """
        tokens = ops.convert_to_tensor(tokens)
        check_rank("AttentionDecoder", "tokens", tokens.shape, "batch")
        with autocast(self):
            embedded = computed(self, self.embedding.embed(tokens))
            cell = self.recurrent.cells[0]

            def project(inputs: list[Any]) -> Any:
                return computed(self, cell.project(ops.concatenate([embedded, *inputs], axis=-1)))

            state, weights = advance(self, state, project, memory)
        return self.embedding.project(state["fed"]), state, weights

    def call(
        self,
        tokens: Any,
        encoder_outputs: Any,
        encoder_mask: Any = None,
        encoder_states: Any = None,
        mask: Any = None,
        return_hidden: bool = False,
        return_attention: bool = False,
        sampling_rate: Any = None,
        training: bool | None = None,
    ) -> Any:
        name = "AttentionDecoder"
        check_rank(name, "tokens", tokens.shape, "batch, time")
        if differ(tokens.shape[:1], encoder_outputs.shape[:1]):
            raise ValueError(
                f"{name}: `tokens` and `encoder_outputs` must have the same batch. Received: "
                f"tokens.shape={tuple(tokens.shape)}, "
                f"encoder_outputs.shape={tuple(encoder_outputs.shape)}"
            )
        memory = self.precompute(encoder_outputs, encoder_mask)
        state = self.initial_state(memory, encoder_states)
        if mask is not None:
            packing = Packing(check_mask("AttentionDecoder", mask, tokens, inputs_name="tokens"))
            tokens, mask = packing.pack(tokens), packing.mask
        if not training:
            sampling_rate = None
        if self._in_turn or sampling_rate is not None:
            hidden, weights = run_in_turn(self, tokens, state, memory, training, sampling_rate)
        else:
            hidden, weights = self._run_at_once(tokens, state, memory, mask, training)
        if mask is not None:
            hidden = ops.where(mask[..., None], hidden, ops.zeros_like(hidden))
            weights = ops.where(mask[..., None], weights, ops.zeros_like(weights))
            hidden, weights = packing.unpack(hidden), packing.unpack(weights)
        hidden = self.output_dropout(hidden, training=training)
        outputs = hidden if return_hidden else self.embedding.project(hidden)
        return (outputs, weights) if return_attention else outputs

    def _run_at_once(
        self, tokens: Any, state: State, memory: Memory, mask: Any, training: bool | None
    ) -> tuple[Any, Any]:
        embedded = self.embedding_dropout(self.embedding.embed(tokens), training=training)
        outputs, _ = self.recurrent(
            embedded, mask=mask, initial_state=state["recurrent"], training=training
        )
        context, weights = self.attention.attend(
            outputs, memory["keys"], memory["values"], memory.get("mask")
        )
        return self.combine(ops.concatenate([outputs, context], axis=-1)), weights

    def kernel_plan(self) -> KernelChoice:
        """How it is run over a sequence, and why, as of a :class:`RecurrentStack`."""
        if self._in_turn:
            return KernelChoice("loop", self._in_turn)
        return self.recurrent.kernel_plan()

    def get_config(self) -> dict[str, Any]:
        attention: Any = self.attention_name
        if attention is None:
            attention = keras.saving.serialize_keras_object(self.attention)
        return {
            **super().get_config(),
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "units": self.units,
            "num_layers": self.num_layers,
            "cell": self.cell,
            "attention": attention,
            "attend": self.attend,
            "input_feeding": self.input_feeding,
            "bridge": self.bridge.kind,
            "dropout": self.dropout,
            "use_cudnn": self.use_cudnn,
            "seed": self.seed,
            "kernel": self.kernel,
            "xla": self.xla,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AttentionDecoder":
        config = dict(config)
        for name in ("embedding", "attention"):
            if isinstance(config[name], dict):
                config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


class UnquantizedDense(keras.layers.Dense):
    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Keras warns with the message, and goes on: a step reads the kernel itself."""
        raise NotImplementedError("AttentionDecoder: `o` is not quantized and stays as it is.")


def _check_embedding(embedding: Any, units: Any) -> None:
    """Raise a `ValueError` unless the embedding can score states of so many features."""
    if not isinstance(embedding, TiedEmbedding):
        raise ValueError(
            f"AttentionDecoder: `embedding` must be a TiedEmbedding. Received: {embedding!r}"
        )
    check_positive("AttentionDecoder", "units", units)
    width = embedding.hidden_dim or embedding.embedding_dim
    if width != units:
        raise ValueError(
            "AttentionDecoder: `embedding` must project states of `units` features: give it "
            f"hidden_dim={units}. Received: units={units}, embedding projects {width}"
        )


def _why_in_turn(input_feeding: bool, attend: str, coverage: bool) -> str:
    """Why a step needs the one before, beside the recurrent state; empty if it does not."""
    if input_feeding:
        return "input feeding: each step reads the output before"
    if attend == "before":
        return "each step attends by the state before"
    return "each step knows what was attended to before" if coverage else ""
