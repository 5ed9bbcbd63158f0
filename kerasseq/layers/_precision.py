"""Sums and softmaxes are computed in float32, and in float64 where that is what comes in."""

from typing import Any

import keras
from keras import ops


def wide_dtype(dtype: Any) -> str:
    """`"float64"` for float64, else `"float32"`."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def widen(values: Any) -> Any:
    """The values in float32, or in float64 where they have it."""
    return ops.cast(values, wide_dtype(values.dtype))
