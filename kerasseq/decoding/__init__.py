"""Text from a step function: sampling, greedy choice and beam search, in Python or in a graph.

A step is ``step(tokens, state) -> (logits, state, ...)``, with a memory ``step(tokens, state,
memory)``: `AttentionDecoder.step` is one. Everything here runs in TensorFlow alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # tensorflow takes seconds to import
    from kerasseq.decoding.beam import beam_search
    from kerasseq.decoding.beam_state import Beams
    from kerasseq.decoding.sampling import Generated, greedy, sample
    from kerasseq.decoding.settings import Sampling
    from kerasseq.decoding.step import Step, without

__all__ = ["Beams", "Generated", "Sampling", "Step", "beam_search", "greedy", "sample", "without"]

_MODULES = {
    "Beams": "beam_state",
    "Generated": "sampling",
    "Sampling": "settings",
    "Step": "step",
    "beam_search": "beam",
    "greedy": "sampling",
    "sample": "sampling",
    "without": "step",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
