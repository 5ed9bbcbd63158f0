"""Dropout of whole words."""

from typing import Any

import keras
from keras import ops

from kerasseq import compat
from kerasseq.layers._checks import (
    check_choice,
    check_positive,
    check_rank,
    check_rate,
    check_whole,
)
from kerasseq.layers._sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="kerasseq")
class WordDropout(SequenceLayer):
    """Embedding dropout: whole words are dropped, by type or by token.

    - `by="token"`: every position is dropped on its own
      ([Iyyer et al., 2015](https://aclanthology.org/P15-1162/)).
    - `by="type"`: a word of the vocabulary is dropped wherever it stands in the batch, which is
      what dropping rows of the embedding matrix means
      ([Gal & Ghahramani, 2016](https://arxiv.org/abs/1512.05287), section 4.2; `embedded_dropout`
      of [AWD-LSTM](https://arxiv.org/abs/1708.02182)).

    It is called in one of two ways:

    - `WordDropout(...)(ids)` gives ids, dropped words being replaced by `unk_id`: put it before
      an embedding, and the unknown word gets trained.
    - `WordDropout(...)(ids, vectors)` gives vectors, dropped words being zero and the others
      divided by `1 - rate`: put it after an embedding. This is the published form.

    Special ids (padding, unknown, begin, end: those below `num_special`) are never dropped.

    Args:
        rate: probability that a word is dropped, in [0, 1).
        by: `"token"` or `"type"`.
        vocabulary_size: number of ids; needed by `by="type"`.
        unk_id: what replaces a dropped id.
        num_special: ids below this are left alone.
        seed: seed of the layer's own random numbers.

    Call arguments:
        ids: integers `[batch, time]`.
        vectors: the embedded ids `[batch, time, features]`, or `None`.
        training: whether to drop.

    Output shape: that of `ids`, or of `vectors` where these are given.

    Masking: padding is a special id, and is never dropped.

    Example:

    >>> import numpy as np
    >>> ids = np.array([[2, 7, 8, 7, 3, 0]])
    >>> drop = WordDropout(0.5, by="type", vocabulary_size=10, seed=3)
    >>> np.asarray(drop(ids, training=False)).tolist()
    [[2, 7, 8, 7, 3, 0]]
    >>> dropped = np.asarray(drop(ids, training=True))[0]
    >>> bool(dropped[1] == dropped[3]), dropped[[0, 4, 5]].tolist()
    (True, [2, 3, 0])
    """

    def __init__(
        self,
        rate: float,
        by: str = "token",
        vocabulary_size: int | None = None,
        unk_id: int = 1,
        num_special: int = 4,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Autocast would round ids that arrive as floats to half precision.
        super().__init__(autocast=False, **kwargs)
        check_rate("WordDropout", "rate", rate)
        check_whole("WordDropout", "unk_id", unk_id)
        check_whole("WordDropout", "num_special", num_special)
        check_choice("WordDropout", "by", by, ("token", "type"))
        if by == "type":
            check_positive("WordDropout", "vocabulary_size", vocabulary_size)
        self.rate = rate
        self.by = by
        self.vocabulary_size = vocabulary_size
        self.unk_id = unk_id
        self.num_special = num_special
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def __call__(self, ids: Any, vectors: Any = None, **kwargs: Any) -> Any:
        outputs = super().__call__(ids, vectors, **kwargs)
        mask = compat.implicit_mask(vectors)
        if mask is not None:
            compat.attach_mask(outputs, mask)
        return outputs

    def call(self, ids: Any, vectors: Any = None, training: bool | None = None) -> Any:
        check_rank("WordDropout", "ids", ids.shape, "batch, time")
        if vectors is not None:
            check_rank("WordDropout", "vectors", vectors.shape, "batch, time, features")
            vectors = ops.cast(vectors, self.compute_dtype)
        if not training or self.rate == 0:
            return ids if vectors is None else vectors
        drop = self._drop(ids)
        if vectors is None:
            return ops.where(drop, ops.cast(self.unk_id, ids.dtype), ids)
        special = ids < self.num_special
        scale = ops.where(drop, 0.0, ops.where(special, 1.0, 1.0 / (1.0 - self.rate)))
        return vectors * ops.cast(scale, vectors.dtype)[..., None]

    def _drop(self, ids: Any) -> Any:
        """Which positions are dropped: bool `[batch, time]`."""
        if self.by == "type":
            draws = keras.random.uniform((self.vocabulary_size,), seed=self.seed_generator)
            draws = ops.take(draws, ops.cast(ids, "int32"), axis=0)
        else:
            draws = keras.random.uniform(ops.shape(ids), seed=self.seed_generator)
        return ops.logical_and(draws < self.rate, ids >= self.num_special)

    def compute_output_shape(self, ids_shape: Any, vectors_shape: Any = None) -> Any:
        return ids_shape if vectors_shape is None else vectors_shape

    def compute_output_spec(
        self, ids: Any, vectors: Any = None, training: bool | None = None
    ) -> keras.KerasTensor:
        if vectors is None:
            return keras.KerasTensor(ids.shape, dtype=ids.dtype)
        return keras.KerasTensor(vectors.shape, dtype=self.compute_dtype)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """It has no weights."""

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "by": self.by,
            "vocabulary_size": self.vocabulary_size,
            "unk_id": self.unk_id,
            "num_special": self.num_special,
            "seed": self.seed,
        }
