"""Base of the output losses that score with the matrix of a `TiedEmbedding`."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import check_mask, differ
from kerasseq.layers._sequence_layer import SequenceLayer
from kerasseq.layers.tied_embedding import TiedEmbedding


class TiedOutputLoss(SequenceLayer):
    """States and targets in, each token's loss out; the shared part: weights, mask, config."""

    def __init__(self, embedding: TiedEmbedding, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        if not isinstance(embedding, TiedEmbedding):
            raise ValueError(
                f"{type(self).__name__}: `embedding` must be a TiedEmbedding. "
                f"Received: {embedding!r}"
            )
        self.embedding = embedding

    def build(self, hidden_shape: Any, targets_shape: Any = None) -> None:
        if not self.embedding.built:
            self.embedding.build()

    @property
    def product_dtype(self) -> str:
        """What large products are taken in: bfloat16 has the range of float32, float16 has not."""
        return "bfloat16" if self.compute_dtype == "bfloat16" else self.embedding.wide_dtype

    def _weights(self) -> tuple[Any, Any]:
        """Matrix [rows, E] and bias [rows], zeros if there is none."""
        kernel, bias = self.embedding.output_weights()
        return kernel, ops.zeros_like(kernel[:, 0]) if bias is None else bias

    def total(self, hidden: Any, targets: Any, weights: Any) -> Any:
        """`sum_i w_i nll_i` in training, a float32 scalar: what a training step needs.

        Args:
            hidden: states `[..., hidden_dim]`.
            targets: int `[...]`, the ids to predict.
            weights: float32 `[...]`, which have no gradient; 0 at padding.
        """
        return ops.sum(weights * self(hidden, targets, training=True))

    def compute_output_spec(
        self, hidden: Any, targets: Any, mask: Any = None, training: Any = None
    ) -> Any:
        # Tracing would do, were it not that jax's symbolic sizes know no chunks.
        self._check_shapes(hidden, targets)
        return keras.KerasTensor(targets.shape, dtype=self.embedding.wide_dtype)

    def _check_shapes(self, hidden: Any, targets: Any) -> None:
        if len(targets.shape) != len(hidden.shape) - 1 or differ(targets.shape, hidden.shape[:-1]):
            raise ValueError(
                f"{type(self).__name__}: `targets` must have the shape of `hidden` without its "
                f"last axis. Received: hidden.shape={tuple(hidden.shape)}, "
                f"targets.shape={tuple(targets.shape)}"
            )

    def _flatten(self, hidden: Any, targets: Any) -> tuple[Any, Any]:
        """States [N, E] after the projection, and int32 targets [N]."""
        self._check_shapes(hidden, targets)
        states = self.embedding.project_hidden(hidden)
        return (
            ops.reshape(states, (-1, self.embedding.embedding_dim)),
            ops.reshape(ops.cast(targets, "int32"), (-1,)),
        )

    def _unflatten(self, nll: Any, targets: Any, mask: Any) -> Any:
        nll = ops.reshape(nll, ops.shape(targets))
        if mask is None:
            return nll
        if len(targets.shape) == 2:
            mask = check_mask(type(self).__name__, mask, targets, inputs_name="targets")
        return ops.where(ops.cast(mask, "bool"), nll, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "embedding": keras.saving.serialize_keras_object(self.embedding),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        config["embedding"] = keras.saving.deserialize_keras_object(config["embedding"])
        return cls(**config)
