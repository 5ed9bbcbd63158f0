"""Base of the layers for sequences: masks, and the checks of what a call is given."""

import inspect
from typing import Any, ClassVar

import keras

from kerasseq import compat
from kerasseq.layers._checks import is_float
from kerasseq.layers._precision import wide_dtype

# Arguments that may be a list of tensors.
_LISTS = ("initial_state", "encoder_states", "states")


class SequenceLayer(keras.layers.Layer):
    """A layer that reads masks as Keras' own layers do, and passes them on.

    Where no `mask` is given, it is the one that a layer before has attached to the first argument
    (`Embedding(mask_zero=True)` does); one that is given wins. Either is attached to the output; a
    layer whose output has other steps, which it makes itself, says so in `compute_mask`.

    Attributes:
        output_has_steps: whether the output has those of the first argument.
        mask_sources: mask argument -> argument whose mask it is, where that is not the first.
    """

    output_has_steps: bool = True
    mask_sources: ClassVar[dict[str, str]] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self._argument_names = tuple(inspect.signature(self.call).parameters)

    @property
    def wide_dtype(self) -> str:
        """What sums and softmaxes are computed in: float32, or float64 where the layer is."""
        return wide_dtype(self.compute_dtype)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        names = self._argument_names
        given = dict(zip(names, args, strict=False))
        for name, value in (given | kwargs).items():
            self._check_argument(name, value)
        # All but the first by their names, for only then Keras passes a mask on.
        kwargs = dict(list(given.items())[1:]) | kwargs
        for name in names:
            if name.endswith("mask") and kwargs.get(name) is None:
                source = self.mask_sources.get(name, names[0])
                mask = compat.implicit_mask((given | kwargs).get(source))
                if mask is not None:
                    kwargs[name] = mask
        return super().__call__(*args[:1], **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask if self.output_has_steps else None

    def _check_argument(self, name: str, value: Any) -> None:
        """Raise a `ValueError` for what Keras would take apart, or fail on far from here."""
        layer = type(self).__name__
        if name.endswith("mask") and _is_no_mask(value):
            raise ValueError(
                f"{layer}: `{name}` must be a tensor of truth values (or whole numbers). Received: "
                f"{_described(value)}. An initial state is given by its name."
            )
        if isinstance(value, list | tuple) and name not in _LISTS:
            raise ValueError(
                f"{layer}: `{name}` must be a tensor or an array; Keras takes a list for several "
                f"inputs. Received: a {type(value).__name__} of {len(value)}. "
                f"np.array({name}) makes one of it."
            )
        if type(value).__name__.startswith("Ragged") or getattr(value, "ragged", False):
            raise ValueError(
                f"{layer}: `{name}` must be dense; a ragged tensor x is `x.to_tensor()` with "
                "mask=tf.sequence_mask(x.row_lengths())"
            )


def _is_no_mask(value: Any) -> bool:
    """A list, or floats: a state in the place of a mask would be true nearly everywhere."""
    return isinstance(value, list | tuple) or (hasattr(value, "dtype") and is_float(value))


def _described(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{keras.backend.standardize_dtype(value.dtype)} of shape {tuple(value.shape)}"
