"""Settings of decoding: of the search for a sequence, and of drawing one at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from kerasseq.config import Settings, setting


@dataclass(frozen=True)
class BeamSettings(Settings):
    """Beam search, for scores and exports."""

    size: int = setting(5, ge=1, le=1000)
    """Hypotheses that are followed; 1 is greedy."""
    length_penalty: float = setting(1.0, ge=0)
    """Strength of the length normalisation of Wu et al. (2016); 0 prefers short translations."""
    coverage_penalty: float = setting(0.0, ge=0)
    """Strength of their penalty for source tokens, the end counted, that got no attention."""


class Sampling(NamedTuple):
    """How the next token is drawn: a number for each of :data:`RULES`, which says what it does.

    Each may be a scalar tensor, too. By default nothing is cut off.
    """

    temperature: Any = 1.0
    top_k: Any = 0
    top_p: Any = 1.0


class SamplingRule(NamedTuple):
    """What there is to know of a number of :class:`Sampling`, wherever one is asked for it.

    Attributes:
        kind: of the number.
        holds: whether a number, or a tensor, is within its bounds.
        must: these bounds, in words.
        help: what it does, for a command line.
    """

    kind: type[int] | type[float]
    holds: Callable[[Any], Any]
    must: str
    help: str


RULES = {
    "temperature": SamplingRule(
        float,
        lambda value: (value > 0) & (value < math.inf),
        "above 0 and finite",
        "Below 1 likelier tokens are preferred, above 1 unlikelier ones get a chance "
        "(default: %(default)s).",
    ),
    "top_k": SamplingRule(
        int,
        lambda value: value >= 0,
        "0 (all tokens) or more",
        "Draw from so many likeliest tokens; 0: from all.",
    ),
    "top_p": SamplingRule(
        float,
        lambda value: (value > 0) & (value <= 1),
        "above 0 and at most 1",
        "Draw from the fewest likeliest tokens that have this probability together "
        "(default: %(default)s, from all).",
    ),
}
