"""Word vectors from the characters of the words."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import (
    check_choice,
    check_positive,
    check_rank,
    check_rate,
    differ,
    whole_numbers,
)
from kerasseq.layers._kernel_choice import check_kernel
from kerasseq.layers._masked import masked_max
from kerasseq.layers._packing import Packing
from kerasseq.layers._sequence_layer import SequenceLayer
from kerasseq.layers.recurrent_stack import RecurrentStack


@keras.saving.register_keras_serializable(package="kerasseq")
class CharacterEncoder(SequenceLayer):
    """A vector for every word, read from its characters by a CNN or a BiLSTM.

    `"cnn"`: `y = [max_i tanh(conv_w(e_1 .. e_n))_i for w in widths]`, filters of several widths,
    the maximum over the word ([Kim et al., 2016](https://arxiv.org/abs/1508.06615);
    [Ma & Hovy, 2016](https://arxiv.org/abs/1603.01354)). `"bilstm"`: the last state of either
    direction ([Ling et al., 2015](https://arxiv.org/abs/1508.02096);
    [Lample et al., 2016](https://arxiv.org/abs/1603.01360)).

    Args:
        vocabulary_size: number of character ids.
        units: features of a word vector; for `"cnn"` shared out over the widths, for `"bilstm"`
            over the directions.
        method: `"cnn"` or `"bilstm"`.
        embedding_dim: features of a character.
        widths: for `"cnn"`, the filters' widths in characters.
        dropout: rate of dropout on the characters' embeddings.
        seed: seed of the dropout.
        kernel, use_cudnn: for `"bilstm"`, as in `RecurrentStack`.
        xla: for `"bilstm"`, as in `RecurrentStack`; but `"auto"` does not compile, since the number
            of words changes with every batch.

    Call arguments:
        inputs: int `[batch, words, characters]`.
        mask: bool `[batch, words, characters]`, the characters of each word padded on the right,
            a padded word without any True; `None` takes the ids other than 0.
        training: whether to drop.

    Output shape: `[batch, words, units]`.

    Masking: padded characters have no influence; padded words are 0.

    Example:

    >>> import numpy as np
    >>> encoder = CharacterEncoder(30, units=9, widths=(2, 3, 4))
    >>> words = encoder(np.array([[[5, 7, 0], [3, 0, 0], [0, 0, 0]]]))
    >>> tuple(words.shape), bool((np.asarray(words)[0, 2] == 0).all())
    ((1, 3, 9), True)
    """

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        method: str = "cnn",
        embedding_dim: int = 32,
        widths: Sequence[int] = (2, 3, 4),
        dropout: float = 0.0,
        seed: int | None = None,
        use_cudnn: Any = "auto",
        kernel: str = "auto",
        xla: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = "CharacterEncoder"
        check_positive(name, "vocabulary_size", vocabulary_size)
        check_positive(name, "units", units)
        check_positive(name, "embedding_dim", embedding_dim)
        check_choice(name, "method", method, ("cnn", "bilstm"))
        check_rate(name, "dropout", dropout)
        check_kernel(name, kernel, use_cudnn, xla)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.method = method
        self.embedding_dim = embedding_dim
        self.widths = whole_numbers(name, "widths", widths)
        for width in self.widths:
            check_positive(name, "widths", width)
        self.dropout = dropout
        self.seed = seed
        self.use_cudnn = use_cudnn
        self.kernel = kernel
        self.xla = xla
        parts = len(self.widths) if method == "cnn" else 2
        if parts == 0 or units % parts:
            raise ValueError(
                f"{name}: `units` must be a multiple of the number of "
                f"{'widths' if method == 'cnn' else 'directions'}. Received: units={units}, "
                f"parts={parts}"
            )
        policy = self.dtype_policy
        self.embedding = keras.layers.Embedding(vocabulary_size, embedding_dim, dtype=policy)
        self.drop = keras.layers.Dropout(dropout, seed=seed, dtype=policy)
        self.convolutions = self._make_convolutions(units // parts) if method == "cnn" else []
        self.recurrent = None if method == "cnn" else self._make_recurrent(units // parts)

    def _make_convolutions(self, units: int) -> list[Any]:
        return [
            keras.layers.Conv1D(
                units, width, padding="same", name=f"width_{width}", dtype=self.dtype_policy
            )
            for width in self.widths
        ]

    def _make_recurrent(self, units: int) -> RecurrentStack:
        return RecurrentStack(
            units,
            bidirectional=True,
            return_state=True,
            kernel=self.kernel,
            use_cudnn=self.use_cudnn,
            # XLA compiles for each number of words, which changes with every batch.
            xla=self.xla is True,
            dtype=self.dtype_policy,
        )

    def build(self, inputs_shape: Any) -> None:
        check_rank("CharacterEncoder", "inputs", inputs_shape, "batch, words, characters")
        self.embedding.build((None, None))
        for convolution in self.convolutions:
            convolution.build((None, None, self.embedding_dim))
        if self.recurrent is not None:
            self.recurrent.build((None, None, self.embedding_dim))
        self.built = True

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        check_rank("CharacterEncoder", "inputs", inputs.shape, "batch, words, characters")
        if mask is None:
            mask = ops.not_equal(inputs, 0)
        check_rank("CharacterEncoder", "mask", mask.shape, "batch, words, characters")
        if differ(mask.shape, inputs.shape):
            raise ValueError(
                "CharacterEncoder: `mask` must have the shape of `inputs`. Received: "
                f"mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)}"
            )
        shape = ops.shape(inputs)
        words = inputs.shape[:2]  # their number is kept where it is known: LiteRT needs it
        rows = -1 if None in words else words[0] * words[1]
        ids = ops.reshape(inputs, (rows, shape[2]))
        valid = ops.reshape(ops.cast(mask, "bool"), (rows, shape[2]))
        if not isinstance(rows, int) or rows < 1:  # TensorFlow's convolutions want a word
            missing = [[0, ops.maximum(1 - ops.shape(ids)[0], 0)], [0, 0]]
            ids, valid = ops.pad(ids, missing), ops.pad(valid, missing)
        packing = Packing(valid)
        ids, valid = packing.pack(ids), packing.mask
        embedded = self.drop(self.embedding(ids), training=training)
        # Zeros at padding: what a convolution would read beyond the end of the word anyway.
        embedded = ops.where(valid[..., None], embedded, ops.zeros_like(embedded))
        words = self._read(embedded, valid, training)
        filled = ops.any(valid, axis=-1, keepdims=True)
        words = ops.where(filled, words, ops.zeros_like(words))
        return ops.reshape(words[: shape[0] * shape[1]], (shape[0], shape[1], self.units))

    def _read(self, embedded: Any, valid: Any, training: bool | None) -> Any:
        """Word vectors `[rows, units]` of embedded characters `[rows, characters, ...]`."""
        if self.recurrent is not None:
            # cuDNN takes no row without a valid step: a padded word has one, and is zeroed after.
            valid = ops.concatenate([ops.ones_like(valid[:, :1]), valid[:, 1:]], axis=1)
            _, states = self.recurrent(embedded, mask=valid, training=training)
            return ops.concatenate([states[0], states[2]], axis=-1)
        found = [ops.tanh(convolution(embedded)) for convolution in self.convolutions]
        stacked = ops.concatenate(found, axis=-1)
        # tanh is never below -1.
        stacked = ops.where(valid[..., None], stacked, -ops.ones_like(stacked))
        return masked_max(stacked, None, axis=1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None if previous_mask is None else ops.any(previous_mask, axis=-1)

    def compute_output_shape(self, inputs_shape: Any) -> Any:
        return (*inputs_shape[:2], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "method": self.method,
            "embedding_dim": self.embedding_dim,
            "widths": self.widths,
            "dropout": self.dropout,
            "seed": self.seed,
            "use_cudnn": self.use_cudnn,
            "kernel": self.kernel,
            "xla": self.xla,
        }
