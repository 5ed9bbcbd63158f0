"""What an export is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EDGE_CASES = (
    "",
    " \n\t",
    "<br />",
    "👍🏽❤️ 🎬🎬🎬 :-)",
    "이 영화는 정말 재미있었다",
    "Ceci n'est pas un tr\u00e8s bon film; un tre\u0300s mauvais.",
    "यह फ़िल्म बहुत अच्छी थी",
    "фильм мне очень понравился",
    "هذا الفيلم رائع",
    "映画は とても良かった",
    "nul \x00 and control \x07 characters",
    "word " * 10_000,
)
"""Texts that an export has to stand."""


@dataclass(frozen=True)
class Signature:
    """A served function, and how it is verified.

    Where a function has an output ``lengths``, its other outputs are padded on the right along
    the second axis, by zeros or empty strings.

    Attributes:
        function: a ``tf.function`` with an input signature of named tensors and a dict of outputs.
        collate: makes the function's inputs, as nested lists, of a list of examples.
        reference: what the function must give for each of some examples, padding cut off,
            computed in Python and Keras.
        samples: examples to verify with.
        unpadded: cuts off what pads one example's outputs to those of its batch, where there is
            no output ``lengths`` that says it.
    """

    function: Any
    collate: Callable[[list], Mapping[str, Any]]
    reference: Callable[[list], list[dict[str, Any]]]
    samples: Sequence[Any]
    unpadded: Callable[[dict[str, Any]], dict[str, Any]] = dict


def collate_texts(texts: list[str]) -> dict[str, list[str]]:
    """The input ``text`` of a function that takes raw strings."""
    return {"text": texts}


def text_signature(
    function: Any, reference: Callable[[list[str]], list[dict[str, Any]]], samples: Sequence[str]
) -> Signature:
    """A signature with the one input ``text``, verified with awkward texts too."""
    return Signature(function, collate_texts, reference, [*EDGE_CASES, *samples])


@dataclass(frozen=True)
class Serving:
    """A module that takes raw strings, ready to be saved.

    Attributes:
        module: a ``tf.Module`` that tracks every variable and table.
        signatures: the served functions by name, ``serving_default`` among them.
        page: what the server's page must know of the model to use it, as JSON values.
    """

    module: Any
    signatures: Mapping[str, Signature]
    page: Mapping[str, Any] = field(default_factory=dict)
