"""What an export is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Serving:
    """A module that takes raw strings, ready to be saved.

    Attributes:
        module: a ``tf.Module`` that tracks every variable and table.
        signatures: the served functions by name; each is a ``tf.function`` with an input
            signature and a dict of outputs.
        reference: what ``serving_default`` must give for some texts, computed in Python and Keras.
        samples: held-out texts to verify with.
    """

    module: Any
    signatures: Mapping[str, Any]
    reference: Callable[[list[str]], dict[str, Any]]
    samples: list[str]
