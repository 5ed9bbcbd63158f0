"""Argument checks that the layers share: every error names what came and what was expected."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def check_choice(layer: str, name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise a `ValueError` unless `value` is one of `allowed`."""
    # Python has 1 == True, and a setting that is a truth value must not be given as a number.
    if not any(value == c and isinstance(value, bool) == isinstance(c, bool) for c in allowed):
        names = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{layer}: `{name}` must be one of {names}. Received: {name}={value!r}")


def check_positive(layer: str, name: str, value: Any) -> None:
    """Raise a `ValueError` unless `value` is a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value <= 0:
        raise ValueError(
            f"{layer}: `{name}` must be a positive whole number. Received: {name}={value!r}"
        )


def check_whole(layer: str, name: str, value: Any) -> None:
    """Raise a `ValueError` unless `value` is a whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(
            f"{layer}: `{name}` must be a whole number, 0 or more. Received: {name}={value!r}"
        )


def whole_numbers(layer: str, name: str, values: Any) -> list[int]:
    """`values` as a list, or a `ValueError` unless they are whole numbers."""
    listed = isinstance(values, Iterable) and not isinstance(values, str)
    found: list[Any] = list(values) if listed else [values]
    if not listed or any(isinstance(v, bool) or not isinstance(v, int | np.integer) for v in found):
        raise ValueError(
            f"{layer}: `{name}` must be a list of whole numbers. Received: {name}={values!r}"
        )
    return [int(v) for v in found]


def check_rate(layer: str, name: str, value: Any) -> None:
    """Raise a `ValueError` unless `0 <= value < 1`."""
    if not isinstance(value, int | float | np.integer | np.floating) or not 0 <= value < 1:
        raise ValueError(
            f"{layer}: `{name}` must be a number in [0, 1). Received: {name}={value!r}"
        )


def check_rank(layer: str, name: str, shape: Sequence[int | None], axes: str) -> None:
    """Raise a `ValueError` unless `shape` has as many axes as `axes` names, e.g. "batch, time"."""
    if len(shape) != len(axes.split(",")):
        raise ValueError(
            f"{layer}: `{name}` must have shape [{axes}]. Received: {name}.shape={tuple(shape)}"
        )


def is_float(tensor: Any) -> bool:
    """Whether a tensor holds floating-point numbers."""
    return "float" in keras.backend.standardize_dtype(tensor.dtype)


def differ(shape: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Whether two shapes of one rank differ in an axis that both know."""
    pairs = zip(shape, other, strict=True)
    return any(a is not None and b is not None and a != b for a, b in pairs)


def check_features(layer: str, name: str, shape: Sequence[int | None], wanted: int) -> None:
    """Raise a `ValueError` unless the last axis is what the layer was built for."""
    if shape[-1] is not None and shape[-1] != wanted:
        raise ValueError(
            f"{layer}: `{name}` must have {wanted} features, as when the layer was built. "
            f"Received: {name}.shape={tuple(shape)}"
        )


def check_mask(
    layer: str, mask: Any, inputs: Any, name: str = "mask", inputs_name: str = "inputs"
) -> Any:
    """The mask as a bool tensor `[batch, time]`, checked against `inputs` `[batch, time, ...]`;
    without one, all steps are valid.

    `name` and `inputs_name` are what the layer calls the two.
    """
    if mask is None:
        return ops.ones_like(inputs[..., 0] if len(inputs.shape) > 2 else inputs, dtype="bool")
    check_rank(layer, name, mask.shape, "batch, time")
    if differ(mask.shape, inputs.shape[:2]):
        raise ValueError(
            f"{layer}: `{name}` must have the batch and time of `{inputs_name}`. Received: "
            f"{name}.shape={tuple(mask.shape)}, {inputs_name}.shape={tuple(inputs.shape)}"
        )
    if keras.backend.standardize_dtype(mask.dtype) != "bool":
        mask = ops.cast(mask, "bool")
    return mask


def known(tensor: Any) -> np.ndarray | None:
    """The values of a tensor that has any yet; `None` while a graph is being traced."""
    if keras.utils.is_keras_tensor(tensor):
        return None
    try:
        return np.asarray(ops.convert_to_numpy(tensor))
    except Exception:  # every backend has its own error for a tensor without values
        return None
